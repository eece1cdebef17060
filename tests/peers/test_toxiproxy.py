"""Weather through a real Toxiproxy: each toxic is met by somebody or missed, excused while it lasts, and gone
afterwards; the reference says 503 while its backend cannot be reached."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkers.finding import Finding
from harness.faults import toxiproxy
from harness.faults.network import ATTRIBUTES, DOWN, Network
from harness.faults.toxiproxy import Toxic, Toxiproxy
from harness.history import History
from harness.plan.codec import load
from harness.plan.plan import Plan
from harness.run.options import Options
from harness.run.trial import Trial, open_trial
from harness.targets.base import TargetError
from harness.targets.host import LOOPBACK, Port
from harness.targets.process import stopped
from tests.quality.defects.hunts import look_for

from .registries import Reference

pytestmark = pytest.mark.peer("toxiproxy-server")
TIERS = frozenset({"wire", "process", "network"})
TOXICS = (*ATTRIBUTES, DOWN)
BREAKING = ("timeout", "reset_peer", DOWN)
"""Toxics under which no request with a body of 5000 bytes can succeed, whatever it is that it asks for."""


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    yield from opened("reference")


@pytest.fixture(scope="module")
def on_s3() -> Iterator[Trial]:
    yield from opened("reference-s3")


def opened(name: str) -> Iterator[Trial]:
    trial = open_trial(Options(target_file=name, tiers=TIERS))
    server = trial.kit.network
    assert server is not None
    yield trial
    trial.close()


def storm(toxic: str, side: str, stream: str = "down", value: int | None = None) -> Plan:
    """Something is there; the weather; a push and pulls in it; all of it again when it is over."""
    words = f'toxic = "{toxic}", side = "{side}", stream = "{stream}"'
    words += "" if value is None else f", value = {value}"
    return load(
        f"""
        seatrial = 1
        title = "x"
        [ops]
        push   = {{ do = "blob.push", repo = "r", blob = "layer", size = 5000 }}
        put    = {{ do = "manifest.put", repo = "r", tag = "t", layers = ["layer"] }}
        storm  = {{ do = "net", {words}, after = ["put"] }}
        wet    = {{ do = "blob.push", repo = "r", blob = "b", size = 5000, after = ["storm"] }}
        look   = {{ do = "blob.pull", repo = "r", blob = "layer" }}
        tagged = {{ do = "image.pull", repo = "r", tag = "t" }}
        heal   = {{ do = "heal", after = ["tagged"] }}
        dry    = {{ do = "blob.push", repo = "r", blob = "b", after = ["heal"] }}
        whole  = {{ do = "image.pull", repo = "r", tag = "t" }}
        """,
        "x.toml",
    ).plan


def weathered(trial: Trial, plan: Plan) -> tuple[History, list[Finding]]:
    history = trial.run(plan)
    return history, [finding for finding in trial.found(history) if finding.red]


def told(history: History, what: str) -> list[tuple[str, str]]:
    return [(control.op, str(control.data["fault"])) for control in history.what(what)]


def met(history: History, op: str = "storm") -> None:
    assert told(history, "fault.delivered") == [(op, "net")]
    assert told(history, "fault.missed") == []
    assert history.by_op["dry"][-1].status in (200, 201)
    assert [each.status for each in history.by_op["whole"]] == [200] * len(history.by_op["whole"])


@pytest.mark.parametrize("toxic", TOXICS)
def test_clients_meet_each_toxic_and_nothing_is_found(trial: Trial, toxic: str) -> None:
    history, red = weathered(trial, storm(toxic, "client", "up" if toxic == "limit_data" else "down"))
    met(history)
    assert red == []
    if toxic in BREAKING:
        assert all(each.status is None for each in history.by_op["wet"])


@pytest.mark.parametrize("toxic", ["latency", "reset_peer"])
def test_a_registry_that_runs_already_meets_it(reference: Reference, toxic: str) -> None:
    trial = open_trial(Options(target=f"http://{reference.place}", tiers=TIERS))
    try:
        history, red = weathered(trial, storm(toxic, "client"))
    finally:
        trial.close()
    met(history)
    assert red == []


def test_a_limit_lets_exactly_so_many_bytes_through(trial: Trial) -> None:
    plan = storm("limit_data", "client", value=700)
    dry = plan.keep(op.id for op in plan if op.id != "wet")
    history, _ = weathered(trial, dry)
    pull = history.by_op["look"][0]
    assert (pull.status, pull.error) == (200, "short")
    head = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in pull.headers), "", ""]
    assert pull.body is not None
    assert len("\r\n".join(head)) + pull.body.size_bytes == 700


@pytest.mark.parametrize("toxic", TOXICS)
def test_the_backend_is_met_by_each_toxic_and_answers_stay_honest(on_s3: Trial, toxic: str) -> None:
    history, red = weathered(on_s3, storm(toxic, "backend"))
    met(history)
    assert red == []
    during = [each for op in ("wet", "look", "tagged") for each in history.by_op[op]]
    assert all(each.error is None or each.status == 200 for each in during), "the wire to clients is dry"
    assert 404 not in {each.status for each in during}
    if toxic in BREAKING:
        assert {each.status for each in during} == {503}


@pytest.mark.parametrize("toxic", ["latency", DOWN])
@pytest.mark.parametrize("side", ["client", "backend"])
def test_weather_that_nobody_meets_is_missed(request: pytest.FixtureRequest, side: str, toxic: str) -> None:
    trial: Trial = request.getfixturevalue("trial" if side == "client" else "on_s3")
    history, _ = weathered(trial, storm(toxic, side).keep(["storm", "heal"]))
    assert told(history, "fault.missed") == [("storm", "net")]
    assert told(history, "fault.delivered") == []


def test_the_closing_part_ends_what_the_plan_did_not(trial: Trial) -> None:
    plan = storm(DOWN, "client")
    history, red = weathered(trial, plan.keep(["push", "put", "storm", "wet"]))
    assert told(history, "fault.delivered") == [("storm", "net")]
    assert {each.status for each in history.by_op["wet"]} == {None}
    assert {each.status for each in history.by_op["closing.read"]} >= {200}
    assert None not in {each.status for each in history.by_op["closing.read"]}
    assert red == []


# --- the server --------------------------------------------------------------------------------------------


def test_a_server_that_runs_is_used_and_left_as_it_was() -> None:
    running = Toxiproxy()
    theirs, network = Port(), Network(running.url)
    try:
        running.add("theirs", theirs.number, 9, (Toxic("latency", {"latency": 1}),), open=True)
        network.backend(9)
        network.begin("latency", "backend")
        assert len(running.names()) == 2
        network.close()
        assert running.names() == {"theirs"}
    finally:
        network.close()
        running.close()
        theirs.close()


def test_a_server_without_metrics_is_refused_in_one_line() -> None:
    port = Port()
    argv = ["toxiproxy-server", "-host", LOOPBACK, "-port", str(port.number)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None:
                with socket.socket() as trial:
                    if trial.connect_ex((LOOPBACK, port.number)) == 0:
                        break
            with pytest.raises(TargetError, match=r"shows no metrics .*; start it with -proxy-metrics$"):
                Toxiproxy(f"http://{LOOPBACK}:{port.number}")
        finally:
            server.kill()
            port.close()


KILLED = """
import json, sys, time
from harness.faults.network import Network
network = Network(*sys.argv[1:])
print(json.dumps([network._server.process_id, network.backend(9)]), flush=True)
time.sleep(60)
"""


def killed(*url: str) -> tuple[int | None, int]:
    """A descriptor of the server that a harness started, which was then killed, and its proxy's port."""
    argv = [sys.executable, "-c", KILLED, *url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as harness:
        assert harness.stdout is not None
        pid, port = json.loads(harness.stdout.readline())
        watch = None if pid is None else os.pidfd_open(pid)
        harness.send_signal(signal.SIGKILL)
    return watch, port


def test_nothing_is_left_when_the_harness_is_killed() -> None:
    watch, port = killed()
    assert watch is not None
    try:
        assert select.select([watch], [], [], 20.0)[0], "toxiproxy-server still runs"
    finally:
        os.close(watch)
    with socket.socket() as trial:
        assert trial.connect_ex((LOOPBACK, port)) != 0


def test_nothing_is_left_in_somebodys_server_when_the_harness_is_killed() -> None:
    running = Toxiproxy()
    try:
        killed(running.url)
        limit = time.monotonic() + 20.0
        while running.names():
            assert time.monotonic() < limit, "the proxy is still there"
    finally:
        running.close()


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toxiproxy, "ANSWER_LIMIT_S", 0.3)
    server = Toxiproxy()
    assert server.process_id is not None
    network = Network(start=lambda url: server)
    network.backend(9)
    os.kill(server.process_id, signal.SIGSTOP)
    try:
        with pytest.raises(TargetError, match=r"does not answer within 0.3 s$"):
            network.begin("latency", "backend")
        with pytest.raises(TargetError, match=r"does not answer any more$"):
            network.lead(True)
    finally:
        os.kill(server.process_id, signal.SIGCONT)
        network.close()


