"""Advisory locks on local files, between processes, and between threads, as each opens the file itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .base import Busy


@contextmanager
def file_lock(full: str, path: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be.  Raises Busy, about ``path``, unless ``wait``."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(full, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(full), exist_ok=True)
        fd = os.open(full, flags, 0o644)
    try:
        operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        flock(fd, operation if wait else operation | fcntl.LOCK_NB, path)
        yield
    finally:
        os.close(fd)


def flock(fd: int, operation: int, path: str) -> None:
    try:
        fcntl.flock(fd, operation)
    except BlockingIOError as error:
        raise Busy(path) from error


def same_file(fd: int, full: str) -> bool:
    """Whether the file that was opened still has its name."""
    try:
        theirs = os.stat(full)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)
