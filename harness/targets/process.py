"""Processes that the harness starts: own session, output to a log, remembered by the reaper."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.targets.base import TargetError
from harness.targets.reaper import REAPER, kill_group

POLL_S = 0.005
REAP_LIMIT_S = 10.0


class Process(Protocol):
    """A started process that leads its own session."""

    @property
    def pid(self) -> int: ...

    def code(self) -> int | None:
        """Its exit status (minus the signal's number), ``None`` while it runs."""
        ...

    def wait(self, limit_s: float) -> int | None:
        """Its exit status as soon as it ends, ``None`` when the limit ran out first."""
        ...


Spawn = Callable[[Sequence[str], Mapping[str, str], Path, int, int], Process]
"""Starts a process: arguments, environment, working folder, file descriptors of output and error. Raises
`OSError`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a child passes before its program starts. ``script``: a file that, run with the number of ``fd``
    as its argument, is told over that socket what to become; a forked child calls its ``enter(fd)``."""

    script: Path
    fd: int


class Start(Protocol):
    """A `Spawn` that can send the child through an entry first."""

    def __call__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        out: int,
        err: int,
        *,
        entry: Entry | None = None,
    ) -> Process: ...


class Child:
    """A process started with fork and exec."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        out: int,
        err: int,
        *,
        entry: Entry | None = None,
    ) -> None:
        if entry is not None:
            argv = [sys.executable, "-I", "-S", str(entry.script), str(entry.fd)]
        self._popen = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=(entry.fd,) if entry is not None else (),
        )
        self._cleared = False
        REAPER.watch_process(self.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def code(self) -> int | None:
        return self._ended(self._popen.poll())

    def wait(self, limit_s: float) -> int | None:
        try:
            return self._ended(self._popen.wait(limit_s))
        except subprocess.TimeoutExpired:
            return None

    def _ended(self, code: int | None) -> int | None:
        if code is not None and not self._cleared:
            self._cleared = True
            clear_group(self.pid)
            REAPER.forget_process(self.pid)
        return code


def end(process: Process, number: int, limit_s: float) -> bool:
    """Send a signal to the process's group and wait for its leader's end; whether it ended."""
    if process.code() is not None:
        return True
    kill_group(process.pid, number)
    kill_group(process.pid, signal.SIGCONT)
    return process.wait(limit_s) is not None


def kill(process: Process) -> None:
    """SIGKILL to the group, and wait. Raises `TargetError` when it will not die."""
    if process.code() is None:
        kill_group(process.pid)
        if process.wait(REAP_LIMIT_S) is None:
            raise TargetError(f"process {process.pid} did not end {REAP_LIMIT_S:.0f} s after SIGKILL")


def kill_quietly(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the group of a process that is nobody's `Process`, and wait."""
    kill_group(process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(REAP_LIMIT_S)


def clear_group(pid: int) -> None:
    """End what is left of a group right after its leader was waited for (later the number may be reused)."""
    limit = time.monotonic() + REAP_LIMIT_S
    while _group_alive(pid) and time.monotonic() < limit:
        kill_group(pid)
        time.sleep(POLL_S)


def stopped(pid: int) -> bool:
    """Whether a process stands still after SIGSTOP; true where the system does not tell."""
    state = _stat(Path(f"/proc/{pid}/stat"))[:1]
    return not state or state[0] in "TtZX"


def _group_alive(pgid: int) -> bool:
    """Whether a process of the group still runs; one that only waits to be reaped by init does not count."""
    try:
        os.killpg(pgid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    members = [
        stat for path in Path("/proc").glob("[0-9]*/stat") if (stat := _stat(path))[2:3] == [str(pgid)]
    ]
    return not members or any(stat[0] not in "ZX" for stat in members)


def _stat(path: Path) -> list[str]:
    """State, parent, group … of a process (proc(5)); empty where it is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
