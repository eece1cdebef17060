"""A disk whose user dies at a chosen step."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reference_impl.drivers.posix import STEPS, Posix


class Died(BaseException):
    """Not an Exception: nothing that handles those must see it, as nothing runs after a kill."""


@dataclass(frozen=True, slots=True)
class Point:
    """Before step ``number`` (from 1), or in the middle of it, when half of a write is done."""

    number: int
    halfway: bool = False

    def __str__(self) -> str:
        return f"{self.number}{' halfway' if self.halfway else ''}"


class Mortal(Posix):
    """Counts steps, and dies at ``point``: by ``die``, which may not return.

    Whoever is dead writes nothing: every later step raises `Died` too. A step that changes nothing, such as
    to make a folder that is there, is none. Nothing is really synced: a kill leaves everything to the kernel.
    """

    def __init__(self, point: Point | None = None) -> None:
        super().__init__(fsync=True)
        self.point = point
        self.taken: list[str] = []
        self.dead = False
        self.one_at_a_time = threading.RLock()

    def points(self) -> list[Point]:
        """Every point at which what was done until now could have ended."""
        found = []
        for number, step in enumerate(self.taken, 1):
            found.append(Point(number))
            if step == "write":
                found.append(Point(number, halfway=True))
        return found

    def die(self) -> None:
        self.dead = True

    def revive(self) -> None:
        """Another process goes on; it does not die."""
        self.dead, self.point = False, None

    def write_half(self, fd: int, data: bytes) -> None:
        Posix.write(self, fd, data)

    def _before(self, step: str, arguments: tuple[Any, ...]) -> None:
        if not self.dead:
            if _changes_nothing(step, arguments):
                return
            self.taken.append(step)
            if self.point is None or len(self.taken) != self.point.number:
                return
            if self.point.halfway and step == "write":
                fd, data = arguments
                self.write_half(fd, bytes(data)[: len(data) // 2])
            self.die()
        raise Died


def _changes_nothing(step: str, arguments: tuple[Any, ...]) -> bool:
    """Whether it will be refused, or has no effect."""
    if step in ("make_folder", "create"):
        return os.path.lexists(arguments[0]) or not _has_place(arguments[0])
    if step in ("rename", "link"):
        return not os.path.lexists(arguments[0]) or not _has_place(arguments[1])
    if step in ("unlink", "set_time"):
        return not os.path.lexists(arguments[0]) or (step == "unlink" and os.path.isdir(arguments[0]))
    if step == "remove_folder":
        return not os.path.isdir(arguments[0]) or bool(os.listdir(arguments[0]))
    return False


def _has_place(full: str) -> bool:
    return os.path.isdir(os.path.dirname(full))


def _counted(name: str) -> Callable[..., Any]:
    real = getattr(Posix, name)

    def step(self: Mortal, *arguments: Any) -> Any:
        with self.one_at_a_time:
            self._before(name, arguments)
            return None if name.startswith("sync") else real(self, *arguments)

    return step


for _name in STEPS:
    setattr(Mortal, _name, _counted(_name))
