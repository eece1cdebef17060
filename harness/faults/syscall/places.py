"""Where a call strikes: its paths below the storage folder, and whether it can change anything there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.faults.syscall.listener import Waiting
from harness.faults.syscall.tables import AT_REMOVEDIR, OPEN_CHANGES, Call, Place

_AT_FDCWD = -100
_PATH_BYTES = 4096
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Change:
    """``path``: what changes, relative to the storage folder (``.`` for the folder itself); ``old``: the name
    that a rename or a link starts from, absolute when it is outside, ``""`` for other calls."""

    group: str
    path: str
    old: str = ""


class Storage:
    """The folder whose changes count. Paths are compared as they are written, and as the kernel tells them:
    symbolic links inside the storage folder are not followed."""

    def __init__(self, folder: Path) -> None:
        self._roots = tuple({os.path.abspath(folder), os.path.realpath(folder)})

    def change(self, waiting: Waiting, call: Call) -> Change | None:
        """What the call is about to change below the folder, ``None`` when it is none of our business.
        Raises OSError when the thread cannot be looked into, such as after its death.

        A call that must fail by what is there (mkdir of a folder that exists, unlink of a folder …), or an
        open with O_CREAT of a file that exists, changes nothing.
        """
        group = _group(waiting, call)
        if group is None:
            return None
        found = [_path(waiting, place) for place in call.places]
        inside = [self._inside(path) for path in found]
        if not any(inside) or not _can_change(waiting, call, group, found):
            return None
        return Change(group, inside[-1] or found[-1], (inside[0] or found[0]) if len(found) > 1 else "")

    def _inside(self, path: str) -> str | None:
        for root in self._roots:
            if path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
                return path[len(root) + 1 :] or "."
        return None


def _group(waiting: Waiting, call: Call) -> str | None:
    """The group of the call with these arguments, ``None`` for an open that changes nothing."""
    if call.removedir is not None and waiting.arguments[call.removedir] & AT_REMOVEDIR:
        return "rmdir"
    flags = _open_flags(waiting, call)
    if flags is None or flags & os.O_CREAT:
        return call.group
    return "truncate" if flags & os.O_TRUNC else None


def _open_flags(waiting: Waiting, call: Call) -> int | None:
    if call.creates:
        return OPEN_CHANGES
    if call.flags is not None:
        return waiting.arguments[call.flags]
    if call.how is not None:
        return int.from_bytes(_memory(waiting, waiting.arguments[call.how], 8), "little")
    return None


def _path(waiting: Waiting, place: Place) -> str:
    """Absolute and without ``..``, or what the kernel calls something that is no file (``pipe:[7]``)."""
    written = b""
    if place.path is not None and (address := waiting.arguments[place.path]):
        written = _memory(waiting, address, _PATH_BYTES).split(b"\0", 1)[0]
    text = os.fsdecode(written)
    if text.startswith("/"):
        return os.path.normpath("/" + text.lstrip("/"))
    fd = _AT_FDCWD if place.fd is None else _signed(waiting.arguments[place.fd])
    name = "cwd" if fd == _AT_FDCWD else f"fd/{fd}"
    folder = os.readlink(f"/proc/{waiting.thread}/{name}").removesuffix(_DELETED)
    return os.path.normpath(f"{folder}/{text}") if text else folder


def _memory(waiting: Waiting, address: int, size: int) -> bytes:
    """Up to `size` bytes; fewer where the mapping ends."""
    fd = os.open(f"/proc/{waiting.thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)


def _signed(argument: int) -> int:
    """A C int that came as 64 bits."""
    low = argument & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _mode(path: str) -> int:
    """0 when it is not there. Raises OSError where that cannot be told."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _can_change(waiting: Waiting, call: Call, group: str, paths: list[str]) -> bool:
    check = _NEEDS.get(group)
    if check is None or call.places[-1].path is None:
        return True
    flags = _open_flags(waiting, call)
    if flags is not None and flags & os.O_TRUNC and not flags & os.O_EXCL:
        return True
    with suppress(OSError):
        return check(paths)
    return True


def _absent(paths: list[str]) -> bool:
    return not _mode(paths[-1])


def _present(paths: list[str]) -> bool:
    return bool(_mode(paths[0]))


def _a_file(paths: list[str]) -> bool:
    mode = _mode(paths[0])
    return bool(mode) and not stat.S_ISDIR(mode)


def _an_empty_folder(paths: list[str]) -> bool:
    if not stat.S_ISDIR(_mode(paths[0])):
        return False
    with os.scandir(paths[0]) as entries:
        return next(entries, None) is None


_NEEDS: dict[str, Callable[[list[str]], bool]] = {
    "create": _absent,
    "mkdir": _absent,
    "link": _absent,
    "rename": _present,
    "truncate": _present,
    "unlink": _a_file,
    "rmdir": _an_empty_folder,
    "touch": _present,
    "mode": _present,
    "attribute": _present,
}
"""What must be there for a call by path to change something."""
