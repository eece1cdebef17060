"""Which files are known to be durable, so that nothing is synced twice."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED_MAX = 4096


class Settled:
    """Files that this process synced, with the folders above them.  Thread-safe.

    A file is told by its inode and the time of its last change, as someone else may have put another one in
    its place and been killed before syncing it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._files: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._contents: OrderedDict[tuple[int, ...], None] = OrderedDict()

    def add(self, full: str, found: os.stat_result) -> None:
        with self._guard:
            _remember(self._files, full, _identity(found))

    def has(self, full: str, found: os.stat_result) -> bool:
        """Whether the file that is there now is the one that was synced."""
        with self._guard:
            return self._files.get(full) == _identity(found)

    def may_have(self, full: str) -> bool:
        return full in self._files

    def add_content(self, found: os.stat_result) -> None:
        """Remember a file whose content was synced, but not its name."""
        with self._guard:
            _remember(self._contents, _content(found), None)

    def has_content(self, found: os.stat_result) -> bool:
        with self._guard:
            return _content(found) in self._contents


def _remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _REMEMBERED_MAX:
        known.popitem(last=False)


def _content(found: os.stat_result) -> tuple[int, ...]:
    """Says nothing of the last change, which renaming is one of."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
