"""What the registry asks of a storage driver.

Paths are relative, ``/``-separated, and never contain ``..``; the registry builds them from
validated names only, and drivers refuse all others.  A driver knows nothing of what it stores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


class DriverError(Exception):
    """Base of all refusals by a driver."""


class NotFound(DriverError):
    """Nothing is stored under the path."""


class Misplaced(DriverError):
    """This is no path that can lead below where a driver stores."""


class Unavailable(DriverError):
    """The backend does not answer, or cannot just now: nothing is known about the path."""


class Busy(DriverError):
    """Someone else holds the lock, and the caller did not want to wait."""


def checked(path: str) -> str:
    """Return a path as it is; "" is where everything is below.  Raises Misplaced."""
    closed = f"/{path}/"
    if path and ("//" in closed or "/../" in closed or "/./" in closed or "\0" in path):
        raise Misplaced(repr(path))
    return path


@dataclass(frozen=True, slots=True)
class Stat:
    """``size_bytes`` is 0 for folders; ``mtime_ns`` counts from the Unix epoch."""

    size_bytes: int
    mtime_ns: int
    is_dir: bool


class Reader(Protocol):
    """An opened file.  When the path is replaced or deleted meanwhile, it keeps reading the same
    bytes or raises DriverError; it never mixes two contents."""

    size_bytes: int

    def read_at(self, offset: int, length_bytes: int) -> bytes:
        """Return up to ``length_bytes`` from ``offset``; empty at the end."""

    def close(self) -> None: ...


class Appender(Protocol):
    """The only writer of a file.  What it was given survives a kill; ``sync`` a power cut too."""

    size_bytes: int

    def write(self, data: bytes) -> None: ...

    def truncate(self, size_bytes: int) -> None: ...

    def sync(self) -> None:
        """Make the content durable, not the name: that is for ``Driver.move`` or ``Driver.settle``."""

    def close(self) -> None:
        """Give up the file and its lock.  Does not sync.  May be called twice."""


class Driver(Protocol):
    """Storage with POSIX-like guarantees.  Every method may be called from any thread, and may raise
    OSError, Unavailable or Misplaced; NotFound only if the backend itself said so.  A folder that becomes
    empty may go by itself, unless ``make_folder`` made it."""

    def read(self, path: str) -> bytes:
        """Return the whole file.  Raises NotFound."""

    def open(self, path: str) -> Reader:
        """Open for reading at offsets.  Raises NotFound."""

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Replace the file atomically and durably; makes parent folders.  Not ``durable``: the old or the
        new content survives a kill, and a power cut only after ``settle``."""

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """``write`` for each path and content, in order, as cheaply as several at once can be.  They are
        durable on return, and may be seen before."""

    def create(self, path: str) -> None:
        """Make an empty file, not yet durable; makes parent folders."""

    def settle(self, path: str) -> None:
        """Make a file durable, and all names in its folder; of a folder, the names in it and those that are
        gone.  For what was not written durably, or by someone who may not have come to that.  Raises
        NotFound."""

    def settle_all(self) -> None:
        """Make everything durable that anybody has done until now, above all removals: before something is
        destroyed because something else is gone."""

    def append(self, path: str) -> Appender:
        """Become the only writer of an existing file.  Raises NotFound, Busy."""

    def stat(self, path: str) -> Stat:
        """Raises NotFound."""

    def touch(self, path: str, after_ns: int = 0) -> None:
        """Set the modification time to now, and later than ``after_ns``.  Raises NotFound."""

    def list(self, path: str) -> list[str]:
        """Return the sorted names in a folder.  Raises NotFound."""

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """Yield every file below a folder, with its path; nothing if there is no such folder."""

    def make_folder(self, path: str) -> None:
        """Make a folder and its parents durably; no error if it exists."""

    def move(self, source: str, target: str) -> None:
        """Rename; the new name is durable.  A file replaces a file.  Raises NotFound."""

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, durably, replacing the target.  Raises NotFound."""

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        """`link` for each source and target, as cheaply as many at once can be.  Returns the targets,
        without those whose source is absent; they are durable on return, and may be seen before."""

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with all below it, in one visible step.  Raises NotFound."""

    def discard(self, path: str) -> None:
        """Remove a file that nobody will miss, and its folder if nothing else is in it; or a folder with all
        below it.  Not durable: a power cut may bring some of it back.  Raises NotFound."""

    def remove_empty(self, path: str) -> None:
        """Remove the folder if nothing is in it; otherwise do nothing.  Not durable."""

    def clear_leftovers(self, before_ns: int) -> int:
        """Remove what killed writers left behind, if untouched since ``before_ns``; returns how many.

        Only what no name leads to: temporary files, abandoned multipart uploads.
        """

    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> AbstractContextManager[None]:
        """Hold an advisory lock, between threads and processes.  Raises Busy unless ``wait``."""


def write_each(driver: Driver, files: Iterable[tuple[str, bytes]]) -> None:
    """`Driver.write_all` by way of `Driver.write`."""
    for path, data in files:
        driver.write(path, data)


def link_each(driver: Driver, pairs: Iterable[tuple[str, str]]) -> set[str]:
    """`Driver.link_all` by way of `Driver.link`."""
    linked = set()
    for source, target in pairs:
        with contextlib.suppress(NotFound):
            driver.link(source, target)
            linked.add(target)
    return linked


def walk_files(driver: Driver, path: str) -> Iterator[tuple[str, Stat]]:
    """Every file below ``path`` by way of `Driver.list` and `Driver.stat`, in order of names; what goes away
    meanwhile is left out."""
    try:
        names = driver.list(path)
    except NotFound:
        return
    for name in names:
        below = f"{path}/{name}"
        try:
            found = driver.stat(below)
        except NotFound:
            continue
        if found.is_dir:
            yield from driver.walk(below)
        else:
            yield below, found
