"""How a process comes under the gate, and that nothing is left of it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.faults.syscall import Gate, available
from harness.targets.nursery import Nursery
from harness.targets.process import Child, Spawn

from .conftest import WAIT_S, Bench, need


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def status(spawn: Spawn, out: Path) -> dict[str, str]:
    """What the kernel says of a program that was started so."""
    with out.open("wb") as file:
        process = spawn(
            ["sh", "-c", "echo $0 $A; readlink /proc/$$/fd/*; cat /proc/self/status", "a b"],
            {"PATH": os.environ["PATH"], "A": "ü \udcff"},
            out.parent,
            file.fileno(),
            file.fileno(),
        )
    assert process.wait(WAIT_S) == 0
    first, *lines = out.read_bytes().split(b"\n")
    fields = dict(line.decode(errors="replace").split(":", 1) for line in lines if b":\t" in line)
    files = [line.decode() for line in lines if line.startswith(b"/")]
    kept = {name: fields[name] for name in ("SigIgn", "SigBlk", "SigCgt", "Umask")}
    return {**kept, "first": repr(first), "files": str([each for each in files if "/proc/" not in each])}


def test_a_program_starts_as_it_would_without_the_gate(bench: Bench) -> None:
    out = bench.outside / "out"
    plain, gated = status(Child, out), status(bench.gate.spawn, out)
    assert gated == plain
    assert gated["first"] == repr("a b ü ".encode() + b"\xff")


def test_it_leads_its_own_session(bench: Bench) -> None:
    process = bench.start("print(os.getsid(0), os.getpid(), os.getcwd())")
    assert bench.end(process) == f"{process.pid} {process.pid} {bench.folder}"


def test_a_program_that_is_not_there_is_said_so(bench: Bench) -> None:
    before = files_open()
    with pytest.raises(FileNotFoundError) as caught:
        bench.gate.spawn(["no-such-program"], {"PATH": "/bin"}, bench.folder, 1, 2)
    assert caught.value.strerror == "No such file or directory"
    with pytest.raises(PermissionError):
        bench.gate.spawn([str(bench.folder)], {}, bench.folder, 1, 2)
    bench.run("os.mkdir('a')")
    bench.gate.close()
    assert files_open() == before


def test_files_and_thread_are_gone_after_the_end(root: Path) -> None:
    need(available())
    files, threads = files_open(), threading.active_count()
    made = Bench(root)
    for _ in range(3):
        made.run("os.rmdir(os.mkdir('a') or 'a')")
    assert made.gate.count == 6
    made.close()
    assert (files_open(), threading.active_count()) == (files, threads)


def test_a_closed_gate_lets_nobody_start(bench: Bench) -> None:
    started: list[Child] = []

    def start(*arguments: Any, **more: Any) -> Child:
        started.append(Child(*arguments, **more))
        return started[-1]

    bench.gate.close()
    with pytest.raises(OSError, match="the gate is closed"):
        bench.gate.through(start)(["sleep", "1000"], {"PATH": os.environ["PATH"]}, bench.folder, 1, 2)
    assert [process.code() for process in started] == [-9]


def test_closing_ends_what_still_runs(root: Path) -> None:
    need(available())
    made = Bench(root)
    process = made.start("while True: os.utime('.')")
    made.gate.close()
    assert process.wait(WAIT_S) == -9


def test_a_gate_that_was_never_used_closes(root: Path) -> None:
    gate = Gate(root)
    gate.heal()
    gate.close()


def test_a_child_of_a_nursery_can_be_gated(bench: Bench) -> None:
    modules = bench.outside / "modules"
    modules.mkdir()
    (modules / "changer.py").write_text(
        """
import os, sys
def main():
    os.mkdir(sys.argv[1])
    links = [os.path.realpath(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')]
    print(os.environ['A'], [link for link in links if 'seccomp' in link or 'socket' in link])
    return 3
"""
    )
    nursery = Nursery(["changer"], {"PYTHONPATH": str(modules)}, bench.folder)
    try:
        out = bench.outside / "out"
        with out.open("wb") as file:
            process = bench.gate.through(nursery.spawn, "forked")(
                [sys.executable, "-m", "changer", "made"],
                {"A": "b"},
                bench.folder,
                file.fileno(),
                file.fileno(),
            )
        assert process.wait(WAIT_S) == 3
        assert out.read_text() == "b []\n"
        assert [(point.path, point.by) for point in bench.gate.points()] == [("made", "forked")]
    finally:
        nursery.close()


def test_under_a_gate_there_is_no_gate(bench: Bench) -> None:
    place = str(Path(__file__).parents[3])
    said = bench.run(
        f"import sys; sys.path[:0] = [{place!r}, *{sys.path!r}]\n"
        "from harness.faults.syscall import available; print(available())"
    )
    assert "under another supervisor's filter already" in said
    assert "\n" not in said
