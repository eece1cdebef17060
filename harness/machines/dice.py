"""Choices inside one rule: a stream of numbers that follows from what Hypothesis drew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_SPAN = 1 << 53
_MULTIPLIER = 0x9E3779B97F4A7C15


class Dice:
    """A deterministic source of choices.

    Hypothesis draws one number for each rule (a *roll*); the many small choices in the rule follow from that
    roll and all rolls before it. One draw costs about 60 µs, a choice here about 0.3 µs, and an operation
    takes ten of them. Only `random.Random.random` is used, whose stream Python guarantees for a seed, so that
    the same seed gives the same plans in every process and version.
    """

    __slots__ = ("_next", "_state")

    def __init__(self, seed: int) -> None:
        self._state = seed
        self._next = random.Random(seed).random

    def feed(self, roll: int) -> None:
        """Mix a drawn number in: everything chosen from now on depends on it."""
        self._state = (int(self._next() * _SPAN) ^ (roll + 1) * _MULTIPLIER) % (1 << 64)
        self._next = random.Random(self._state).random

    def chance(self, probability: float) -> bool:
        return self._next() < probability

    def number(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return low + int(self._next() * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._next() * len(choices))]

    def recent(self, choices: Sequence[T]) -> T:
        """One of them, the last ones more often than the first ones."""
        return choices[-1 - int(self._next() * self._next() * len(choices))]

    def weighted(self, table: Sequence[tuple[float, T]]) -> T:
        """One value of a table of (weight, value)."""
        at = self._next() * sum(weight for weight, _ in table)
        for weight, value in table:
            at -= weight
            if at < 0:
                return value
        return table[-1][1]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """So many different ones (at most all), in their own order."""
        left = list(range(len(choices)))
        while len(left) > count:
            left.pop(int(self._next() * len(left)))
        return [choices[i] for i in left]