def test_it_ends_with_its_network() -> None:
    network = Network()
    server = network._server
    assert isinstance(server, Toxiproxy)
    pid = server.process_id
    assert pid is not None
    network.close()
    network.close()
    assert not Path(f"/proc/{pid}").exists() or stopped(pid)
    with pytest.raises(TargetError, match="the network is closed"):
        network.backend(9)


RETRY = """
seatrial = 1
title = "x"
[blobs]
b = { size = 70000 }
[ops]
start = { do = "upload.start", repo = "r", upload = "u" }
dry   = { do = "upload.patch", repo = "r", upload = "u", blob = "b", first = 0, size = 10000 }
storm = { do = "net", toxic = "limit_data", value = 20000, stream = "up", side = "backend", after = ["dry"] }
wet   = { do = "upload.patch", repo = "r", upload = "u", blob = "b", first = 10000, size = 60000, after = ["storm"] }
heal  = { do = "heal", after = ["wet"] }
ask   = { do = "upload.status", repo = "r", upload = "u", after = ["heal"] }
end   = { do = "upload.finish", repo = "r", upload = "u", blob = "b" }
"""  # noqa: E501
DEFECT = "backend-retry-appends-twice"


def test_a_retry_that_appends_twice_is_found_by_this_tier(on_s3: Trial) -> None:
    plan = load(RETRY, "x.toml").plan
    history, red = weathered(on_s3, plan)
    assert told(history, "fault.delivered") == [("storm", "net")]
    assert red == []
    defective = open_trial(Options(target_file=f"reference-s3+{DEFECT}", tiers=TIERS))
    try:
        _, red = weathered(defective, plan)
        _, calm = weathered(defective, plan.keep(op.id for op in plan if op.id not in ("storm", "heal")))
    finally:
        defective.close()
    assert [finding.check for finding in red] == ["uploads.resume_corrupt"]
    assert calm == []


def test_a_retry_that_appends_twice_is_found_by_no_other_tier() -> None:
    outcome = look_for((DEFECT,), budget_s=10.0, tiers=TIERS - {"network"})
    assert outcome.plans >= 12, "one for each family"
    assert outcome.caught == ()
