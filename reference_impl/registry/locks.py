"""Who may do what at the same time.

Order, to exclude cycles: upload session, then repository, then digest shards ascending.  The
collector holds one shard at a time and never asks for a repository while it holds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ..drivers.base import Driver
from . import layout
from .digests import CANONICAL, Digest


@contextmanager
def publishing(driver: Driver, digests: Iterable[Digest]) -> Iterator[None]:
    """Keep the collector away from these canonical digests while they are checked and linked."""
    with ExitStack() as stack:
        for path in sorted({layout.digest_lock(digest) for digest in digests}):
            stack.enter_context(driver.lock(path, shared=True))
        yield


def condemning(driver: Driver, digest: Digest) -> AbstractContextManager[None]:
    """Keep publishers of this canonical digest away while it is condemned, restored or purged."""
    return driver.lock(layout.digest_lock(digest))


def changing(driver: Driver, repository: str) -> AbstractContextManager[None]:
    """Be the only one who changes manifests, tags and links of the repository."""
    return driver.lock(layout.repository_lock(repository))


def await_publishers(driver: Driver) -> None:
    """Return once every publisher that is at work now has finished."""
    for shard in layout.every_digest_lock(CANONICAL):
        with driver.lock(shard):
            pass
