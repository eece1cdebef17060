"""The system calls that change files: their numbers, what they are called in plans, where their files are.

Numbers: ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` of Linux (the
latter is what aarch64 uses); ``-``: the machine does not have the call, its C library uses the ``…at`` form.

What the table cannot see, and therefore the gate neither: stores to memory that is mapped from a file
(msync(2) or the kernel write them), and what asynchronous interfaces do; those are refused (`REFUSED`), upon
which programs fall back to the calls below.
"""

from __future__ import annotations

import errno
import os
import platform
from dataclasses import dataclass
from typing import Literal

Machine = Literal["x86_64", "aarch64"]

AUDIT_ARCH: dict[Machine, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""What seccomp calls the machine (``linux/audit.h``); those of any other, as 32-bit ones, are refused."""

SECCOMP: dict[Machine, int] = {"x86_64": 317, "aarch64": 277}
"""The number of seccomp(2) itself, for which the C library has no function."""

GROUPS: dict[str, str] = {
    "create": "make a file: open with O_CREAT where there is none, or with O_CREAT | O_TRUNC; mknod",
    "write": "write bytes, by any of the calls that do",
    "truncate": "cut, grow or reserve: truncate, ftruncate, fallocate, open with O_TRUNC alone",
    "sync": "fsync of a file or a folder, fdatasync, sync_file_range, syncfs",
    "rename": "rename a file or a folder; the path is the new one, the old one matches, too",
    "link": "make a hard or symbolic link",
    "unlink": "remove the name of a file",
    "mkdir": "make a folder",
    "rmdir": "remove an empty folder",
    "touch": "set the times",
    "mode": "set the permissions or the owner",
    "attribute": "set or remove an extended attribute",
}
"""The names that plans use, and what is in each."""

_CALLS = """
# call              group     x86-64  aarch64  where its files are; the last one is the one that changes
open                create         2        -  path:0 flags:1
openat              create       257       56  at:0:1 flags:2
openat2             create       437      437  at:0:1 how:2
creat               create        85        -  path:0 creates
mknod               create       133        -  path:0
mknodat             create       259       33  at:0:1
write               write          1       64  fd:0
pwrite64            write         18       68  fd:0
writev              write         20       66  fd:0
pwritev             write        296       70  fd:0
pwritev2            write        328      287  fd:0
sendfile            write         40       71  fd:0
splice              write        275       76  fd:2
copy_file_range     write        326      285  fd:2
truncate            truncate      76       45  path:0
ftruncate           truncate      77       46  fd:0
fallocate           truncate     285       47  fd:0
fsync               sync          74       82  fd:0
fdatasync           sync          75       83  fd:0
sync_file_range     sync         277       84  fd:0
syncfs              sync         306      267  fd:0
rename              rename        82        -  path:0 path:1
renameat            rename       264       38  at:0:1 at:2:3
renameat2           rename       316      276  at:0:1 at:2:3
link                link          86        -  path:0 path:1
linkat              link         265       37  at:0:1 at:2:3
symlink             link          88        -  path:1
symlinkat           link         266       36  at:1:2
unlink              unlink        87        -  path:0
unlinkat            unlink       263       35  at:0:1 removedir:2
rmdir               rmdir         84        -  path:0
mkdir               mkdir         83        -  path:0
mkdirat             mkdir        258       34  at:0:1
utime               touch        132        -  path:0
utimes              touch        235        -  path:0
futimesat           touch        261        -  at:0:1
utimensat           touch        280       88  at:0:1
chmod               mode          90        -  path:0
fchmod              mode          91       52  fd:0
fchmodat            mode         268       53  at:0:1
fchmodat2           mode         452      452  at:0:1
chown               mode          92        -  path:0
lchown              mode          94        -  path:0
fchown              mode          93       55  fd:0
fchownat            mode         260       54  at:0:1
setxattr            attribute    188        5  path:0
lsetxattr           attribute    189        6  path:0
fsetxattr           attribute    190        7  fd:0
removexattr         attribute    197       14  path:0
lremovexattr        attribute    198       15  path:0
fremovexattr        attribute    199       16  fd:0
"""
"""Arguments count from 0. ``fd:N``: a file descriptor. ``path:N``: a path. ``at:D:N``: a path, relative to
the folder of descriptor D; no path at all means D itself. ``flags:N``: open flags; ``how:N``: a pointer to
``struct open_how``, which begins with them; ``creates``: as with O_CREAT | O_TRUNC. ``removedir:N``: flags
that may say AT_REMOVEDIR."""

_REFUSED = """
io_setup          206         0
io_uring_setup    425       425
"""
"""Calls that open ways around the gate; answered with ENOSYS, as by a kernel without them."""

OPEN_CHANGES = os.O_CREAT | os.O_TRUNC
"""An open without these changes nothing, and does not even come to the gate (but openat2)."""

AT_REMOVEDIR = 0x200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is in the arguments: ``fd`` or a path at ``path``, or both (relative to the folder)."""

    fd: int | None
    path: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """``places``: one, or old and new name. The others are argument numbers, where the call has such."""

    name: str
    group: str
    number: int
    places: tuple[Place, ...]
    flags: int | None = None
    how: int | None = None
    creates: bool = False
    removedir: int | None = None


@dataclass(frozen=True, slots=True)
class Errno:
    """``groups``: what fails with it in life; a rule for any call strikes only these."""

    number: int
    groups: frozenset[str]
    doc: str


_GROWS = frozenset({"create", "write", "truncate", "sync", "rename", "link", "mkdir", "attribute"})

ERRNOS: dict[str, Errno] = {
    "enospc": Errno(errno.ENOSPC, _GROWS, "the disk is full"),
    "edquot": Errno(errno.EDQUOT, _GROWS, "the quota is used up"),
    "eio": Errno(errno.EIO, frozenset(GROUPS), "the disk fails"),
    "erofs": Errno(errno.EROFS, frozenset(GROUPS) - {"sync"}, "the file system has become read-only"),
    "eacces": Errno(errno.EACCES, frozenset(GROUPS) - {"write", "sync"}, "permission denied"),
    "emfile": Errno(errno.EMFILE, frozenset({"create"}), "the process has too many open files"),
    "enfile": Errno(errno.ENFILE, frozenset({"create"}), "the machine has too many open files"),
}
"""Errors that a call can be made to fail with, by the names that plans use."""


def machine() -> Machine | None:
    """This machine, ``None`` where there is no table for it."""
    name = platform.machine()
    return "x86_64" if name in ("x86_64", "AMD64") else "aarch64" if name in ("aarch64", "arm64") else None


def calls(of: Machine) -> dict[int, Call]:
    """By number."""
    rows = (line.split() for line in _CALLS.splitlines() if line and not line.startswith("#"))
    found = [
        _call(name, group, int(number), where)
        for name, group, x86_64, aarch64, *where in rows
        if (number := {"x86_64": x86_64, "aarch64": aarch64}[of]) != "-"
    ]
    return {call.number: call for call in found}


def refused(of: Machine) -> tuple[int, ...]:
    rows = (line.split() for line in _REFUSED.split("\n") if line)
    return tuple(int({"x86_64": x86_64, "aarch64": aarch64}[of]) for _, x86_64, aarch64 in rows)


def _call(name: str, group: str, number: int, where: list[str]) -> Call:
    places: list[Place] = []
    more: dict[str, int] = {}
    for word in where:
        kind, *numbers = word.split(":")
        if kind == "fd":
            places.append(Place(int(numbers[0]), None))
        elif kind == "path":
            places.append(Place(None, int(numbers[0])))
        elif kind == "at":
            places.append(Place(int(numbers[0]), int(numbers[1])))
        else:
            more[kind] = int(numbers[0]) if numbers else 1
    return Call(
        name,
        group,
        number,
        tuple(places),
        more.get("flags"),
        more.get("how"),
        "creates" in more,
        more.get("removedir"),
    )
