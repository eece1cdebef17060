"""A, too: collectors that are not safe beside clients, nor with what they did before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..collect import survey, sweep, untagged
from ..collect.mark import Marker, key
from ..collect.run import Collection
from ..collect.sweep import Candidate, Leases
from ..collect.workers import Workers
from ..deviations import At, Defect
from ..drivers.base import Busy, Driver, DriverError, NotFound
from ..registry import layout
from ..registry.content import Blob, Content
from ..registry.digests import Digest
from ..registry.manifests import Manifests
from .collection import NothingKept

Condemned = Iterator[tuple[Candidate, bool]]

CONDEMN = ("collect.sweep:condemn",)


def _whatever_its_lease(condemn: Callable[..., Condemned]) -> Callable[..., Condemned]:
    """Remove what was garbage once, whoever asked for it since."""

    def all_of_them(driver: Driver, id_: str, batch: Sequence[Candidate], workers: Workers) -> Condemned:
        for one in batch:
            with contextlib.suppress(NotFound):
                driver.discard(layout.blob_data(one.digest))
                yield one, True

    return all_of_them


class _SweepsWhatIsThere(Collection):
    """After the candidates goes what else is there by then, and was not marked."""

    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        self._marker = marker
        return super()._candidates(leases, marker)

    def _condemn(self, candidates: list[Candidate]) -> None:
        super()._condemn(candidates)
        now = sweep.note(self._driver, lambda noted: None)
        super()._condemn([one for one in now if one.key not in self._marker.blobs])


class _ChecksFirst(Collection):
    """Whether candidates are still garbage is seen before the first of them goes."""

    def _condemn(self, candidates: list[Candidate]) -> None:
        def is_idle(one: Candidate) -> bool:
            with contextlib.suppress(NotFound):
                return self._driver.stat(layout.blob_data(one.digest)).mtime_ns == one.lease_ns
            return False

        super()._condemn([one for one in candidates if is_idle(one)])


class _NotRenewed(Content):
    def lease(self, canonical: Digest) -> int | None:
        try:
            return self._driver.stat(layout.blob_data(canonical)).size_bytes
        except NotFound:
            return None


class _AlreadyThere(Content):
    """Content that is there already, and whole, is linked, and stays as old as it is."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        hashed, size_bytes = self._hash(source, {"sha256", claimed.algorithm})
        canonical = hashed["sha256"]
        if hashed[claimed.algorithm] != claimed or not self._is_whole(canonical):
            return super().publish(repository, source, claimed)
        self.link(repository, canonical, {canonical, claimed})
        self._driver.discard(source)
        return Blob(claimed, canonical, size_bytes)

    def _is_whole(self, canonical: Digest) -> bool:
        with contextlib.suppress(NotFound):
            return self._hash(layout.blob_data(canonical), {"sha256"})[0]["sha256"] == canonical
        return False


class _NotLeased(Manifests):
    """A manifest leaves the leases of its blobs to those who pushed them."""

    def _is_kept(self, found: Any) -> bool:
        return survey.exists(self._driver, layout.blob_data(found.canonical))


class _Remembers(Collection):
    """What was garbage in one collection is garbage in all that follow."""

    _VERDICTS = f"{layout.PRIVATE}/verdicts"

    def _candidates(self, leases: Leases, marker: Marker) -> list[Candidate]:
        found = super()._candidates(leases, marker)
        with contextlib.suppress(NotFound):
            known = set(self._driver.read(self._VERDICTS).split())
            found += [one for one in leases if one.key.hex().encode() in known and one not in found]
        self._driver.write(self._VERDICTS, b"\n".join(one.key.hex().encode() for one in found))
        return found


class _BlobsFirst(Collection):
    """Blobs of manifests that are to go are removed before the manifests."""

    def _mark_once(self) -> Marker:
        self._later: list[tuple[survey.Survey, set[Digest]]] = []
        marker = super()._mark_once()
        marker.blobs.update(key(one) for _, chosen in self._later for one in chosen)
        return marker

    def _without_untagged(self, found: survey.Survey) -> Any:
        if not self._policy.delete_untagged:
            return found.links
        chosen = untagged.eligible(self._driver, found, self._spared_after_ns())
        self._later.append((found, chosen))
        return found.links.keys() - chosen

    def _settle(self, marker: Marker) -> None:
        super()._settle(marker)
        for found, chosen in self._later:
            untagged.set_aside(self._driver, self._id, found, chosen, self._spared_after_ns())
            for one in list(untagged.waiting(self._driver)):
                untagged.purge(self._driver, one)
                self._say("forgotten", repository=found.repository, name=str(one.name))


