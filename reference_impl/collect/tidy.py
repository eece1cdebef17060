"""What is left in a repository after a sweep: links to blobs that are gone, abandoned uploads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from ..drivers.base import Busy, Driver, NotFound
from ..registry import layout, locks, repositories, sessions
from ..registry.digests import CANONICAL, Digest
from ..registry.links import read_digest_link
from .mark import key
from .survey import exists, linked
from .workers import Workers

BATCH_MAX = 256
_LOCK_WAIT_S = 2.0


def dangling(
    driver: Driver, repository: str, present: set[bytes], gone: set[bytes]
) -> list[tuple[Digest, Digest]]:
    """Return the names under which blobs are linked that are gone, each with the canonical one.

    What is ``present`` for certain is not asked for; what is ``gone`` in a dry run is still there.  Raises
    DriverError, OSError.
    """
    found = []
    for name in linked(driver, layout.layers(repository)):
        if name.algorithm == CANONICAL:  # whatever is in the link, it can only mean itself
            canonical: Digest | None = name
        else:
            canonical = read_digest_link(driver, layout.layer_link(repository, name), name)
        if canonical is None or key(canonical) in present:
            continue
        if key(canonical) in gone or not exists(driver, layout.blob_data(canonical)):
            found.append((name, canonical))
    return sorted(found, key=lambda pair: pair[1])


def unlink(driver: Driver, repository: str, names: Sequence[tuple[Digest, Digest]], workers: Workers) -> int:
    """Remove links whose blob is still gone, when nobody can push it; returns how many.

    Not durable: a link that a power cut brings back leads nowhere, as before.  The repository's lock is
    held, too: a manifest pushed now may have found the link, and must not lose it before it asks for the
    content.
    """
    groups = [list(group) for _, group in groupby(names, key=lambda pair: pair[1].encoded[:2])]
    with contextlib.suppress(Busy), locks.changing(driver, repository, _LOCK_WAIT_S):
        return sum(workers.map(partial(_unlink_group, driver, repository), groups))
    return 0


def _unlink_group(driver: Driver, repository: str, names: Sequence[tuple[Digest, Digest]]) -> int:
    """Remove links to content that is under one lock."""
    with contextlib.suppress(Busy), locks.condemning(driver, names[0][1], _LOCK_WAIT_S):
        return sum(_unlink_one(driver, repository, name, canonical) for name, canonical in names)
    return 0


def _unlink_one(driver: Driver, repository: str, name: Digest, canonical: Digest) -> bool:
    if exists(driver, layout.blob_data(canonical)):
        return False
    try:
        driver.discard(layout.layer_link(repository, name))
    except NotFound:  # a kill came between the link and its folder
        driver.remove_empty(layout.layer_folder(repository, name))
    return True


def idle_uploads(driver: Driver, limit_ns: int) -> Iterator[tuple[str, str, int]]:
    """Yield the uploads that got nothing after a time: repository, session, size in bytes."""
    for repository, session in list(repositories.every_upload(driver)):
        found = sessions.traces(driver, repository, session)
        if found.touched_ns <= limit_ns:
            yield repository, session, found.size_bytes
