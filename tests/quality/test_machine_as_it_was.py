"""Whatever ends a run, the machine is as it was before: no processes, mounts, loop devices or files are left.

What a run makes is looked up while it is at work; when it is over, none of that may be there any more.
Containers, their networks and volumes: see ``tests/peers/test_docker_target.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.faults import volume

ROOT = Path(__file__).resolve().parents[2]
RUN_LIMIT_S, GONE_LIMIT_S = 120.0, 20.0
INTERRUPTIBLE = ("env", "--default-signal=INT")
"""What is started in the background of a shell ignores SIGINT, with all its children."""
_POLL_S = 0.05
_OURS = re.compile(r"/[^ \0]*?/seatrial-[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Traces:
    """Of a run: processes as (number, start time), folders, mount points, and loop devices with a file in one
    of the folders behind them."""

    processes: frozenset[tuple[int, str]]
    folders: frozenset[str]
    mounts: frozenset[str]
    loops: frozenset[str]

    def left(self) -> list[str]:
        """What of it is still there."""
        there = [f"process {pid}: {_command(pid)}" for pid, start in self.processes if _start(pid) == start]
        there += [f"folder {path}" for path in self.folders if os.path.exists(path)]
        there += [f"mount {path}" for path in self.mounts & set(_mounts())]
        backing = dict(_loops())
        return there + [f"loop device {name}: {backing[name]}" for name in self.loops & backing.keys()]


def traces_of(pid: int) -> Traces:
    family = {pid, *_descendants(pid)}
    texts = [text for one in family for text in (_command(one), *_paths(one))]
    folders = frozenset(found for text in texts for found in _OURS.findall(text))
    return Traces(
        frozenset((one, start) for one in family if (start := _start(one))),
        folders,
        frozenset(path for path in _mounts() if path.startswith(tuple(folders))),
        frozenset(name for name, file in _loops() if file.startswith(tuple(folders))),
    )


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            yield int(child)
            yield from _descendants(int(child))


def _start(pid: int) -> str:
    """When a process started; empty where it is gone, or has ended and waits for its parent."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else ""


def _command(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def _paths(pid: int) -> Iterator[str]:
    """Where a process is, and which files it has open."""
    for link in (Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").glob("*")):
        with contextlib.suppress(OSError):
            yield os.readlink(link)


def _mounts() -> list[str]:
    return [line.split()[1] for line in _read(Path("/proc/self/mounts")).splitlines()]


def _loops() -> list[tuple[str, str]]:
    return [
        (path.parts[3], _read(path).strip()) for path in Path("/sys/block").glob("loop*/loop/backing_file")
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up in Linux' /proc")
@pytest.mark.parametrize(
    ("target", "by", "status"),
    [
        ("reference", None, 0),
        ("reference+patch-out-of-order", None, 1),
        ("reference", signal.SIGINT, 2),
        ("reference", signal.SIGKILL, -9),
    ],
    ids=["held", "violated", "interrupted", "killed"],
)
def test_nothing_is_left(tmp_path: Path, target: str, by: signal.Signals | None, status: int) -> None:
    (tmp_path / "tmp").mkdir()
    arguments = ["harness", "--target-file", target, "--budget", "8s", "--out", str(tmp_path / "out")]
    with (tmp_path / "printed").open("wb") as printed:
        run = subprocess.Popen(
            [*INTERRUPTIBLE, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(lambda: "P4" in _read(tmp_path / "printed") or run.poll() is not None, RUN_LIMIT_S)
        seen = traces_of(run.pid)
        assert len(seen.processes) >= 3, "the harness, its reaper, the registry"
        assert seen.folders
        if volume.available() is None:
            assert seen.mounts
            assert seen.loops
        if by is not None:
            run.send_signal(by)
        assert run.wait(RUN_LIMIT_S) == status, _read(tmp_path / "printed")[-4000:]
    finally:
        run.kill()
        run.wait()
    _await(lambda: not seen.left(), GONE_LIMIT_S)
    assert seen.left() == []
    assert list((tmp_path / "tmp").iterdir()) == []


def _await(done: Callable[[], bool], limit_s: float) -> None:
    limit = time.monotonic() + limit_s
    while not done() and time.monotonic() < limit:
        time.sleep(_POLL_S)
