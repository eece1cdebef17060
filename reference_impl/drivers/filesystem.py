"""The file system driver: atomic replacement, and durable down to the parent folders.

A file is written under a temporary name in the scratch folder, synced, renamed into place, and the
folder is synced; so are the parents of every folder that had to be made.  A kill leaves at most a
file in the scratch folder; a power cut loses nothing that was answered for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from .base import NotFound, Stat, checked
from .folders import Folders
from .locks import file_lock, flock, same_file
from .posix import Posix
from .settled import Settled

T = TypeVar("T")

_ATTEMPTS = 10


class FilesystemDriver:
    """Stores below ``root``; temporary files go to ``scratch``, a path relative to it."""

    def __init__(self, root: str, *, scratch: str, fsync: bool = True, posix: Posix | None = None) -> None:
        self._root = os.path.abspath(root)
        self._scratch = scratch
        self._posix = posix or Posix(fsync=fsync)
        self._folders = Folders(self._posix)
        self._settled = Settled()

    # -- reading ---------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        with _translated(path):
            fd = os.open(self._full(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(fd).st_size
                data = os.read(fd, size + 1)
                if len(data) == size:
                    return data
                with os.fdopen(os.dup(fd), "rb") as rest:
                    return data + rest.read()
            finally:
                os.close(fd)

    def open(self, path: str) -> FileReader:
        with _translated(path):
            return FileReader(os.open(self._full(path), os.O_RDONLY | os.O_CLOEXEC))

    def stat(self, path: str) -> Stat:
        with _translated(path):
            found = os.stat(self._full(path))
        is_dir = stat.S_ISDIR(found.st_mode)
        return Stat(0 if is_dir else found.st_size, found.st_mtime_ns, is_dir)

    def list(self, path: str) -> list[str]:
        with _translated(path):
            return sorted(os.listdir(self._full(path)))

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """As `walk_files`, with one stat for each file and none for folders."""
        left = [iter(_entries(self._full(path)))]
        while left:
            entry = next(left[-1], None)
            if entry is None:
                left.pop()
                continue
            try:
                if entry.is_dir():
                    left.append(iter(_entries(entry.path)))
                    continue
                found = entry.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield entry.path[len(self._root) + 1 :], Stat(found.st_size, found.st_mtime_ns, False)

    # -- writing ---------------------------------------------------------------------------

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        if durable:
            self.write_all([(path, data)])
        else:
            self._write(path, data, sync=False)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        written = [(self._full(path), self._write(path, data, sync=True)) for path, data in files]
        for full, found in written:
            self._folders.settle(os.path.dirname(full))
            self._settled.add(full, found)

    def create(self, path: str) -> None:
        full = self._full(path)
        for _ in range(_ATTEMPTS):
            try:
                os.close(self._posix.create(full))
                return
            except FileExistsError:
                return
            except FileNotFoundError:
                self._folders.make(os.path.dirname(full))
        raise NotFound(path)

    def settle(self, path: str) -> None:
        full = self._full(path)
        with _translated(path):
            fd = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
            try:
                found = os.fstat(fd)
                if stat.S_ISDIR(found.st_mode):
                    self._folders.settle(full)
                    return
                if self._settled.has(full, found):
                    return
                self._posix.sync(fd)
            finally:
                os.close(fd)
        self._folders.settle(os.path.dirname(full))
        self._settled.add(full, found)

    def settle_all(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # nothing was ever stored
            self._posix.sync_all(self._root)

    def append(self, path: str) -> FileAppender:
        full = self._full(path)
        with _translated(path):
            fd = os.open(full, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
                if not same_file(fd, full):  # published or removed while we came
                    raise NotFound(path)
                return FileAppender(fd, self._posix, self._settled)
            except BaseException:
                os.close(fd)
                raise

    def touch(self, path: str, after_ns: int = 0) -> None:
        full = self._full(path)
        with _translated(path):
            was_settled = self._settled.may_have(full) and self._settled.has(full, os.stat(full))
            # An explicit time: the kernel's own "now" is that of the last tick, some ms in the past.
            self._posix.set_time(full, max(time.time_ns(), after_ns + 1))
            if was_settled:
                self._settled.add(full, os.stat(full))

    def make_folder(self, path: str) -> None:
        self._folders.make_durable(self._full(path))

    def move(self, source: str, target: str) -> None:
        full = self._full(target)
        with _translated(source):
            self._rename(self._full(source), full)
        self._folders.settle(os.path.dirname(full))
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(full)
            if self._settled.has_content(found):
                self._settled.add(full, found)

    def link(self, source: str, target: str) -> None:
        self._link(source, target)
        self._folders.settle(os.path.dirname(self._full(target)))

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        linked, folders = set(), set()
        for source, target in pairs:
            with contextlib.suppress(NotFound):
                self._link(source, target)
                linked.add(target)
                folders.add(os.path.dirname(self._full(target)))
        for folder in sorted(folders):
            self._folders.settle(folder)
        return linked

    def delete(self, path: str) -> None:
        doomed = self._detach(path)
        self._folders.settle_removals(os.path.dirname(self._full(path)))
        if doomed is not None:
            self._remove_tree(doomed)

    def discard(self, path: str) -> None:
        doomed = self._detach(path)
        if doomed is not None:
            self._remove_tree(doomed)
        elif os.path.dirname(path) != self._scratch:  # which the next writer wants
            self.remove_empty(os.path.dirname(path))

    def remove_empty(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self._posix.remove_folder(self._full(path))

    def clear_leftovers(self, before_ns: int) -> int:
        cleared = 0
        try:
            entries = self.list(self._scratch)
        except NotFound:
            return 0
        for entry in entries:
            path = f"{self._scratch}/{entry}"
            with contextlib.suppress(NotFound):
                if self.stat(path).mtime_ns < before_ns:
                    doomed = self._detach(path)
                    if doomed is not None:
                        self._remove_tree(doomed)
                    cleared += 1
        return cleared

    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> AbstractContextManager[None]:
        return file_lock(self._full(path), path, shared=shared, wait=wait)

    # -- steps -----------------------------------------------------------------------------

    def _full(self, path: str) -> str:
        return f"{self._root}/{checked(path)}"

    def _in_scratch(self, step: Callable[[str], T]) -> tuple[T, str]:
        """Take a step with a fresh temporary name; returns what it returned, and the name."""
        folder = self._full(self._scratch)
        temporary = f"{folder}/{uuid.uuid4().hex}"
        for _ in range(_ATTEMPTS):
            # Others may remove the folder, and make it again, between any two steps of ours.
            with contextlib.suppress(FileNotFoundError):
                return step(temporary), temporary
            self._folders.make(folder)
        return step(temporary), temporary

    def _write(self, path: str, data: bytes, *, sync: bool) -> os.stat_result:
        """Put a new file in the place of a path; returns what it is."""
        fd, temporary = self._in_scratch(self._posix.create)
        try:
            _write_all(self._posix, fd, data)
            if sync:
                self._posix.sync(fd)
            self._rename(temporary, self._full(path))
            return os.fstat(fd)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                self._posix.unlink(temporary)
            raise
        finally:
            os.close(fd)

    def _rename(self, source: str, target: str) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self._posix.rename(source, target)
                return
            except FileNotFoundError:
                # A collector may remove the empty folder between our two steps: make it again.
                if not os.path.lexists(source):
                    raise
                self._folders.make(os.path.dirname(target))
        raise NotFound(target)

    def _link(self, source: str, target: str) -> None:
        full = self._full(target)
        with _translated(source):
            for _ in range(_ATTEMPTS):
                try:
                    self._posix.link(self._full(source), full)
                    return
                except FileExistsError:
                    _, temporary = self._in_scratch(lambda name: self._posix.link(self._full(source), name))
                    self._rename(temporary, full)
                    # Renaming one name of a file over another name of the same file leaves both.
                    with contextlib.suppress(FileNotFoundError):
                        self._posix.unlink(temporary)
                    return
                except FileNotFoundError:
                    if not os.path.lexists(self._full(source)):
                        raise
                    self._folders.make(os.path.dirname(full))
        raise NotFound(target)

    def _detach(self, path: str) -> str | None:
        """Remove a file, or move a folder to the scratch folder; returns where it is then."""
        full = self._full(path)
        with _translated(path):
            try:
                self._posix.unlink(full)
                return None
            except (IsADirectoryError, PermissionError):  # POSIX lets it be either
                return self._in_scratch(lambda name: self._posix.rename(full, name))[1]

    def _remove_tree(self, full: str) -> None:
        """Remove a folder nobody leads to any more, as far as that is possible."""
        with contextlib.suppress(OSError):
            for entry in _entries(full):
                if entry.is_dir(follow_symlinks=False):
                    self._remove_tree(entry.path)
                else:
                    self._posix.unlink(entry.path)
            self._posix.remove_folder(full)


class FileReader:
    """See ``base.Reader``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size_bytes = os.fstat(fd).st_size

    def read_at(self, offset: int, length_bytes: int) -> bytes:
        return os.pread(self._fd, length_bytes, offset)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class FileAppender:
    """See ``base.Appender``.  The length of the file is the truth about what it holds."""

    def __init__(self, fd: int, posix: Posix, settled: Settled) -> None:
        self._fd = fd
        self._open = True
        self._posix = posix
        self._settled = settled
        self.size_bytes = os.fstat(fd).st_size

    def write(self, data: bytes) -> None:
        try:
            _write_all(self._posix, self._fd, data)
            self.size_bytes += len(data)
        except OSError:
            self.size_bytes = os.fstat(self._fd).st_size
            raise

    def truncate(self, size_bytes: int) -> None:
        if size_bytes != self.size_bytes:
            self._posix.truncate(self._fd, size_bytes)
            self.size_bytes = size_bytes

    def sync(self) -> None:
        self._posix.sync(self._fd)
        self._settled.add_content(os.fstat(self._fd))

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)


def _write_all(posix: Posix, fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]


def _entries(full: str) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing if it is gone, or is a file."""
    try:
        with os.scandir(full) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(path) from error
