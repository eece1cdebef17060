"""The tables agree with the kernel's headers, and the filter with the tables."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from harness.faults.syscall.filter import ALLOW, NOTIFY, program
from harness.faults.syscall.tables import AUDIT_ARCH, ERRNOS, GROUPS, SECCOMP, Machine, calls, refused
from harness.plan.operation import CALLS

HEADERS: dict[Machine, str] = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
MACHINES: list[Machine] = ["x86_64", "aarch64"]
REFUSED = 0x50000 | errno.ENOSYS


def answer(code: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = 0) -> int:
    """What a filter says of a call: an interpreter for the instructions that it is made of."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", code))
    at = loaded = 0
    while True:
        operation, yes, no, value = steps[at]
        at += 1
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
            continue
        holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[operation]
        at += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernel(machine: Machine) -> None:
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"there is no {header} here; apt-get install linux-libc-dev")
    text = header.read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    found = {call.name: call.number for call in calls(machine).values()}
    # Newer than some headers.
    found.pop("fchmodat2")
    assert found == {name: known[name] for name in found}
    assert SECCOMP[machine] == known["seccomp"]
    assert list(refused(machine)) == [known["io_setup"], known["io_uring_setup"]]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_sends_the_calls_of_the_table_and_no_others(machine: Machine) -> None:
    table = calls(machine)
    code = program(machine, table.values(), refused(machine))
    arch = AUDIT_ARCH[machine]
    for number in range(600):
        call = table.get(number)
        changes = [0] * 6
        if call is not None and call.flags is not None:
            changes[call.flags] = os.O_CREAT
        wanted = REFUSED if number in refused(machine) else NOTIFY if call is not None else ALLOW
        assert answer(code, number, tuple(changes), arch) == wanted, number
    opens = [call for call in table.values() if call.flags is not None]
    assert opens
    for call in opens:
        assert call.flags is not None
        for flags, wanted in ((os.O_RDWR, ALLOW), (os.O_TRUNC, NOTIFY), (os.O_RDONLY | os.O_APPEND, ALLOW)):
            arguments = [0] * call.flags + [flags]
            assert answer(code, call.number, tuple(arguments), arch) == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_other_machines_are_refused(machine: Machine) -> None:
    code = program(machine, calls(machine).values(), refused(machine))
    assert answer(code, 0, arch=0x40000003) == REFUSED
    if machine == "x86_64":
        assert answer(code, 0x40000001, arch=AUDIT_ARCH[machine]) == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
def test_rows_make_sense(machine: Machine) -> None:
    table = calls(machine)
    assert {call.group for call in table.values()} | {"rmdir"} == set(GROUPS)
    for call in table.values():
        assert call.places, call.name
        for place in call.places:
            assert place.fd is not None or place.path is not None, call.name
        assert (call.group in ("rename", "link")) or len(call.places) == 1
    for error in ERRNOS.values():
        assert error.groups
        assert error.groups <= set(GROUPS)


def test_plans_know_the_same_groups() -> None:
    assert set(CALLS) == {"any", *GROUPS}
