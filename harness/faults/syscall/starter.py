"""Enters the gate in the child, and becomes the program: a script of its own, with the standard library only.

It is run by a fresh interpreter, because nothing but async-signal-safe code may run between fork and exec of
a program with threads; a nursery, which has none, calls `enter` in the child that it forked.

Over a Unix socket: the gate sends a line of JSON, ``{"program": base64, "seccomp": number, "flags": [...],
"argv", "env"}``; it gets back a byte with the listener's file descriptor, or a line ``{"errno", "doing"}``.
When the socket then ends without another line, the program has started.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import signal
import socket
import struct
import sys
from typing import Any

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1


def enter(number: int) -> None:
    """Put this process under the filter that comes over the socket of that file descriptor, and go on.
    Raises OSError, after having told the gate."""
    _enter(number)[0].close()


def _enter(number: int) -> tuple[socket.socket, dict[str, Any]]:
    """The socket, which the next program does not inherit, and what came over it."""
    gate = socket.socket(fileno=number)
    gate.set_inheritable(False)
    with gate.makefile("rb") as lines:
        wanted: dict[str, Any] = json.loads(lines.readline())
    try:
        listener = _install(base64.b64decode(wanted["program"]), wanted["seccomp"], wanted["flags"])
    except OSError as error:
        _tell(gate, error, "entering seccomp")
        raise
    socket.send_fds(gate, [b"\0"], [listener])
    os.close(listener)
    return gate, wanted


def _tell(gate: socket.socket, error: OSError, doing: str) -> None:
    gate.sendall(json.dumps({"errno": error.errno, "doing": doing}).encode() + b"\n")


def _install(program: bytes, seccomp: int, flags: list[int]) -> int:
    """The listener. `flags` are tried in order: older kernels know fewer of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions of 8 bytes, and where they are.
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _error()
    found = -1
    for each in flags:
        found = libc.syscall(
            ctypes.c_long(seccomp),
            ctypes.c_ulong(_SET_MODE_FILTER),
            ctypes.c_ulong(each),
            ctypes.byref(fprog),
        )
        if found >= 0:
            return int(found)
    raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def main() -> None:
    try:
        gate, wanted = _enter(int(sys.argv[1]))
    except OSError:
        os._exit(127)
    # Python ignores these, and what is ignored stays so in the next program.
    for each in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(each, signal.SIG_DFL)
    try:
        os.execvpe(wanted["argv"][0], wanted["argv"], wanted["env"])
    except OSError as error:
        _tell(gate, error, "")
        os._exit(127)


if __name__ == "__main__":
    main()
