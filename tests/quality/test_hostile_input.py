"""10 000 hostile requests: no 5xx, no hang, nothing outside the root is touched, nothing is kept of them.

``python -m tests.quality.hostile_input`` sends as many as one likes, and makes small what fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from .hostile_input import audited, run, served, surroundings, traced, world
from .hostile_input.client import Client
from .hostile_input.framing import Case, End, case
from .hostile_input.judge import Answer, flaws
from .hostile_input.minimise import minimise, shown

WARM_UP = 3_000
CASES = 10_000
TRACED_CASES = 1_500
GROWTH_MAX_BYTES = 24 << 20
"""What the process may have more in memory at the end than after warming up.  Python gives memory back by
the MiB, and a few small things that stay for a minute, timers above all, hold back as many."""
PEAK_MAX_BYTES = 256 << 20
"""What it may have had at once: a manifest of 4 MiB may be many times as large while it is read."""
SHAPES_LEAST = 10


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reference_impl", *arguments],
        cwd=served.PROJECT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def told(outcome: run.Outcome) -> list[str]:
    return [f"{one.flaws} {shown(one.case, b''.join(one.segments))}"[:3000] for one in outcome.failures[:3]]


def test_a_store_in_files(tmp_path: Path) -> None:
    parent = tmp_path / "around"
    parent.mkdir()
    root = surroundings.make(parent)
    before = surroundings.seen(parent, root)
    log, report = tmp_path / "log", tmp_path / "report"
    watched = (sys.executable, "-m", audited.__name__, str(report), str(root))
    server = served.Served(["--root", str(root), "--unsafe-no-fsync"], log, watched)
    try:
        idle = server.usage()
        outcomes = [run.send(server.port, 1, range(WARM_UP))]
        warm = server.quiet_usage(idle.files)
        outcomes.append(run.send(server.port, 1, range(WARM_UP, CASES)))
        end = server.quiet_usage(idle.files)
        collected = command("collect", "--root", str(root), "--unsafe-no-fsync")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            damage = world.damage(client)
    finally:
        code = server.stop()
    for outcome in outcomes:
        assert not outcome.failures, told(outcome)
        assert len(outcome.shapes) >= SHAPES_LEAST
    assert sum(outcome.sent for outcome in outcomes) == CASES
    assert (code, log.read_text()) == (0, "")
    # Nothing outside was touched, and all is well inside.
    *complaints, counted = report.read_text().splitlines()
    assert complaints == []
    assert int(counted.removeprefix("seen ")) > CASES
    assert surroundings.seen(parent, root) == before
    assert surroundings.foreign(root) == []
    assert damage == []
    assert collected.returncode == 0, collected.stderr
    checked = command("check", "--root", str(root), "--unsafe-no-fsync", "--json")
    kinds = json.loads(checked.stdout)["kinds"].keys()
    assert kinds <= {"manifest.incomplete", "session.open"}  # clients may delete blobs, and go away
    # Nothing is kept.
    assert end.files <= idle.files
    assert end.threads <= warm.threads + run.LANES
    assert end.resident_bytes - warm.resident_bytes < GROWTH_MAX_BYTES
    assert end.peak_bytes < PEAK_MAX_BYTES


def test_a_store_in_memory(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = served.Served(["--driver", "memory"], log)
    try:
        idle = server.usage()
        outcome = run.send(server.port, 2, range(WARM_UP))
        end = server.quiet_usage(idle.files)
        with httpx.Client(base_url=server.url, timeout=30) as client:
            damage = world.damage(client)
    finally:
        code = server.stop()
    assert not outcome.failures, told(outcome)
    assert outcome.sent == WARM_UP
    assert (code, log.read_text(), damage) == (0, "", [])
    assert end.files <= idle.files


def test_what_is_only_looked_at_is_inside_too(tmp_path: Path) -> None:
    """By the system calls, as Python does not tell when it looks at a path."""
    if shutil.which("strace") is None:
        if os.environ.get("SEATRIAL_PEERS") == "required":
            pytest.fail("strace is required here and is not installed", pytrace=False)
        pytest.skip("strace is not installed")
    parent = tmp_path / "around"
    parent.mkdir()
    root = surroundings.make(parent)
    output = tmp_path / "calls"
    server = served.Served(["--root", str(root)], tmp_path / "log", traced.program(output))
    try:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            assert client.get(f"/v2/{traced.MARK}/tags/list").status_code == 404
        outcome = run.send(server.port, 3, range(TRACED_CASES))
    finally:
        server.stop()
    assert not outcome.failures, told(outcome)
    outside, seen = traced.outside(output, root)
    assert outside == []
    assert seen > TRACED_CASES


# -- and the tests above could fail ----------------------------------------------------------


WELL = Case("0/0", "whole", (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",), ("GET",), End.STAYS, True)
JSON = (("content-type", "application/json"),)
REFUSED = Answer(404, JSON, b'{"errors":[{"code":"NAME_UNKNOWN","message":"m"}]}')
NOT_UNDERSTOOD = Answer(
    400, (*JSON, ("connection", "close")), b'{"errors":[{"code":"UNSUPPORTED","message":"m"}]}'
)


def judged(one: Case, *answers: Answer, ended: bool = False) -> list[str]:
    return list(flaws(one, list(answers), ended))


def test_the_judge() -> None:
    assert judged(WELL, REFUSED) == []
    assert judged(WELL, Answer(200, (), b"{}")) == []
    assert judged(replace(WELL, end=End.CLOSED), REFUSED, NOT_UNDERSTOOD, ended=True) == []
    for wrong in (
        replace(REFUSED, status=500),
        replace(REFUSED, status=302),
        replace(REFUSED, headers=()),
        replace(REFUSED, headers=(*JSON, ("x-injected", "yes"))),
        replace(REFUSED, body=b""),
        replace(REFUSED, body=b'{"errors":[]}'),
        replace(REFUSED, body=b'{"errors":[{"code":"MADE_UP","message":"m"}]}'),
        replace(REFUSED, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}'),
        Answer(200, (("docker-content-digest", world.DIGESTS[0]),), b"other"),
    ):
        assert judged(WELL, wrong), wrong
    assert judged(WELL, REFUSED, REFUSED)
    assert judged(WELL)
    assert judged(WELL, ended=True)
    assert judged(replace(WELL, end=End.ANSWERED, plain=False))
    assert judged(replace(WELL, end=End.CLOSED), REFUSED)
    assert judged(replace(WELL, end=End.LEFT), REFUSED, REFUSED, ended=True)


def test_the_watch_on_files(tmp_path: Path) -> None:
    """Whatever a registry with a hole would do."""
    root, report = tmp_path / "root", tmp_path / "report"
    root.mkdir()
    script = f"""if True:
        import os, socket, sys
        from tests.quality.hostile_input.audited import Watch
        watch = Watch({str(report)!r}, {str(root)!r})
        sys.addaudithook(watch)
        open({str(tmp_path / "before")!r}, "w").close()
        socket.socket().bind(("127.0.0.1", 0))
        open({str(root / "inside")!r}, "w").close()
        import wave
        acts = [
            lambda: open({str(root)!r} + "/../outside", "w"),
            lambda: os.open("/etc/passwd", os.O_RDONLY),
            lambda: os.listdir({str(tmp_path)!r}),
            lambda: os.rename({str(root / "inside")!r}, {str(tmp_path / "moved")!r}),
            lambda: os.unlink({str(tmp_path / "moved")!r}),
            lambda: os.mkdir({str(root)!r} + "-2"),
            lambda: os.system("true"),
            lambda: open(os.__file__, "r+"),
        ]
        for act in acts:
            act()
            watch.say("next")
    """
    subprocess.run([sys.executable, "-c", script], cwd=served.PROJECT, check=True, timeout=60)
    complaints = report.read_text().split("next\n")
    assert complaints.pop() == ""
    assert len(complaints) == 8
    assert all(complaints)
    assert "/etc/passwd" in complaints[1]
    assert "before" not in complaints[0]


def test_the_surroundings(tmp_path: Path) -> None:
    root = surroundings.make(tmp_path)
    before = surroundings.seen(tmp_path, root)
    (root / "inside").write_text("")
    assert surroundings.seen(tmp_path, root) == before
    (root / "link").symlink_to("/")
    assert surroundings.foreign(root) == [str(root / "link")]
    canary = tmp_path / "data" / "canary" / surroundings.CANARY
    content, times = canary.read_text(), canary.stat()
    canary.write_text(content.upper())
    os.utime(canary, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert surroundings.seen(tmp_path, root) != before


def test_the_system_calls(tmp_path: Path) -> None:
    root, output = tmp_path / "root", tmp_path / "calls"
    lines = [
        '1 openat(AT_FDCWD, "/etc/before", O_RDONLY) = 3',
        f'1 newfstatat(AT_FDCWD, "{root}/{traced.MARK}/x", 0x1, 0) = -1 ENOENT',
        f'1 rename("{root}/a", "{root}/b") = 0',
        '1 newfstatat(7, "", 0x1, AT_EMPTY_PATH) = 0',
        f'1 openat(AT_FDCWD, "{os.__file__}", O_RDONLY) = 3',
    ]
    output.write_text("\n".join(lines))
    assert traced.outside(output, root) == ([], 4)
    wrong = (f"{root}-2/b", "relative", "/etc/passwd", f"{root}/a/../../b")
    output.write_text("\n".join([*lines, *(f'1 rename("{root}/a", "{path}") = 0' for path in wrong)]))
    found, _ = traced.outside(output, root)
    assert found == [f"rename {path}" for path in wrong]


def test_cases_follow_from_their_number() -> None:
    assert [case(5, number) for number in range(50)] == [case(5, number) for number in reversed(range(50))][
        ::-1
    ]
    assert case(5, 1) != case(6, 1)


def test_failures_are_made_small() -> None:
    data = b"PUT /v2/a?n=1 HTTP/1.1\r\nHost: x\r\nBad: 1\r\nContent-Length: 4\r\n\r\nabcd"
    least = minimise(data, lambda one: b"Bad" in one)
    assert least == b"PUT /v2/a HTTP/1.1\r\nBad: 1\r\n\r\n"
    assert minimise(data, lambda one: b"ab" in one).endswith(b"\r\n\r\nab")
    text = shown(WELL, data)
    assert repr(data) in text
    assert "curl -i --path-as-is -X PUT 'http://127.0.0.1:5000/v2/a?n=1' -H 'Bad: 1'" in text


def test_a_server_that_hangs_is_noticed(tmp_path: Path) -> None:
    server = served.Served(["--driver", "memory"], tmp_path / "log")
    client = Client(server.port, limit_s=0.5)
    try:
        waits = b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        assert client.check(WELL, WELL.segments) == []
        assert client.check(WELL, (waits,)) == ["nothing for 0.5 s"]
    finally:
        client.close()
        server.stop()
