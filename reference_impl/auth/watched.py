"""Files that an operator changes while the server runs."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from .settings import BadSettings

T = TypeVar("T")

_SETTLED_NS = 100_000_000
"""A file that changed less than this ago may change again without its times telling."""

_log = logging.getLogger(__name__)

Stamp = tuple[tuple[str, int, int, int, int], ...]


class BadFile(ValueError):
    """A file that cannot be understood: one line that says where and why."""


class Watched(Generic[T]):
    """What is in a file, or in the files of a folder, as it is now.

    ``load`` reads it and raises BadFile.  At first that is an error (BadSettings, under ``setting``).
    Later a version that cannot be understood changes nothing but for a warning, and a file that is gone or
    may not be read counts as ``empty``.
    """

    def __init__(self, setting: str, path: str, load: Callable[[str], T], empty: T) -> None:
        self._setting = setting
        self._path = path
        self._load = load
        self._empty = empty
        self._guard = threading.Lock()
        self._warned = ""
        self._stamp = _settled(_stamp(path))
        try:
            self._value = load(path)
        except OSError as error:
            raise BadSettings(f"{setting}: {path}: {error.strerror}") from None
        except BadFile as error:
            raise BadSettings(f"{setting}: {error}") from None

    def current(self) -> T:
        if _stamp(self._path) != self._stamp:
            with self._guard:
                self._renew()
        return self._value

    def _renew(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            value = self._load(self._path)
            warning = ""
        except OSError as error:
            value = self._empty
            warning = (
                f"{self._setting}: {self._path}: {error.strerror}: what was in it does not count any more"
            )
        except BadFile as error:
            value = self._value
            warning = f"{self._setting}: {error}: what was there before stays in force"
        if warning and warning != self._warned:
            _log.warning("%s", warning)
        self._warned = warning
        if value != self._value:  # else what was concluded from the same value stays good
            self._value = value
        self._stamp = _settled(stamp)


def _stamp(path: str) -> Stamp:
    """Tell one state of a file or folder from another, without reading it."""
    try:
        found = [(path, os.stat(path))]
        if stat.S_ISDIR(found[0][1].st_mode):
            found += [(entry, one) for entry in sorted(os.listdir(path)) if (one := _stat(f"{path}/{entry}"))]
    except OSError:
        return ()
    return tuple((name, one.st_mtime_ns, one.st_ctime_ns, one.st_size, one.st_ino) for name, one in found)


def _stat(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def _settled(stamp: Stamp) -> Stamp | None:
    """The stamp, unless what it stands for may be changing just now."""
    changed_ns = max((max(mtime_ns, ctime_ns) for _, mtime_ns, ctime_ns, _, _ in stamp), default=0)
    return None if abs(time.time_ns() - changed_ns) < _SETTLED_NS else stamp
