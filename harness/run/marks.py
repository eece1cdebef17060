"""Marks: points of a plan's partial order that lanes wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable


class Marks:
    """A set of marks that only grows. Every wait has a limit."""

    def __init__(self) -> None:
        self._reached: set[str] = set()
        self._change = threading.Condition()
        self._over = False

    def reach(self, *marks: str) -> None:
        with self._change:
            self._reached.update(marks)
            self._change.notify_all()

    def reached(self, mark: str) -> bool:
        with self._change:
            return mark in self._reached

    def give_up(self) -> None:
        """Let everyone go who waits: the run is over."""
        with self._change:
            self._over = True
            self._change.notify_all()

    def wait(self, marks: Iterable[str], limit_s: float) -> str | None:
        """Until all are reached. Returns the first that was missing when the limit ran out, or `None`."""
        wanted = tuple(marks)
        deadline = time.monotonic() + limit_s
        with self._change:
            while True:
                missing = next((mark for mark in wanted if mark not in self._reached), None)
                if missing is None:
                    return None
                left = deadline - time.monotonic()
                if left <= 0 or self._over:
                    return missing
                self._change.wait(left)
