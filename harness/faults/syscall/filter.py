"""The filter that sends system calls to the gate: a classic BPF program over ``struct seccomp_data``
(seccomp(2), ``linux/filter.h``)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable

from harness.faults.syscall.tables import AUDIT_ARCH, OPEN_CHANGES, Call, Machine

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
_REFUSE = 0x00050000 | errno.ENOSYS
_X32 = 0x40000000
"""From here on x86-64 has numbers for programs with 32-bit pointers, which would pass under other numbers."""


def program(machine: Machine, calls: Iterable[Call], refused: Iterable[int]) -> bytes:
    """Instructions of 8 bytes each. Calls of the table are sent to the gate (an open only when its flags say
    that it may change something), `refused` ones and those of another machine fail with ENOSYS, all others
    pass."""
    steps = [
        _step(_LOAD, _ARCH),
        _step(_JUMP_EQUAL, AUDIT_ARCH[machine], yes=1),
        _step(_RETURN, _REFUSE),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        steps += [_step(_JUMP_AT_LEAST, _X32, no=1), _step(_RETURN, _REFUSE)]
    for number in refused:
        steps += [_step(_JUMP_EQUAL, number, no=1), _step(_RETURN, _REFUSE)]
    for call in calls:
        if call.flags is None:
            steps += [_step(_JUMP_EQUAL, call.number, no=1), _step(_RETURN, NOTIFY)]
        else:
            steps += [
                _step(_JUMP_EQUAL, call.number, no=4),
                _step(_LOAD, _ARGUMENTS + 8 * call.flags),
                _step(_JUMP_ANY_BIT, OPEN_CHANGES, no=1),
                _step(_RETURN, NOTIFY),
                _step(_RETURN, ALLOW),
            ]
    return b"".join([*steps, _step(_RETURN, ALLOW)])


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One ``struct sock_filter``; `yes` and `no`: how many instructions to jump over."""
    return struct.pack("=HBBI", code, yes, no, value)
