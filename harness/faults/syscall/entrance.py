"""Bringing a process under the gate: the harness's side of `harness.faults.syscall.starter`."""

from __future__ import annotations

import base64
import errno
import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.faults.syscall import starter
from harness.faults.syscall.filter import program
from harness.faults.syscall.listener import NEW_LISTENER, WAIT_KILLABLE, Listener
from harness.faults.syscall.tables import SECCOMP, Call, machine, refused
from harness.targets.base import TargetError
from harness.targets.process import Entry, Process, Start, kill

START_LIMIT_S = 30.0

Started = tuple[Sequence[str], Mapping[str, str], Path, int, int]
"""The arguments of a `Spawn`."""


def admit(
    start: Start,
    wanted: Started,
    watch: Callable[[Listener, int], None],
    calls: Iterable[Call],
    *,
    killable: bool,
) -> Process:
    """Start a process that passes the filter before its program does anything. `watch` is told the listener
    and the process id before the program starts. Raises OSError, with a number and a text."""
    here = machine()
    if here is None:
        raise OSError(errno.ENOSYS, "the system-call gate has no table for this machine")
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(START_LIMIT_S)
        argv, env, *_ = wanted
        request = {
            "program": base64.b64encode(program(here, calls, refused(here))).decode(),
            "seccomp": SECCOMP[here],
            "flags": [NEW_LISTENER | WAIT_KILLABLE] * killable + [NEW_LISTENER],
            "argv": list(argv),
            "env": dict(env),
        }
        with theirs:
            process = start(*wanted, entry=Entry(Path(starter.__file__), theirs.fileno()))
        try:
            ours.sendall(json.dumps(request).encode() + b"\n")
            _pass(ours, process.pid, watch)
        except BaseException:
            with suppress(TargetError):
                kill(process)
            raise
    return process


def _pass(ours: socket.socket, pid: int, watch: Callable[[Listener, int], None]) -> None:
    """Take the listener, then wait until the program has started."""
    try:
        said, files, _, _ = socket.recv_fds(ours, 1, 1)
        if files:
            listener, said = Listener(files[0]), b""
            try:
                watch(listener, pid)
            except BaseException:
                listener.close()
                raise
        with ours.makefile("rb") as lines:
            line = said + lines.readline()
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, f"it did not start within {START_LIMIT_S:.0f} s") from None
    if line:
        failure = json.loads(line)
        number, doing = int(failure["errno"]), str(failure["doing"])
        raise OSError(number, os.strerror(number) + (f" ({doing})" if doing else ""))
    if not files:
        raise OSError(errno.ECHILD, "it ended before it came under the gate")
