"""The coordination folder: what the processes that serve or collect a bucket share on their host.

``id``        says which folder it is; the bucket's owner object names it
``locks``     advisory locks
``appends``   a file for each path that is being appended to, locked by its writer.  It has its name as long
              as what is stored there is the writer's: whoever replaces or deletes that removes the file
``guards``    locks around each step that depends on such a file still having its name
``leases``    modification times
``spool``     for each unfinished file the bytes that do not fill a part yet.  Below it is a folder for each
              boot of the host, as after a power cut nobody knows what is in a file that was not synced

It must be on a local file system that keeps modification times in nanoseconds, and must outlive the
process; losing it, while nobody serves the bucket, loses what no `sync` confirmed and all leases.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB
from hashlib import blake2b

from ..base import Busy, NotFound, checked
from ..locks import file_lock, flock, same_file
from .leases import Leases

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_LOCK_ATTEMPTS = 10


class Coordination:
    def __init__(self, folder: str, clock: Callable[[], int] = time.time_ns) -> None:
        self.folder = os.path.abspath(folder)
        self.id = _identity(self.folder)
        self.leases = Leases(f"{self.folder}/leases", clock)
        self.spool = f"{self.folder}/spool/{_boot()}"
        os.makedirs(self.spool, exist_ok=True)
        os.makedirs(f"{self.folder}/appends", exist_ok=True)

    def lock(self, path: str, *, shared: bool, wait: bool) -> AbstractContextManager[None]:
        return file_lock(f"{self.folder}/locks/{checked(path)}", path, shared=shared, wait=wait)

    @contextmanager
    def guard(self, paths: Iterable[str]) -> Iterator[None]:
        with ExitStack() as stack:
            for shard in sorted({_shard(_hashed(path)) for path in paths}):
                stack.enter_context(file_lock(f"{self.folder}/guards/{shard}", shard))
            yield

    def append(self, path: str) -> AppendLock:
        """Become the one who appends to a path.  The caller holds its guard.  Raises Busy."""
        full = self._append_file(path)
        for _ in range(_LOCK_ATTEMPTS):
            fd = os.open(full, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                flock(fd, LOCK_EX | LOCK_NB, path)
                if same_file(fd, full):
                    return AppendLock(self, path, full, fd)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise Busy(path)

    def break_append(self, path: str) -> None:
        """Take from whoever appends to a path what is stored there.  The caller holds its guard."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._append_file(path))

    def is_appended(self, path: str) -> bool:
        return os.path.exists(self._append_file(path))

    def clear(self, before_ns: int) -> int:
        """Remove leases, spools and locks of killed writers, if untouched since; returns how many."""
        cleared = self.leases.clear(before_ns)
        spools, boot = os.path.split(self.spool)
        for other in os.listdir(spools):
            if other != boot:
                shutil.rmtree(f"{spools}/{other}", ignore_errors=True)
                cleared += 1
        for folder in _before(self.spool, before_ns):
            if not _before(folder, before_ns, younger=True):
                shutil.rmtree(folder, ignore_errors=True)
                cleared += 1
        for file in _before(f"{self.folder}/appends", before_ns):
            shard = _shard(os.path.basename(file))
            with (
                file_lock(f"{self.folder}/guards/{shard}", shard),
                contextlib.suppress(Busy),
                file_lock(file, file, wait=False),
            ):
                os.unlink(file)
                cleared += 1
        return cleared

    def _append_file(self, path: str) -> str:
        return f"{self.folder}/appends/{_hashed(path)}"


class AppendLock:
    """Held by the one who appends, until ``release``."""

    def __init__(self, coordination: Coordination, path: str, full: str, fd: int) -> None:
        self._coordination = coordination
        self._path = path
        self._full = full
        self._fd = fd

    @property
    def is_held(self) -> bool:
        """Whether what is stored under the path is still the holder's."""
        return self._fd >= 0 and same_file(self._fd, self._full)

    def check(self) -> None:
        """Raises NotFound if what was appended to has been replaced or deleted."""
        if not self.is_held:
            raise NotFound(self._path)

    def release(self) -> None:
        if self._fd < 0:
            return
        with self._coordination.guard([self._path]):
            if self.is_held:
                os.unlink(self._full)
        fd, self._fd = self._fd, -1
        os.close(fd)


def _hashed(path: str) -> str:
    return blake2b(path.encode(), digest_size=16).hexdigest()


def _shard(hashed: str) -> str:
    return hashed[:2]


def _boot() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # not Linux: nobody tells a power cut from a kill
        return "any"


def _identity(folder: str) -> str:
    """Return the folder's name for itself, which is made when it is first used."""
    path = f"{folder}/id"
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(path):
        temporary = f"{path}.{uuid.uuid4().hex}"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(uuid.uuid4().hex)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(temporary, path)
        os.unlink(temporary)
        # A folder that forgot its name in a power cut would be a stranger to its own bucket.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _before(folder: str, before_ns: int, *, younger: bool = False) -> list[str]:
    """Return what is in a folder and was last modified before that, or with ``younger`` the others."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if (entry.stat().st_mtime_ns < before_ns) != younger:
                    found.append(entry.path)
    return found
