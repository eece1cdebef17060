"""The driver: files are objects, folders are what their keys have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Lock

from ..base import NotFound, Stat, checked, link_each, write_each
from . import leftovers, owner
from .appends import ObjectAppender
from .bucket import DELETED_AT_ONCE_MAX, Bucket, Found, Written
from .coordination import Coordination
from .place import PART_BYTES, Place
from .reader import ObjectReader, open_found
from .shelf import Shelf
from .state import fresh

_LINKS_AT_ONCE = 8
_LOCAL_KEPT_NS = 30 * 86400 * 10**9
"""Leases may still count as fresh, and spools may be of a session, longer than leftovers are kept."""
_SERVER_TIME_STEP_NS = 10**9
_KNOWN_FOLDERS_MAX = 65536


class S3Driver:
    """``prefix`` begins all keys.  ``scratch``, ``leased`` and ``owner`` are paths: a folder for what is not
    finished, a folder whose files have exact modification times, and the object that says whose this is.

    Does not ask the server for anything before its first use; call `claim` first.
    """

    def __init__(
        self,
        place: Place,
        coordination: str,
        *,
        prefix: str = "",
        scratch: str,
        leased: str,
        owner: str,
        part_size_bytes: int = PART_BYTES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.bucket = Bucket(place)
        self._clock = clock
        self._leased = leased + "/"
        self._owner = owner
        self._coordination = Coordination(coordination, clock)
        self._leases = self._coordination.leases
        self._shelf = Shelf(
            self.bucket, self._coordination, prefix=prefix, scratch=scratch, part_bytes=part_size_bytes
        )
        self._guard = Lock()
        self._appenders: dict[str, ObjectAppender] = {}
        self._known_folders: set[str] = set()
        self._linkers = ThreadPoolExecutor(_LINKS_AT_ONCE, thread_name_prefix="s3-link")

    def claim(self, *, take_over: bool = False) -> None:
        """Become the owner of what is below the prefix, or see that we are.

        Raises DriverError if another coordination folder owns it, unless it is taken over; Unavailable.
        """
        owner.claim(self.bucket, self._key(self._owner), self._coordination, take_over=take_over)

    def look(self) -> None:
        """See that the bucket can be read.  Raises DriverError, Unavailable."""
        next(self.bucket.pages(self._shelf.prefix, entries=1))

    # -- reading ---------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        reader = self.open(path)
        try:
            return reader.read_at(0, reader.size_bytes)
        finally:
            reader.close()

    def open(self, path: str) -> ObjectReader:
        if self._appender(path) is None:
            found, body = self.bucket.get(self._key(path))
            extent = self._shelf.extent(path, found) if found.metadata else None
            if extent is None or extent.is_one_object:
                return ObjectReader(self.bucket, found, body)
            body.close()
        with self._whole(path) as whole:
            if whole is None:
                raise NotFound(path)
            return open_found(self.bucket, whole)

    def stat(self, path: str) -> Stat:
        appender = self._appender(path)
        if appender is not None:
            return Stat(appender.size_bytes, max(appender.touched_ns, self._leases.get(path)), False)
        found = self._head(path)
        if found is None:
            first = self._first_below(path)
            return Stat(0, max(first.modified_ns, self._leases.get(path)), True)
        extent = self._shelf.extent(path, found)
        touched_ns = max(found.modified_ns, self._leases.get(path), extent.spooled_ns if extent else 0)
        return Stat(extent.size_bytes if extent else found.size_bytes, touched_ns, False)

    def list(self, path: str) -> list[str]:
        prefix = self._folder_key(path)
        names: set[str] = set()
        is_there = False
        for found, folders in self.bucket.pages(prefix, delimiter="/"):
            is_there |= bool(found or folders)
            names.update(key.removeprefix(prefix).rstrip("/") for key in folders)
            names.update(one.key.removeprefix(prefix) for one in found if one.key != prefix)
        if not is_there:
            raise NotFound(path)
        return sorted(names)

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """In order of keys.  Of an unfinished file the size is that of its tail."""
        many = f"{path}/".startswith(self._leased)
        lease_of = self._leases.all() if many else self._leases.get
        for found, _ in self.bucket.pages(self._folder_key(path)):
            for one in found:
                if not one.key.endswith("/"):
                    below = self._shelf.path(one.key)
                    yield below, Stat(one.size_bytes, max(one.modified_ns, lease_of(below)), False)

    # -- writing ---------------------------------------------------------------------------

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        with self._replacing(path):
            written = self.bucket.put(self._key(path), data)
        assert written is not None
        self._renew(path, written)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        write_each(self, files)

    def create(self, path: str) -> None:
        state = fresh(self._shelf.part_bytes)
        self.bucket.put(self._key(path), b"", state.metadata(), new=True)

    def settle(self, path: str) -> None:
        appender = self._appender(path)
        if appender is not None:
            appender.sync()
        elif self._head(path) is None:
            self._first_below(path)
            raise NotFound(path)

    def settle_all(self) -> None:
        """Whatever a request changed was durable when it was answered."""

    def append(self, path: str) -> ObjectAppender:
        lock = None
        try:
            with self._coordination.guard([path]):
                lock = self._coordination.append(path)
                found = self._head(path)
            if found is None:
                self._first_below(path)
                raise NotFound(path)
            appender = ObjectAppender(self._shelf, path, lock, found, self._clock, self._closed)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        with self._guard:
            self._appenders[path] = appender
        return appender

    def touch(self, path: str, after_ns: int = 0) -> None:
        found = self.stat(path)
        self._leases.renew(path, max(after_ns, found.mtime_ns))

    def make_folder(self, path: str) -> None:
        if path not in self._known_folders:
            self.bucket.put(self._folder_key(path), b"")
            with self._guard:
                if len(self._known_folders) >= _KNOWN_FOLDERS_MAX:
                    self._known_folders.clear()
                self._known_folders.add(path)

    def link(self, source: str, target: str) -> None:
        if not self._copy(source, target):
            self._first_below(source)
            raise NotFound(source)

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        def one(pair: tuple[str, str]) -> set[str]:
            return link_each(self, [pair])

        return set().union(*self._linkers.map(one, pairs))

    def move(self, source: str, target: str) -> None:
        if self._copy(source, target):
            self._remove([source])
        else:
            self._move_folder(source, target)

    def delete(self, path: str) -> None:
        found = self._head(path)
        if found is None:
            self._delete_folder(path)
        else:
            self._shelf.note(path, found)
            self._remove([path])

    def discard(self, path: str) -> None:
        """Its folder goes by itself, unless `make_folder` made it, and not this process."""
        self.delete(path)
        folder = path.rpartition("/")[0]
        if folder in self._known_folders:
            self.remove_empty(folder)

    def remove_empty(self, path: str) -> None:
        marker = self._folder_key(path)
        found, _ = next(self.bucket.pages(marker, entries=2))
        if [one.key for one in found] == [marker]:
            self._forget_folders(path)
            self.bucket.delete([marker])

    def clear_leftovers(self, before_ns: int) -> int:
        cleared = leftovers.clear_bucket(self._shelf, self.append, self._remove, before_ns)
        return cleared + self._coordination.clear(before_ns - _LOCAL_KEPT_NS)

    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> AbstractContextManager[None]:
        return self._coordination.lock(path, shared=shared, wait=wait)

    # -- objects ---------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return self._shelf.key(checked(path))

    def _head(self, path: str) -> Found | None:
        """None also if the bucket is gone: go on with `_first_below`, which tells."""
        return self.bucket.head(self._key(path)) if path else None

    @contextmanager
    def _whole(self, path: str) -> Iterator[Found | None]:
        """Make a file one object, for so long; None as of `_head`.

        Raises Busy if another process is appending to it.
        """
        appender = self._appender(path)
        if appender is not None:
            yield appender.finish()
            return
        found = self._head(path)
        extent = self._shelf.extent(path, found) if found is not None else None
        if extent is None or extent.is_one_object:
            yield found
            return
        appender = self.append(path)
        try:
            yield appender.finish()
        finally:
            appender.close()

    def _copy(self, source: str, target: str) -> bool:
        """Copy a file; False if there is none."""
        with self._whole(source) as whole:
            if whole is None:
                return False
            with self._replacing(target):
                written = self.bucket.copy(whole, self._key(target))
        self._renew(target, written)
        return True

    def _renew(self, path: str, written: Written) -> None:
        """Make the modification time of a file that was just replaced one that it never had."""
        if path.startswith(self._leased):
            self._leases.renew(path, written.server_ns + _SERVER_TIME_STEP_NS)

    @contextmanager
    def _replacing(self, path: str) -> Iterator[None]:
        """Take a path from who appends to it, if anyone does."""
        if not self._coordination.is_appended(path):
            yield
            return
        with self._coordination.guard([path]):
            self._coordination.break_append(path)
            yield

    def _remove(self, paths: Sequence[str]) -> None:
        """Delete files, at most 1000, and all that belongs to them."""
        with self._coordination.guard(paths):
            for path in paths:
                self._coordination.break_append(path)
            self.bucket.delete([self._shelf.key(path) for path in paths])  # also folders' markers
        for path in paths:
            self._leases.drop(path)
            self._shelf.forget(path)

    # -- appenders -------------------------------------------------------------------------

    def _appender(self, path: str) -> ObjectAppender | None:
        """Return this process's writer of a path, if what it writes to is still there."""
        appender = self._appenders.get(path)
        return appender if appender is not None and appender.is_alive else None

    def _closed(self, appender: ObjectAppender) -> None:
        with self._guard:
            if self._appenders.get(appender.path) is appender:
                del self._appenders[appender.path]

    # -- folders ---------------------------------------------------------------------------

    def _folder_key(self, path: str) -> str:
        return f"{self._key(path)}/" if path else self._shelf.prefix

    def _first_below(self, path: str) -> Found:
        """Return the first object of a folder, maybe its marker.  Raises NotFound if there is none."""
        found, _ = next(self.bucket.pages(self._folder_key(path), entries=1))
        if not found:
            raise NotFound(path)
        return found[0]

    def _move_folder(self, source: str, target: str) -> None:
        keys = [one.key for found, _ in self.bucket.pages(self._folder_key(source)) for one in found]
        if not keys:
            raise NotFound(source)
        for path in (self._shelf.path(key) for key in reversed(keys)):
            moved = target + path.removeprefix(source)
            if path.endswith("/"):
                self.bucket.put(self._folder_key(moved.removesuffix("/")), b"")
            else:
                self._copy(path, moved)
        self._delete_folder(source)

    def _delete_folder(self, path: str) -> None:
        marker = self._folder_key(path)
        is_there = is_marked = False
        self._forget_folders(path)
        for found, _ in self.bucket.pages(marker):
            below = [self._shelf.path(one.key) for one in found if one.key != marker]
            is_marked |= len(below) < len(found)
            if below and not is_there:
                self._remove(below[:1])
                below = below[1:]
            for first in range(0, len(below), DELETED_AT_ONCE_MAX):
                self._remove(below[first : first + DELETED_AT_ONCE_MAX])
            is_there |= bool(found)
        if not is_there:
            raise NotFound(path)
        if is_marked:
            self.bucket.delete([marker])

    def _forget_folders(self, path: str) -> None:
        with self._guard:
            below = path + "/"
            self._known_folders = {
                one for one in self._known_folders if one != path and not one.startswith(below)
            }
