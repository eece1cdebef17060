"""The system calls that change what is stored, each a step with a name.

The file system driver changes nothing on disk but through one `Posix`, so that its steps can be counted,
recorded and stopped at from outside, without a switch in here.  What only reads is not here, nor are lock
files: nothing is told from whether one is there.  Every call may raise OSError.
"""

from __future__ import annotations

import ctypes
import os

_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

STEPS: dict[str, str] = {
    "create": "open(O_CREAT | O_EXCL): a new name for a new, empty file",
    "write": "write: bytes at the end of an open file",
    "truncate": "ftruncate: cut an open file",
    "sync": "fsync of a file: its content survives a power cut",
    "sync_folder": "fsync of a folder: the names in it survive a power cut",
    "sync_all": "syncfs: everything that was done so far by anybody",
    "rename": "rename: atomic, also over a file that is there",
    "link": "link: a second name",
    "unlink": "unlink: remove the name of a file",
    "make_folder": "mkdir",
    "remove_folder": "rmdir: only of an empty folder",
    "set_time": "utime: the time of the last change",
}
"""Every method of `Posix`, and the system call behind it."""


class Posix:
    """Paths are absolute.  Without ``fsync`` nothing is synced: a power cut may lose what was stored."""

    def __init__(self, *, fsync: bool = True) -> None:
        self.fsync = fsync

    def create(self, full: str) -> int:
        """Make a file and open it for writing.  Returns the file descriptor."""
        return os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, fd: int, data: memoryview | bytes) -> int:
        """Returns how many bytes were written, which may be fewer."""
        return os.write(fd, data)

    def truncate(self, fd: int, size_bytes: int) -> None:
        os.ftruncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        if self.fsync:
            os.fsync(fd)

    def sync_folder(self, full: str) -> None:
        if not self.fsync:
            return
        fd = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_all(self, full: str) -> None:
        """The whole file system that a folder is on."""
        if not self.fsync:
            return
        if _syncfs is None:
            os.sync()
            return
        fd = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _syncfs(fd) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), full)
        finally:
            os.close(fd)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        os.link(source, target)

    def unlink(self, full: str) -> None:
        os.unlink(full)

    def make_folder(self, full: str) -> None:
        os.mkdir(full)

    def remove_folder(self, full: str) -> None:
        os.rmdir(full)

    def set_time(self, full: str, mtime_ns: int) -> None:
        os.utime(full, ns=(mtime_ns, mtime_ns))
