"""The local file of bytes that do not fill a part yet, and how the client library sends them."""

from __future__ import annotations

import contextlib
import io
import os
from typing import IO, cast

_AT_ONCE_MAX_BYTES = 256 << 10


class Spool:
    """Survives a kill of the process, not a power cut.  ``size_bytes`` is the length of the file."""

    def __init__(self, path: str, *, fresh: bool = False) -> None:
        self.path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if fresh else 0)
        self._fd = os.open(path, flags, 0o644)
        self.size_bytes = os.fstat(self._fd).st_size

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self.size_bytes)
            self.size_bytes += written
            view = view[written:]

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._fd, size_bytes)
        self.size_bytes = size_bytes

    def body(self, length_bytes: int) -> bytes | IO[bytes]:
        """Return the first bytes as the body of a request."""
        if length_bytes <= _AT_ONCE_MAX_BYTES:  # for files the library waits for "100 Continue"
            return os.pread(self._fd, length_bytes, 0)
        return cast(IO[bytes], _Window(self._fd, length_bytes))

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def remove(self) -> None:
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with contextlib.suppress(OSError):  # not empty: another spool is beside it
            os.rmdir(os.path.dirname(self.path))


def stat(path: str) -> tuple[int, int]:
    """Return size in bytes and modification time in ns of a spool, 0 and 0 if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


class _Window(io.RawIOBase):
    """The begin of an open file, as a file that ends there and has a position of its own."""

    def __init__(self, fd: int, length_bytes: int) -> None:
        self._fd = fd
        self._length_bytes = length_bytes
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        left = self._length_bytes - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        data = os.pread(self._fd, wanted, self._at)
        self._at += len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length_bytes}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at
