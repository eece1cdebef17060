"""The memory driver: the same promises within one process, and nothing kept after it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .base import Busy, DriverError, NotFound, Stat, checked, link_each, walk_files, write_each


@dataclass(slots=True)
class _File:
    data: bytearray
    mtime_ns: int
    writer: object | None = None


@dataclass(slots=True)
class _LockState:
    holders: int = 0  # -1: one exclusive holder
    users: int = 0


@dataclass(slots=True)
class _Folder:
    mtime_ns: int
    names: set[str] = field(default_factory=set)


class MemoryDriver:
    """Files and folders in dictionaries, guarded by one lock."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._files: dict[str, _File] = {}
        self._folders: dict[str, _Folder] = {"": _Folder(time.time_ns())}
        self._locks: dict[str, _LockState] = {}
        self._locks_changed = threading.Condition()

    # -- reading ---------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        with self._guard:
            return bytes(self._file(path).data)

    def open(self, path: str) -> MemoryReader:
        with self._guard:
            return MemoryReader(bytes(self._file(path).data))

    def stat(self, path: str) -> Stat:
        with self._guard:
            folder = self._folders.get(path)
            if folder is not None:
                return Stat(0, folder.mtime_ns, True)
            file = self._file(path)
            return Stat(len(file.data), file.mtime_ns, False)

    def list(self, path: str) -> list[str]:
        with self._guard:
            folder = self._folders.get(path)
            if folder is None:
                raise NotFound(path)
            return sorted(folder.names)

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        return walk_files(self, path)

    # -- writing ---------------------------------------------------------------------------

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        with self._guard:
            self._enter(path)
            self._files[path] = _File(bytearray(data), time.time_ns())

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        write_each(self, files)

    def create(self, path: str) -> None:
        with self._guard:
            self._enter(path)
            self._files.setdefault(path, _File(bytearray(), time.time_ns()))

    def settle(self, path: str) -> None:
        self.stat(path)

    def settle_all(self) -> None:
        pass

    def append(self, path: str) -> MemoryAppender:
        with self._guard:
            file = self._file(path)
            if file.writer is not None:
                raise Busy(path)
            appender = MemoryAppender(file, self._guard)
            file.writer = appender
            return appender

    def touch(self, path: str, after_ns: int = 0) -> None:
        with self._guard:
            self._file(path).mtime_ns = max(time.time_ns(), after_ns + 1)

    def make_folder(self, path: str) -> None:
        with self._guard:
            self._make(f"{checked(path)}/.")
            self._folders[path].names.discard(".")

    def move(self, source: str, target: str) -> None:
        with self._guard:
            if source in self._folders:
                self._move_folder(source, target)
                return
            file = self._file(source)
            self._enter(target)
            self._files[target] = file
            self._leave(source)

    def link(self, source: str, target: str) -> None:
        with self._guard:
            file = self._file(source)
            self._enter(target)
            self._files[target] = file

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        return link_each(self, pairs)

    def delete(self, path: str) -> None:
        with self._guard:
            if path in self._folders:
                for name in list(self._folders[path].names):
                    self.delete(f"{path}/{name}")
                del self._folders[path]
                self._forget(path)
            else:
                self._file(path)
                self._leave(path)

    def discard(self, path: str) -> None:
        with self._guard:
            is_folder = path in self._folders
            self.delete(path)
            if not is_folder:
                self.remove_empty(path.rpartition("/")[0])

    def remove_empty(self, path: str) -> None:
        with self._guard:
            folder = self._folders.get(path)
            if folder is not None and not folder.names:
                del self._folders[path]
                self._forget(path)

    def clear_leftovers(self, before_ns: int) -> int:
        return 0

    @contextlib.contextmanager
    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        with self._locks_changed:
            state = self._locks.setdefault(path, _LockState())
            state.users += 1
            try:
                while state.holders < 0 or (state.holders > 0 and not shared):
                    if not wait:
                        raise Busy(path)
                    self._locks_changed.wait()
                state.holders = state.holders + 1 if shared else -1
            except BaseException:
                self._release_user(path, state)
                raise
        try:
            yield
        finally:
            with self._locks_changed:
                state.holders = state.holders - 1 if shared else 0
                self._release_user(path, state)
                self._locks_changed.notify_all()

    def _release_user(self, path: str, state: _LockState) -> None:
        state.users -= 1
        if not state.users:
            del self._locks[path]

    # -- the tree --------------------------------------------------------------------------

    def _file(self, path: str) -> _File:
        try:
            return self._files[path]
        except KeyError:
            raise NotFound(path) from None

    def _enter(self, path: str) -> None:
        """Make the parents of a path and enter its name in the last of them.  Raises Misplaced."""
        self._make(checked(path))

    def _make(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if parent not in self._folders:
            if parent in self._files:
                raise DriverError(f"{parent} is a file")
            self._make(parent)
            self._folders[parent] = _Folder(time.time_ns())
        self._folders[parent].names.add(name)

    def _forget(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if parent in self._folders:
            self._folders[parent].names.discard(name)

    def _leave(self, path: str) -> None:
        del self._files[path]
        self._forget(path)

    def _move_folder(self, source: str, target: str) -> None:
        if target in self._files or (target in self._folders and self._folders[target].names):
            raise DriverError(f"{target} exists")
        self._enter(target)
        prefix = source + "/"
        self._folders[target] = self._folders.pop(source)
        for path in [path for path in self._folders if path.startswith(prefix)]:
            self._folders[target + path[len(source) :]] = self._folders.pop(path)
        for path in [path for path in self._files if path.startswith(prefix)]:
            self._files[target + path[len(source) :]] = self._files.pop(path)
        self._forget(source)


class MemoryReader:
    """See ``base.Reader``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read_at(self, offset: int, length_bytes: int) -> bytes:
        return self._data[offset : offset + length_bytes]

    def close(self) -> None:
        self._data = b""


class MemoryAppender:
    """See ``base.Appender``."""

    def __init__(self, file: _File, guard: threading.RLock) -> None:
        self._file = file
        self._guard = guard
        self.size_bytes = len(file.data)

    def write(self, data: bytes) -> None:
        with self._guard:
            self._file.data += data
            self._file.mtime_ns = time.time_ns()
            self.size_bytes = len(self._file.data)

    def truncate(self, size_bytes: int) -> None:
        with self._guard:
            del self._file.data[size_bytes:]
            self.size_bytes = size_bytes

    def sync(self) -> None:
        pass

    def close(self) -> None:
        with self._guard:
            if self._file.writer is self:
                self._file.writer = None
