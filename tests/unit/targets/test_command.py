"""Starting, killing, pausing and restarting a registry."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from harness.history import Promises
from harness.targets import command
from harness.targets.base import TargetError
from harness.targets.collector import removed_by
from harness.targets.description import CollectorCommand
from harness.targets.host import Port, status_of

from .conftest import FAKE, Make, alive, body, eventually


def test_open_starts_it_and_close_removes_everything(make: Make) -> None:
    target = make()
    target.open()
    pid, storage = int(body(target.url)), target.storage
    assert target.running()
    assert pid == target.process_id()
    assert storage.is_dir()
    target.close()
    target.close()
    assert not alive(pid)
    assert not storage.parent.exists()
    assert not target.running()


def test_kill_and_start_keep_url_and_storage(make: Make) -> None:
    target = make()
    target.open()
    url, first = target.url, body(target.url)
    (target.storage / "kept").write_text("x")
    target.kill()
    assert not alive(int(first))
    assert not target.running()
    target.kill()
    target.start()
    assert target.url == url
    assert body(url) != first
    assert (target.storage / "kept").exists()


def test_start_leaves_a_running_one_alone(make: Make) -> None:
    target = make()
    target.open()
    before = body(target.url)
    target.start()
    assert body(target.url) == before


def test_restart_is_a_new_process(make: Make) -> None:
    target = make()
    target.open()
    before = body(target.url)
    target.restart()
    assert body(target.url) != before
    target.kill()
    target.restart()
    assert target.running()


def test_restart_does_not_wait_forever_for_sigterm(make: Make) -> None:
    target = make("--ignore-term", stop_limit_s=0.05)
    target.open()
    before = body(target.url)
    target.restart()
    assert body(target.url) != before


def test_pause_stops_it_and_resume_lets_it_go_on(make: Make) -> None:
    target = make()
    target.open()
    pid = target.process_id()
    target.pause()
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    assert target.running()
    target.resume()
    target.resume()
    assert body(target.url) == str(pid)


@pytest.mark.parametrize("after", ["kill", "restart"])
def test_a_paused_one_can_be_ended(make: Make, after: str) -> None:
    target = make()
    target.open()
    before = body(target.url)
    target.pause()
    getattr(target, after)()
    target.start()
    assert body(target.url) != before


def test_a_dead_one_cannot_be_paused(make: Make) -> None:
    target = make()
    target.open()
    target.kill()
    with pytest.raises(TargetError, match="does not run"):
        target.pause()


def test_fresh_is_empty(make: Make) -> None:
    target = make(folders=("a/b",))
    target.open()
    before = body(target.url)
    (target.storage / "a/b/c").write_text("x")
    target.fresh()
    assert (target.storage / "a/b").is_dir()
    assert not list((target.storage / "a/b").iterdir())
    assert body(target.url) != before


def test_what_died_by_itself_is_started_again(make: Make) -> None:
    target = make()
    target.open()
    pid = target.process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not target.running())
    target.start()
    assert body(target.url) != str(pid)


def test_a_process_that_dies_at_its_start_is_quoted(make: Make) -> None:
    target = make("--die", "no room at the inn")
    with pytest.raises(TargetError, match=r"^fake: ended with exit status 3 .*no room at the inn$") as caught:
        target.open()
    assert "\n" not in str(caught.value)


def test_a_process_that_never_answers_is_ended(make: Make) -> None:
    target = make("--mute", limit_s=0.3)
    with pytest.raises(TargetError, match=r"answers nothing 0\.3 s after its start; it said: hello"):
        target.open()
    assert not target.running()


def test_a_missing_command_says_how_to_install_it(make: Make) -> None:
    target = make(command=("no-such-registry", "serve"), install="apt-get install it")
    with pytest.raises(
        TargetError, match="no command 'no-such-registry' on this machine; install it: apt-get install it"
    ):
        target.open()


def test_another_port_where_somebody_was_quicker(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        taken = thief.getsockname()[1]
        chosen: list[int] = []

        class Unlucky(Port):
            def _find(self) -> int:
                chosen.append(super()._find() if chosen else taken)
                return chosen[-1]

        monkeypatch.setattr(command, "Port", Unlucky)
        target = make()
        target.open()
    assert len(chosen) == 2
    assert target.url.endswith(f":{chosen[1]}")
    assert body(target.url)


def test_a_port_that_is_lost_while_it_is_dead_is_an_error(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "status_of", partial(status_of, limit_s=0.05))
    target = make()
    target.open()
    target.kill()
    address = ("127.0.0.1", int(target.url.rpartition(":")[2]))
    with socket.create_server(address), pytest.raises(TargetError, match="ddress already in use"):
        target.start()
    target.start()
    assert target.running()


def test_ports_are_claimed() -> None:
    ports = [Port() for _ in range(5)]
    try:
        assert len({port.number for port in ports}) == 5
        assert not ports[0]._claimed(ports[1].number)
    finally:
        for port in ports:
            port.close()


def test_files_environment_and_placeholders(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HARNESS", "x")
    monkeypatch.setenv("PASSED_ON", "y")
    target = make(
        env={"GREETING": "from {port}"},
        inherit=("PASSED_ON",),
        files={"c.yml": "at: {host}:{port} {unknown} {storage}"},
    )
    target.open()
    port = target.url.rpartition(":")[2]
    config = (target.storage.parent / "c.yml").read_text()
    assert config == f"at: 127.0.0.1:{port} {{unknown}} {target.storage}"
    assert f"hello from the fake registry from {port}" in target.log()
    environment = Path(f"/proc/{target.process_id()}/environ").read_bytes()
    assert b"PASSED_ON=y" in environment
    assert b"SECRET_OF_THE_HARNESS" not in environment


def test_collectors_end_is_reported(make: Make) -> None:
    script = "import sys; print('blob gone: 1'); print('kept'); print('why', file=sys.stderr); sys.exit(4)"
    argv = ("{python}", "-I", "-S", "-c", script)
    target = make(
        collector=CollectorCommand(argv, removed={"blob": re.compile("^blob gone")}),
        promises=Promises(collection="offline"),
    )
    target.open()
    seen: list[str] = []
    collected = target.collect(untagged=False, gate=seen.append)
    assert (collected.code, collected.lines, collected.removed) == (4, ("blob gone: 1", "kept", "why"), 1)
    assert seen == ["blob gone: 1", "kept"]
    with pytest.raises(TargetError, match="cannot remove untagged"):
        target.collect(untagged=True)


def test_a_collector_that_hangs_is_killed(make: Make) -> None:
    script = "import signal; print('working', flush=True); signal.pause()"
    target = make(collector=CollectorCommand(("{python}", "-I", "-S", "-c", script), limit_s=0.3))
    target.open()
    collected = target.collect(untagged=False)
    assert collected.code == -signal.SIGKILL
    assert collected.lines[-1] == "killed after 0.3 s"


def test_without_a_collector_there_is_no_collection(make: Make) -> None:
    target = make(promises=Promises(collection="online"))
    assert target.controls == {"kill", "restart", "pause"}
    assert target.promises.collection == "none"
    with pytest.raises(TargetError, match="no collector"):
        target.collect(untagged=False)


@pytest.mark.parametrize(
    ("patterns", "removed"),
    [
        ({}, None),
        ({"each": "^gone: "}, 2),
        ({"sum": r"^(\d+) blobs, (\d+) manifests"}, 7),
        ({"never": "^nothing like this"}, 0),
    ],
)
def test_removed_counts_lines_or_sums_groups(patterns: dict[str, str], removed: int | None) -> None:
    lines = ("gone: a", "gone: b", "3 blobs, 4 manifests")
    assert removed_by({name: re.compile(each) for name, each in patterns.items()}, lines) == removed


def test_a_killed_harness_leaves_nothing() -> None:
    script = f"""
import os, signal, sys
from harness.targets.command import CommandTarget
from harness.targets.description import Description
target = CommandTarget(Description("fake", ("{{python}}", "-I", "-S", {FAKE!r}, "{{port}}")))
target.open()
print(target.process_id(), target.storage.parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(command.__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    pid, folder = ended.stdout.split()
    assert ended.returncode == -signal.SIGKILL
    assert eventually(lambda: not alive(int(pid)))
    assert eventually(lambda: not Path(folder).exists())
