"""Work in several processes: each lives for a few pieces of it, so that nothing piles up."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

PIECES_EACH = 20


def spread(function: Callable[[T], R], pieces: Sequence[T], jobs: int, limit_s: float) -> Iterator[R]:
    """Each result as it comes.  Raises what the function raises; TimeoutError where none came for so long."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(jobs, maxtasksperchild=PIECES_EACH) as pool:
        results = pool.imap_unordered(function, pieces)
        for _ in pieces:
            yield results.next(limit_s)
