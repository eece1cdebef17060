"""Manifests that nothing leads to: which they are, setting them aside, and taking that back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..drivers.base import Driver, NotFound
from ..registry import layout, locks, names
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.links import read_digest_link
from . import survey, sweep
from .survey import Survey

_LOCK_WAIT_S = 10.0
_REVISIONS = "/_manifests/revisions/"


def eligible(driver: Driver, found: Survey, spared_after_ns: int) -> set[Digest]:
    """Return the manifests that no tag, index or subject leads to, and that were not pushed after a time.

    None of them where one is broken: it may have led to any other.  Raises DriverError, OSError.
    """
    if found.damage:
        return set()
    live = survey.live(driver, found)
    return {one for one, pushed_ns in found.links.items() if one not in live and pushed_ns <= spared_after_ns}


def set_aside(
    driver: Driver, collection: str, found: Survey, chosen: set[Digest], spared_after_ns: int
) -> set[Digest]:
    """Move manifests to the trash, if still nothing leads to them; returns which.

    Raises Busy, DriverError, OSError.
    """
    with locks.changing(driver, found.repository, _LOCK_WAIT_S):
        # Judged again, now that nobody can push; what was read before is not read again.
        now = survey.read(driver, found.repository, found)
        removed = chosen & eligible(driver, now, spared_after_ns)
        if removed:  # or a tag whose removal was not durable yet could come back
            driver.settle_all()
        for canonical in sorted(removed):
            aliases = [alias for alias, target in now.aliases.items() if target == canonical]
            for name in [*sorted(aliases), canonical]:  # that it is there is told by the canonical name
                _move(driver, collection, layout.revision_folder(found.repository, name))
            _move(driver, collection, layout.media_type(found.repository, canonical))
    return removed


def _move(driver: Driver, collection: str, path: str) -> None:
    with contextlib.suppress(NotFound):
        driver.move(path, layout.trashed_path(collection, path))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A name of a manifest in the trash."""

    collection: str
    repository: str
    name: Digest


def waiting(driver: Driver) -> Iterator[Waiting]:
    """Yield every name of a manifest that is set aside."""
    for collection in sweep.collections(driver):
        folder = layout.trashed_path(collection, layout.REPOSITORIES)
        for path, _ in driver.walk(folder):
            repository, found, link = path.removeprefix(f"{folder}/").partition(_REVISIONS)
            parts = link.split("/")
            if found and len(parts) == 3 and parts[2] == "link":
                with contextlib.suppress(Refusal):
                    yield Waiting(collection, repository, names.digest(f"{parts[0]}:{parts[1]}"))


def give_back(driver: Driver, repository: str, set_aside: list[Waiting]) -> set[Digest]:
    """Move manifests back to which a tag or another manifest leads now; returns which.

    Only another writer than us can make that so.  Raises Busy, DriverError, OSError.
    """
    returned: set[Digest] = set()
    with locks.changing(driver, repository, _LOCK_WAIT_S):
        led_to = survey.led_to(driver, survey.read(driver, repository))
        canonical = {one: _canonical(driver, one) for one in set_aside}
        wanted = {canonical[one] for one in set_aside if {one.name, canonical[one]} & led_to}
        for one in set_aside:
            folder = layout.revision_folder(repository, one.name)
            target = canonical[one]
            if target not in wanted or survey.exists(driver, f"{folder}/link"):
                continue
            for path in (layout.media_type(repository, target), folder):
                trashed = layout.trashed_path(one.collection, path)
                if survey.exists(driver, trashed):
                    driver.remove_empty(path)
                    driver.move(trashed, path)
            returned.add(target)
    return returned


def _canonical(driver: Driver, one: Waiting) -> Digest:
    link = layout.trashed_path(one.collection, layout.revision_link(one.repository, one.name))
    return read_digest_link(driver, link, one.name) or one.name


def purge(driver: Driver, one: Waiting) -> None:
    """Remove a manifest's name from the trash for good."""
    for path in (layout.revision_link(one.repository, one.name), layout.media_type(one.repository, one.name)):
        with contextlib.suppress(NotFound):
            driver.discard(layout.trashed_path(one.collection, path))
