"""Which folders survive a power cut, and making it so.

A name is durable once its folder was synced after the name came to be, and so were the folders above it.
That a folder is there says nothing: whoever made it may have been killed before syncing the folder above.  So
only those folders are trusted whose names this process has synced.  Other processes may remove a folder and
make it again; each trusted folder is therefore kept open, which keeps its inode's number from being given to
another one, and is told by that number.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict

from .posix import Posix

_TRUSTED_MAX = 256
_SEEN_MAX = 1024
_ATTEMPTS = 10


class Folders:
    """Thread-safe.  Paths are absolute."""

    def __init__(self, posix: Posix) -> None:
        self._posix = posix
        self._guard = threading.Lock()
        self._trusted: OrderedDict[str, _Pin] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def make(self, full: str, attempts: int = _ATTEMPTS) -> None:
        """Make a folder and those above it, as far as they are missing; not durable.  Others may remove it at
        once, if they find it empty."""
        try:
            self._posix.make_folder(full)
        except FileExistsError:
            if os.path.lexists(full) and not os.path.isdir(full):
                raise NotADirectoryError(full) from None
        except FileNotFoundError:
            if not attempts:  # not removed by others each time: there can be no folders here
                raise
            self.make(os.path.dirname(full))
            self.make(full, attempts - 1)

    def settle(self, full: str) -> None:
        """Make what was done to the names in a folder durable, down to it; nothing if it is gone by now."""
        if not self._posix.fsync:
            return
        with contextlib.suppress(FileNotFoundError):
            self._posix.sync_folder(full)
            if self._trusts(full):
                return
            if self._came_before(full):  # most folders are settled once, and not worth to be kept open
                self._settle_above(full)
            else:
                above = os.path.dirname(full)
                self._posix.sync_folder(above)
                self._settle_above(above)

    def settle_removals(self, full: str) -> None:
        """Make it durable that names in a folder are gone, as far as they ever were durable."""
        if self._posix.fsync:
            with contextlib.suppress(FileNotFoundError):
                self._posix.sync_folder(full)

    def make_durable(self, full: str) -> None:
        """Make a folder and those above it, durably."""
        if self._trusts(full):
            return
        self.make(full)
        if self._posix.fsync:
            self._settle_above(full)

    def _settle_above(self, full: str) -> None:
        """Make a folder's own name durable."""
        while not self._trusts(full):
            above = os.path.dirname(full)
            if above == full:
                return
            pin = _Pin(full)
            try:
                self._posix.sync_folder(above)
            except PermissionError:  # not ours, so it was there before us
                return
            self._trust(full, pin)
            full = above

    def _came_before(self, full: str) -> bool:
        with self._guard:
            came_before = full in self._seen
            self._seen[full] = None
            if len(self._seen) > _SEEN_MAX:
                self._seen.popitem(last=False)
            return came_before

    def _trusts(self, full: str) -> bool:
        with self._guard:
            pin = self._trusted.get(full)
            if pin is None:
                return False
            self._trusted.move_to_end(full)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = os.stat(full)
            return (found.st_dev, found.st_ino) == pin.identity
        return False

    def _trust(self, full: str, pin: _Pin) -> None:
        with self._guard:
            self._trusted[full] = pin
            self._trusted.move_to_end(full)
            if len(self._trusted) > _TRUSTED_MAX:
                self._trusted.popitem(last=False)


class _Pin:
    """An open folder, closed when nobody refers to it any more."""

    __slots__ = ("_fd", "identity")

    def __init__(self, full: str) -> None:
        self._fd = -1
        self._fd = os.open(full, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self.identity = (found.st_dev, found.st_ino)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
