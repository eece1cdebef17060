"""A driver that lets nothing be written, over one whose storage may not allow it either."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager

from .base import Appender, Driver, DriverError


class ReadOnly(DriverError):
    """Nothing is written here."""


class ReadOnlyDriver:
    """Reads from ``driver``.  Locks and leases are left out: they are for those who write."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.read = driver.read
        self.open = driver.open
        self.stat = driver.stat
        self.list = driver.list
        self.walk = driver.walk

    def touch(self, path: str, after_ns: int = 0) -> None:
        pass

    def lock(self, path: str, *, shared: bool = False, wait: bool = True) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        raise ReadOnly(path)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        raise ReadOnly("write_all")

    def create(self, path: str) -> None:
        raise ReadOnly(path)

    def settle(self, path: str) -> None:
        raise ReadOnly(path)

    def settle_all(self) -> None:
        raise ReadOnly("settle_all")

    def append(self, path: str) -> Appender:
        raise ReadOnly(path)

    def make_folder(self, path: str) -> None:
        raise ReadOnly(path)

    def move(self, source: str, target: str) -> None:
        raise ReadOnly(source)

    def link(self, source: str, target: str) -> None:
        raise ReadOnly(target)

    def link_all(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        raise ReadOnly("link_all")

    def delete(self, path: str) -> None:
        raise ReadOnly(path)

    def discard(self, path: str) -> None:
        raise ReadOnly(path)

    def remove_empty(self, path: str) -> None:
        raise ReadOnly(path)

    def clear_leftovers(self, before_ns: int) -> int:
        raise ReadOnly("clear_leftovers")
