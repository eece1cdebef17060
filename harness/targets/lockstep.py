"""A collector in lockstep: it can be made to stand still at any line that it prints.

A collector tells how far it has come by what it prints. Its standard output is a pipe that holds one packet:
``O_DIRECT`` makes each write(2) a packet of its own, and a capacity of one page makes room for exactly one.
A line is looked at with tee(2), which leaves it in the pipe, and is taken out only when the gate returns. So
while the gate holds a line, the collector may do the work between this line and the next, and then blocks
in the write of the next: nothing that it does after that write has happened.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from harness.targets.base import LineGate, TargetError
from harness.targets.process import Child, Process, Spawn, kill

Guarantee = Literal["exact", "one line", "one page"]
"""How far a collector can run ahead of a held line: up to the write of the next line (``exact``), of the one
after it (``one line``), or as far as one page of output reaches (``one page``)."""

_SLICE_MS = 20
_READ_BYTES = 1 << 16
_SPLICE_F_NONBLOCK = 2


@dataclass(frozen=True, slots=True)
class Printed:
    """How it ended. ``code`` is minus the signal's number after a kill; ``timed_out``: it was killed because
    its limit ran out."""

    code: int
    out: tuple[str, ...]
    err: tuple[str, ...]
    timed_out: bool = False


class Pipe:
    """A pipe with room for one write, and a way to look into it. Degrades to what the system has."""

    def __init__(self) -> None:
        direct = getattr(os, "O_DIRECT", 0)
        self.guarantee: Guarantee = "one page"
        self._tee = _tee()
        try:
            self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | direct)
            packets = direct != 0
        except (AttributeError, OSError):
            self.read_end, self.write_end = os.pipe()
            packets = False
        try:
            page = fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, os.sysconf("SC_PAGE_SIZE"))
            if packets and page == os.sysconf("SC_PAGE_SIZE"):
                self.guarantee = "one line" if self._tee is None else "exact"
        except (AttributeError, OSError):
            pass
        self._copy = os.pipe() if self.guarantee == "exact" else None

    def look(self) -> bytes:
        """What is in the pipe, left there where the guarantee is ``exact``; empty at its end. Only when
        there is something to read."""
        if self._copy is None or self._tee is None:
            return os.read(self.read_end, _READ_BYTES)
        copied = self._tee(self.read_end, self._copy[1], _READ_BYTES, _SPLICE_F_NONBLOCK)
        if copied < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return os.read(self._copy[0], copied) if copied else b""

    def take(self) -> None:
        """Take out what was looked at; from now on the next line can be written."""
        if self._copy is not None:
            os.read(self.read_end, _READ_BYTES)

    def close_write(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        self.close_write()
        for end in (self.read_end, *(self._copy or ())):
            os.close(end)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stderr: IO[bytes],
    limit_s: float,
    gate: LineGate | None = None,
    started: Callable[[int], None] | None = None,
    spawn: Spawn = Child,
) -> Printed:
    """Run a collector to its end; without a gate it runs freely.

    The limit counts the collector's own time, not the time that the gate took; when it runs out, the
    collector's process group is killed. `started` is told its process id. `stderr` is a file, readable from
    its beginning. Raises `TargetError` when the command cannot be started, and, after a kill, whatever the
    gate raises.
    """
    with ExitStack() as stack:
        pipe = Pipe()
        stack.callback(pipe.close)
        try:
            process = spawn(argv, env, cwd, pipe.write_end, stderr.fileno())
        except OSError as error:
            raise TargetError(f"the collector {argv[0]!r} cannot be started: {error.strerror}") from None
        stack.callback(kill, process)
        pipe.close_write()
        if started is not None:
            started(process.pid)
        out: list[str] = []
        clock = _Clock(limit_s)
        for line in _lines(pipe, process, clock):
            out.append(line)
            if gate is not None:
                with clock.stopped():
                    gate(line)
        if process.wait(max(clock.left_s(), 0.0)) is None:
            clock.ran_out = True
        kill(process)
        code = process.code()
        assert code is not None
        stderr.seek(0)
        err = stderr.read().decode(errors="replace").splitlines()
        return Printed(code, tuple(out), tuple(err), clock.ran_out)


def _lines(pipe: Pipe, process: Process, clock: _Clock) -> Iterator[str]:
    """Lines as they come; a line that is being yielded is still in the pipe."""
    rest = b""
    poller = select.poll()
    poller.register(pipe.read_end, select.POLLIN)
    ended = False
    while True:
        if not poller.poll(_SLICE_MS):
            # A grandchild may keep the pipe open after the collector's end.
            if ended:
                break
            ended = process.code() is not None
            if clock.left_s() <= 0:
                clock.ran_out = True
                break
            continue
        chunk = pipe.look()
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").removesuffix("\r")
        pipe.take()
        if clock.left_s() <= 0:
            clock.ran_out = True
            break
    if rest:
        yield rest.decode(errors="replace")


class _Clock:
    """A limit that does not count the time in which the gate held."""

    def __init__(self, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s
        self._since = 0.0
        self.ran_out = False

    def left_s(self) -> float:
        return self._end - time.monotonic()

    def stopped(self) -> _Clock:
        return self

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._end += time.monotonic() - self._since


def _tee() -> Callable[[int, int, int, int], int] | None:
    try:
        tee = ctypes.CDLL(None, use_errno=True).tee
    except (AttributeError, OSError):
        return None
    tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    tee.restype = ctypes.c_ssize_t
    found: Callable[[int, int, int, int], int] = tee
    return found