class _UnreadableIsEmpty(Marker):
    """A repository with something broken in it is left out, and the collection goes on."""

    def mark(self, repository: str, choose: Any) -> None:
        try:
            if not survey.read(self._driver, repository).damage:
                super().mark(repository, choose)
        except DriverError:
            pass

    def mark_new(self, repository: str) -> None:
        pass


class _KeepsPushersOut(Content):
    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        try:
            with self._driver.lock(layout.COLLECTOR_LOCK, shared=True, wait=False):
                return super().publish(repository, source, claimed)
        except Busy:
            raise OSError("the store is being collected") from None


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "gc-sweeps-what-came-after-its-mark",
        "the collector removes blobs that were pushed, and referred to, since it marked",
        (_SweepsWhatIsThere, NothingKept),
        kind="A",
        sources=("distribution #3045 and #2190, open",),
        violates=("P2",),
        needs=("collect", "concurrency"),
        operations=5,
    ),
    Defect(
        "gc-sweeps-an-old-list",
        "the collector removes what was garbage when it looked, whoever refers to it since",
        (At(CONDEMN, _whatever_its_lease), NothingKept),
        kind="A",
        sources=("nora #584, fixed in v0.9.4 (#611)",),
        violates=("P2",),
        needs=("collect", "concurrency"),
        operations=6,
    ),
    Defect(
        "gc-checks-then-removes",
        "the collector checks that blobs are unused, and removes them without looking again",
        (_ChecksFirst, At(CONDEMN, _whatever_its_lease), NothingKept),
        kind="A",
        sources=("quay PROJQUAY-10909, fixed in 2026-03 (#5390)",),
        violates=("P2",),
        needs=("collect", "concurrency"),
        operations=6,
    ),
    Defect(
        "gc-lease-not-renewed",
        "that a blob is asked for, and referred to, does not keep it from a collector at work",
        (_NotRenewed, NothingKept),
        kind="A",
        sources=("harbor #12481, fixed in 2.1",),
        violates=("P2",),
        needs=("collect", "concurrency"),
    ),
    Defect(
        "gc-age-of-the-first-copy",
        "a blob that is pushed again is as old as its first copy, and a collector at work takes it",
        (_AlreadyThere, _NotLeased, NothingKept),
        kind="A",
        sources=("zot #117, fixed in v1.1.3",),
        violates=("P2",),
        needs=("collect", "concurrency"),
        operations=5,
    ),
    Defect(
        "gc-remembers-verdicts",
        "what was garbage once is removed by later collections, though it is in use again",
        (_Remembers, NothingKept),
        kind="A",
        sources=("harbor #12481 (blobs stay in the status deleting), fixed in 2.1",),
        violates=("P2",),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "gc-removes-blobs-before-manifests",
        "a collector that is killed leaves manifests whose blobs it has removed",
        (_BlobsFirst, NothingKept),
        kind="A",
        sources=("nora #305, fixed in 0.8.4",),
        violates=("P2", "P10"),
        needs=("collect", "kill"),
        rare="a kill has to fall between the removal of a blob and that of its manifest",
    ),
    Defect(
        "gc-skips-a-damaged-repository",
        "where one manifest is damaged, the collector removes the layers of all others",
        (_UnreadableIsEmpty,),
        kind="A",
        sources=("zot #4271 and #3825, fixed in v2.1.19",),
        violates=("P2",),
        needs=("collect", "storage"),
    ),
    Defect(
        "gc-keeps-pushers-out",
        "pushes fail while a collector is at work",
        (_KeepsPushersOut,),
        kind="A",
        sources=("quay #5390 (one global lock)", "distribution #3045 (collect read-only)"),
        violates=("P11", "P10"),
        needs=("collect", "concurrency"),
        operations=5,
    ),
)
