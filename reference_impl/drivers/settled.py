"""Which files are known to be durable, so that nothing is synced twice."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

_REMEMBERED_MAX = 4096


class Settled:
    """Files that this process synced, with the folders above them.  Thread-safe.

    A file is told by its inode and the time of its last change, as someone else may have put another one in
    its place and been killed before syncing it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def add(self, full: str, found: os.stat_result) -> None:
        with self._guard:
            self._known[full] = _identity(found)
            self._known.move_to_end(full)
            if len(self._known) > _REMEMBERED_MAX:
                self._known.popitem(last=False)

    def has(self, full: str, found: os.stat_result) -> bool:
        """Whether the file that is there now is the one that was synced."""
        with self._guard:
            return self._known.get(full) == _identity(found)

    def may_have(self, full: str) -> bool:
        return full in self._known


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
