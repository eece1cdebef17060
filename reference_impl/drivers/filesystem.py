"""The file system driver: atomic replacement, and durable down to the parent folders.

A file is written under a temporary name in the scratch folder, synced, renamed into place, and the
folder is synced; so are the parents of every folder that had to be made.  A kill leaves at most a
file in the scratch folder; a power cut loses nothing that was answered for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator

from .base import Busy, NotFound, Stat

_KNOWN_FOLDERS_MAX = 65536
_RENAME_ATTEMPTS = 10


class FilesystemDriver:
    """Stores below ``root``; temporary files go to ``scratch``, a path relative to it."""

    def __init__(self, root: str, *, scratch: str, fsync: bool = True) -> None:
        self._root = os.path.abspath(root)
        self._scratch = scratch
        self._fsync = fsync
        self._folder_guard = threading.Lock()
        self._durable_folders: set[str] = set()

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
        is_dir = (found.st_mode & 0o170000) == 0o040000
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

    def write(self, path: str, data: bytes) -> None:
        temporary = self._temporary()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                self._sync(fd)
            finally:
                os.close(fd)
            self._rename(temporary, self._full(path))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def create(self, path: str) -> None:
        full = self._full(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))

    def append(self, path: str) -> FileAppender:
        full = self._full(path)
        with _translated(path):
            fd = os.open(full, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                _flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
                if not _same_file(fd, full):  # published or removed while we came
                    raise NotFound(path)
                return FileAppender(fd, fsync=self._fsync)
            except BaseException:
                os.close(fd)
                raise

    def touch(self, path: str, after_ns: int = 0) -> None:
        # An explicit time: the kernel's own "now" is that of the last tick, some ms in the past.
        now_ns = max(time.time_ns(), after_ns + 1)
        with _translated(path):
            os.utime(self._full(path), ns=(now_ns, now_ns))

    def make_folder(self, path: str) -> None:
        self._ensure_folder(self._full(path))

    def move(self, source: str, target: str) -> None:
        full = self._full(source)
        with _translated(source):
            os.stat(full)
            self._rename(full, self._full(target))

    def link(self, source: str, target: str) -> None:
        temporary = self._temporary()
        with _translated(source):
            os.link(self._full(source), temporary)
            self._rename(temporary, self._full(target))
        # Renaming one name of a file over another name of the same file leaves both.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        linked, folders = set(), set()
        for source, target in pairs:
            full = self._full(target)
            folder = os.path.dirname(full)
            if folder not in folders:
                self._ensure_folder(folder)
                folders.add(folder)
            try:
                os.link(self._full(source), full)
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                try:
                    self.link(source, target)  # it tells the reasons apart
                except NotFound:
                    continue
            linked.add(target)
        for folder in folders:
            self._sync_folder(folder)
        return linked

    def delete(self, path: str) -> None:
        full = self._full(path)
        with _translated(path):
            if os.path.isdir(full) and not os.path.islink(full):
                doomed = self._temporary()
                os.rename(full, doomed)
                self._sync_folder(os.path.dirname(full))
                shutil.rmtree(doomed, ignore_errors=True)
            else:
                os.unlink(full)
                self._sync_folder(os.path.dirname(full))

    def discard(self, path: str) -> None:
        full = self._full(path)
        with _translated(path):
            os.unlink(full)
        folder = os.path.dirname(full)
        with self._folder_guard:
            try:
                os.rmdir(folder)
            except OSError:
                return
            self._durable_folders.discard(folder)

    def remove_empty(self, path: str) -> None:
        full = self._full(path)
        with self._folder_guard:
            try:
                os.rmdir(full)
            except OSError:
                return
            self._durable_folders.discard(full)
        with contextlib.suppress(FileNotFoundError):
            self._sync_folder(os.path.dirname(full))

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
                    self.delete(path)
                    cleared += 1
        return cleared

    @contextlib.contextmanager
    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        full = self._full(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            fd = os.open(full, flags, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            fd = os.open(full, flags, 0o644)
        try:
            operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            _flock(fd, operation if wait else operation | fcntl.LOCK_NB, path)
            yield
        finally:
            os.close(fd)

    # -- durability ------------------------------------------------------------------------

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _temporary(self) -> str:
        folder = self._full(self._scratch)
        if folder not in self._durable_folders:
            self._ensure_folder(folder)
        return f"{folder}/{uuid.uuid4().hex}"

    def _sync(self, fd: int) -> None:
        if self._fsync:
            os.fsync(fd)

    def _sync_folder(self, full: str) -> None:
        if not self._fsync:
            return
        fd = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _rename(self, source: str, target: str) -> None:
        folder = os.path.dirname(target)
        for _ in range(_RENAME_ATTEMPTS):
            self._ensure_folder(folder)
            try:
                os.rename(source, target)
                self._sync_folder(folder)
                return
            except FileNotFoundError:
                # A collector removed the empty folder between our two steps: make it again.
                if not os.path.lexists(source):
                    raise
                with self._folder_guard:
                    self._durable_folders.clear()
        raise NotFound(target)

    def _ensure_folder(self, full: str) -> None:
        """Make a folder durably: each folder's entry is synced before anyone relies on it.

        A folder that exists may have been made a moment ago by another thread that has not
        synced its parent yet; so only folders this driver has synced itself are trusted.
        """
        if full in self._durable_folders:
            return
        with self._folder_guard:
            if len(self._durable_folders) > _KNOWN_FOLDERS_MAX:
                self._durable_folders.clear()
            self._ensure_folder_guarded(full)

    def _ensure_folder_guarded(self, full: str) -> None:
        if full in self._durable_folders:
            return
        parent = os.path.dirname(full)
        inside = len(full) > len(self._root)
        if inside:
            self._ensure_folder_guarded(parent)
        try:
            os.mkdir(full)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._ensure_folder_guarded_parents(parent)
            os.mkdir(full)
        self._sync_folder(parent)
        self._durable_folders.add(full)

    def _ensure_folder_guarded_parents(self, full: str) -> None:
        self._durable_folders.clear()
        missing = []
        while not os.path.isdir(full):
            missing.append(full)
            full = os.path.dirname(full)
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
            self._sync_folder(os.path.dirname(folder))


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

    def __init__(self, fd: int, *, fsync: bool) -> None:
        self._fd = fd
        self._open = True
        self._fsync = fsync
        self.size_bytes = os.fstat(fd).st_size

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self.size_bytes += written
            view = view[written:]

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._fd, size_bytes)
        self.size_bytes = size_bytes

    def sync(self) -> None:
        if self._fsync:
            os.fsync(self._fd)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)


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


def _flock(fd: int, operation: int, path: str) -> None:
    try:
        fcntl.flock(fd, operation)
    except BlockingIOError as error:
        raise Busy(path) from error


def _same_file(fd: int, full: str) -> bool:
    mine, theirs = os.fstat(fd), os.stat(full)
    return (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)
