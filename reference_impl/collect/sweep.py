"""Sweeping content: note leases, condemn, then restore or purge.

Many blobs are condemned at once, with one sync, and a crash at any point is safe all the same:

1. Every candidate of a batch gets a second name in the trash, and the trash folder is synced.
2. One by one, while its publishers are kept away: is the lease still the one that was noted?  Then the
   first name is removed; otherwise the second.  Neither is synced.

Two orders matter.  That nothing leads to the content must be durable before 1 (the caller settles all),
and 1 before 2.  Whatever part of the removals a power cut then undoes, the content has at least one name:
under ``blobs`` it is found as garbage again, and in the trash it is judged again.  Before purging, all is
settled once more.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from ..drivers.base import Busy, Driver, NotFound
from ..registry import layout, locks
from ..registry.digests import CANONICAL, ENCODED_CHARS, Digest
from .mark import digest_of_key
from .workers import Workers

BATCH_MAX = 256
_HELD_MAX = 64
_CONDEMN_WAIT_S = 2.0
_RESTORE_WAIT_S = 60.0
_NOTED_PER_CALL = 1000


class Candidate(NamedTuple):
    """Content that nothing referred to, and the time of its lease when that was found."""

    key: bytes
    lease_ns: int
    size_bytes: int

    @property
    def digest(self) -> Digest:
        return digest_of_key(self.key)


class Leases:
    """When each stored blob was last leased, and its size; some 100 bytes for each."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self._leases_ns = array("q")
        self._sizes_bytes = array("q")

    def add(self, candidate: Candidate) -> None:
        self.keys.append(candidate.key)
        self._leases_ns.append(candidate.lease_ns)
        self._sizes_bytes.append(candidate.size_bytes)

    def __iter__(self) -> Iterator[Candidate]:
        return map(Candidate, self.keys, self._leases_ns, self._sizes_bytes)


def note(driver: Driver, between: Callable[[int], None]) -> Leases:
    """Note the leases of all content; ``between`` is told now and then how many there are so far.

    Only of what is stored under canonical digests: anything else is not ours to judge.
    """
    leases = Leases()
    for path, found in driver.walk(layout.BLOBS):
        key = content_of(path)
        if key is not None:
            leases.add(Candidate(key, found.mtime_ns, found.size_bytes))
            if len(leases.keys) % _NOTED_PER_CALL == 0:
                between(len(leases.keys))
    return leases


def content_of(path: str) -> bytes | None:
    """Return the key of the content that is stored under a path, None if none can be."""
    parts = path.split("/")
    if len(parts) != 5 or parts[1] != CANONICAL or parts[4] != "data" or parts[2] != parts[3][:2]:
        return None
    return _key(parts[3])


def set_aside(driver: Driver, collection: str, batch: Sequence[Candidate]) -> set[bytes]:
    """Give candidates a second name in the trash, durably; returns those that are there."""
    targets = {layout.trashed(collection, one.digest): one for one in batch}
    linked = driver.link_all((layout.blob_data(one.digest), target) for target, one in targets.items())
    return {targets[target].key for target in linked}


def condemn(
    driver: Driver, collection: str, batch: Sequence[Candidate], workers: Workers
) -> Iterator[tuple[Candidate, bool]]:
    """Remove the first name of what was set aside, unless its lease was renewed; yields whether so.

    No lock is held while it yields.
    """
    for _, same_lock in groupby(batch, key=lambda one: one.key[0]):
        group = list(same_lock)
        for first in range(0, len(group), _HELD_MAX):
            held = group[first : first + _HELD_MAX]
            gone = [False] * len(held)
            with (
                contextlib.suppress(Busy),
                locks.condemning(driver, held[0].digest, _CONDEMN_WAIT_S),
            ):
                gone = workers.map(partial(_condemn_one, driver), held)
            for one, is_gone in zip(held, gone, strict=True):
                if not is_gone:
                    purge(driver, collection, one.digest)
                yield one, is_gone


def _condemn_one(driver: Driver, one: Candidate) -> bool:
    path = layout.blob_data(one.digest)
    try:
        if driver.stat(path).mtime_ns != one.lease_ns:
            return False
        driver.discard(path)
    except NotFound:
        return False
    return True


def collections(driver: Driver) -> list[str]:
    """Return the collections that set something aside."""
    try:
        return driver.list(layout.TRASH)
    except NotFound:
        return []


def trash(driver: Driver) -> Iterator[tuple[str, Digest, int]]:
    """Yield all content that is set aside: which collection did it, the digest, the size in bytes."""
    for collection in collections(driver):
        folder = layout.trashed_path(collection, CANONICAL)
        for path, found in driver.walk(folder):
            encoded = path.removeprefix(f"{folder}/")
            if _key(encoded) is not None:
                yield collection, Digest(CANONICAL, encoded), found.size_bytes


def restore(driver: Driver, collection: str, digest: Digest) -> bool:
    """Give content its first name back; returns whether it was gone.

    It is not if the content was pushed again meanwhile, or if a crash came between the two steps of
    condemning.  Raises Busy.
    """
    path, trashed = layout.blob_data(digest), layout.trashed(collection, digest)
    restored = False
    with locks.condemning(driver, digest, _RESTORE_WAIT_S):
        try:
            if _size_bytes(driver, path) != driver.stat(trashed).size_bytes:
                driver.link(trashed, path)
                restored = True
            else:
                driver.settle(path)  # whoever put it there may have been killed before it could last
        except NotFound:
            return False
    purge(driver, collection, digest)
    return restored


def purge(driver: Driver, collection: str, digest: Digest) -> None:
    """Remove content from the trash.  Needs no lock: nobody but the collector looks there."""
    with contextlib.suppress(NotFound):
        driver.discard(layout.trashed(collection, digest))


def forget_empty(driver: Driver) -> None:
    """Remove the folders of collections that have nothing in the trash any more."""
    for collection in collections(driver):
        folder = f"{layout.TRASH}/{collection}"
        if next(driver.walk(folder), None) is None:
            with contextlib.suppress(NotFound):
                driver.delete(folder)


def _size_bytes(driver: Driver, path: str) -> int | None:
    try:
        return driver.stat(path).size_bytes
    except NotFound:
        return None


def _key(encoded: str) -> bytes | None:
    if len(encoded) != ENCODED_CHARS[CANONICAL]:
        return None
    try:
        key = bytes.fromhex(encoded)
    except ValueError:
        return None
    return key if key.hex() == encoded else None
