"""A few threads that remove: that waits for the disk, and several waits pass as fast as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

WORKERS = 2
_ALONE_MAX = 8
"""So few are done without threads, in their order."""

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="collect")

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call the function for each item; returns when all are done.  Raises what it raises."""
        if len(items) <= _ALONE_MAX:
            return [function(one) for one in items]
        size = -(-len(items) // WORKERS)
        chunks = [items[first : first + size] for first in range(0, len(items), size)]
        done = self._pool.map(lambda chunk: [function(one) for one in chunk], chunks)
        return [result for chunk in done for result in chunk]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
