"""Sweeping: condemn, verify, then restore or purge.

At every instant condemned content has a name: it gets one in the trash before it loses the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..drivers.base import Driver, NotFound
from ..registry import layout, locks
from ..registry.digests import ENCODED_CHARS, Digest


def blobs(driver: Driver) -> Iterator[tuple[Digest, int, int]]:
    """Yield all stored content: digest, time of its lease in ns, size in bytes."""
    for path, found in driver.walk(layout.BLOBS):
        parts = path.split("/")
        if len(parts) == 5 and parts[4] == "data" and parts[1] in ENCODED_CHARS:
            digest = Digest(parts[1], parts[3])
            if layout.blob_data(digest) == path:
                yield digest, found.mtime_ns, found.size_bytes


def condemn(driver: Driver, collection: str, digest: Digest, leased_ns: int) -> bool:
    """Set content aside, unless its lease was renewed since ``leased_ns``."""
    path = layout.blob_data(digest)
    with locks.condemning(driver, digest):
        try:
            if driver.stat(path).mtime_ns != leased_ns:
                return False
            driver.link(path, layout.trashed(collection, digest))
            driver.delete(path)
        except NotFound:
            return False
    driver.remove_empty(layout.blob_folder(digest))
    return True


def trash(driver: Driver) -> Iterator[tuple[str, Digest]]:
    """Yield everything that is set aside: which collection did it, and the digest."""
    for path, _ in driver.walk(layout.TRASH):
        parts = path.removeprefix(layout.TRASH + "/").split("/")
        if len(parts) == 4 and parts[3] == "data":
            yield parts[0], Digest(parts[1], parts[2])


def settle(driver: Driver, collection: str, digest: Digest, *, keep: bool) -> bool:
    """Restore or purge what was set aside; returns whether it was restored.

    Content that was pushed again meanwhile needs neither.
    """
    trashed, path = layout.trashed(collection, digest), layout.blob_data(digest)
    restored = False
    with locks.condemning(driver, digest):
        try:
            if keep and not _exists(driver, path):
                driver.link(trashed, path)
                restored = True
            driver.delete(trashed)
        except NotFound:
            pass
    driver.remove_empty(trashed.removesuffix("/data"))
    driver.remove_empty(f"{layout.TRASH}/{collection}/{digest.algorithm}")
    driver.remove_empty(f"{layout.TRASH}/{collection}")
    return restored


def layer_links(driver: Driver, repository: str) -> Iterator[Digest]:
    """Yield the names under which a repository links blobs."""
    for algorithm, chars in sorted(ENCODED_CHARS.items()):
        try:
            entries = driver.list(f"{layout.layers(repository)}/{algorithm}")
        except NotFound:
            continue
        yield from (Digest(algorithm, entry) for entry in entries if len(entry) == chars)


def _exists(driver: Driver, path: str) -> bool:
    try:
        driver.stat(path)
    except NotFound:
        return False
    return True
