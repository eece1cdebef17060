"""Who may do what at the same time.

Order, to exclude cycles: upload session, then repository, then digest shards ascending.  The
collector holds one shard at a time and never asks for a repository while it holds one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ..drivers.base import Busy, Driver
from . import layout
from .digests import CANONICAL, Digest

_ASK_AGAIN_S = 0.001


@contextmanager
def publishing(driver: Driver, digests: Iterable[Digest]) -> Iterator[None]:
    """Keep the collector away from these canonical digests while they are checked and linked."""
    with ExitStack() as stack:
        for path in sorted({layout.digest_lock(digest) for digest in digests}):
            stack.enter_context(driver.lock(path, shared=True))
        yield


def condemning(driver: Driver, digest: Digest, limit_s: float) -> AbstractContextManager[None]:
    """Keep publishers of this canonical digest away while it is condemned or restored.

    Raises Busy after ``limit_s``.
    """
    return _exclusive(driver, layout.digest_lock(digest), limit_s)


def changing(driver: Driver, repository: str, limit_s: float | None = None) -> AbstractContextManager[None]:
    """Be the only one who changes manifests, tags and links of the repository.

    Raises Busy after ``limit_s``.
    """
    path = layout.repository_lock(repository)
    return driver.lock(path) if limit_s is None else _exclusive(driver, path, limit_s)


def await_publishers(driver: Driver, limit_s: float, between: Callable[[], None]) -> None:
    """Return once every publisher that is at work now has finished; ``between`` is called now and then.

    Raises Busy if one of them is not finished after ``limit_s``.
    """
    for shard in layout.every_digest_lock(CANONICAL):
        between()
        with _exclusive(driver, shard, limit_s, between):
            pass


@contextmanager
def _exclusive(
    driver: Driver, path: str, limit_s: float, between: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold a lock, asking again and again: whoever shares it meanwhile is not kept waiting."""
    end_s = time.monotonic() + limit_s
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(driver.lock(path, wait=False))
                break
            except Busy:
                if time.monotonic() >= end_s:
                    raise
            between()
            time.sleep(_ASK_AGAIN_S)
        yield
