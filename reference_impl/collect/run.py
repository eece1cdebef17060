"""One collection from begin to end, an event for each step."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..drivers.base import Busy, DriverError
from ..registry import layout, locks, repositories, sessions
from ..registry.digests import Digest
from ..registry.store import Registry
from . import sweep, tidy, untagged
from .events import Emit, Event
from .mark import Marker, key
from .survey import Survey
from .sweep import Candidate
from .workers import Workers

_SCRATCH_AGE_S = 86400.0
_PUBLISHERS_LIMIT_S = 60.0
_FOREVER_NS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Policy:
    """What a collection removes, and what it spares.

    ``grace_s`` spares what was pushed, mounted or asked for that recently, ``session_age_s`` uploads that
    got something that recently.  ``purge_delay_s`` is how long condemned content can still be restored; it
    has to be at least the grace if others than us write to the same store, as they neither wait nor lease.
    """

    delete_untagged: bool = False
    dry_run: bool = False
    grace_s: float = 0.0
    session_age_s: float = 7 * 86400.0
    purge_delay_s: float = 0.0


@dataclass(slots=True)
class Summary:
    """What a collection did.  What is *eligible* was found; a dry run leaves it at that.

    ``problems`` could not be read, or are broken; ``error`` is why the collection ended early.
    """

    repositories: int = 0
    manifests_marked: int = 0
    blobs_marked: int = 0
    blobs_eligible: int = 0
    bytes_eligible: int = 0
    manifests_eligible: int = 0
    manifests_removed: int = 0
    manifests_restored: int = 0
    blobs_spared: int = 0
    blobs_restored: int = 0
    blobs_purged: int = 0
    bytes_purged: int = 0
    links_eligible: int = 0
    links_removed: int = 0
    uploads_eligible: int = 0
    upload_bytes_eligible: int = 0
    uploads_removed: int = 0
    leftovers_removed: int = 0
    problems: list[str] = field(default_factory=list)
    error: str | None = None


class Stopped(Exception):
    """The collection was asked to stop.  What it left behind, the next one puts in order."""


class Collection:
    """``emit`` gets each event; once ``stop`` is set, the next step raises `Stopped`.

    ``batch_max`` is how many blobs are condemned with one sync; 1 makes each a step of its own.
    """

    def __init__(
        self,
        registry: Registry,
        policy: Policy,
        emit: Emit,
        *,
        stop: threading.Event | None = None,
        batch_max: int = sweep.BATCH_MAX,
    ) -> None:
        self._driver = registry.driver
        self._policy = policy
        self._emit = emit
        self._stop = stop or threading.Event()
        self._batch_max = batch_max
        self._started_ns = time.time_ns()
        self._id = f"{self._started_ns}-{uuid.uuid4().hex}"
        self._counts: Counter[str] = Counter()
        self._present: set[bytes] = set()
        self._would_go: set[bytes] = set()
        self.summary = Summary()

    def run(self) -> Summary:
        """Collect.  Raises Busy if another collector is at work, Stopped, and what ``emit`` raises."""
        with self._driver.lock(layout.COLLECTOR_LOCK, wait=False):
            try:
                marker, candidates = self._look()
            except (OSError, DriverError) as error:
                self._problems([_text(error)])
                self._say("refused")
                return self.summary
            try:
                if not marker.failures:
                    with Workers() as self._workers:
                        self._sweep(marker, candidates)
            except (OSError, DriverError) as error:
                self.summary.error = _text(error)
        return self.summary

    def _look(self) -> tuple[Marker, list[Candidate]]:
        self._say("locked")
        leases = sweep.note(self._driver, lambda noted: self._say("noting", total=noted))
        self._say("noting", total=len(leases.keys))
        self._say("noted", total=len(leases.keys))
        self._await_publishers()
        marker = self._mark()
        candidates = self._candidates(leases, marker)
        self._present = set(leases.keys)
        summary = self.summary
        summary.blobs_marked, summary.blobs_eligible = len(marker.blobs), len(candidates)
        summary.bytes_eligible = sum(one.size_bytes for one in candidates)
        self._say(
            "counted",
            marked=summary.blobs_marked,
            eligible=summary.blobs_eligible,
            manifests=summary.manifests_eligible,
        )
        self._problems(marker.problems)
        if marker.failures:
            self._say("refused")
        return marker, candidates

    def _sweep(self, marker: Marker, candidates: list[Candidate]) -> None:
        self._condemn(candidates)
        if not self._policy.dry_run:
            self._settle(marker)
        self._remove_layer_links()
        self._remove_uploads()
        if not self._policy.dry_run:
            before_ns = self._started_ns - int(_SCRATCH_AGE_S * 1e9)
            self.summary.leftovers_removed = self._driver.clear_leftovers(before_ns)
        self._say("swept")

    def _problems(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self.summary.problems:
                self.summary.problems.append(problem)
                self._say("problem", name=problem)

    def _say(self, step: str, **fields: Any) -> None:
        if self._stop.is_set():
            raise Stopped
        self._counts[step] += 1
        self._emit(Event(step, self._counts[step], **fields))

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _await_publishers(self) -> None:
        try:
            locks.await_publishers(self._driver, _PUBLISHERS_LIMIT_S, self._check_stop)
        except Busy:
            raise DriverError(f"a push is at work for more than {_PUBLISHERS_LIMIT_S:.0f} s") from None
        self._say("awaited")

    # -- marking ---------------------------------------------------------------------------

    def _mark(self) -> Marker:
        """Mark everything, and restore what a killed collector had set aside and is referred to."""
        if not self._policy.dry_run:
            self._give_back_manifests()
        while True:
            marker = self._mark_once()
            restored = 0 if self._policy.dry_run else self._judge(marker, "recovered", purge=False)
            # A manifest that was set aside cannot tell what it refers to until it is back.
            if not (restored and marker.damage):
                return marker

    def _mark_once(self) -> Marker:
        marker = Marker(self._driver, self._say)
        self.summary.manifests_eligible = 0
        names: list[str] = []
        try:
            names = list(repositories.every(self._driver))
            for name in names:
                self._say("repository", repository=name, total=len(names))
                marker.mark(name, self._without_untagged)
        except (OSError, DriverError) as error:
            marker.failures.append(_text(error))
        self.summary.repositories = len(names)
        self.summary.manifests_marked = marker.manifests
        self._say("marked")
        return marker

    def _without_untagged(self, found: Survey) -> Iterable[Digest]:
        """Set aside what no tag leads to, if that is asked for; returns the other manifests."""
        if not self._policy.delete_untagged:
            return found.links
        spared_after_ns = self._spared_after_ns()
        chosen = untagged.eligible(self._driver, found, spared_after_ns)
        names = found.names()
        for canonical in sorted(chosen):
            self._say("untagged", repository=found.repository, name=str(names[canonical]))
        self.summary.manifests_eligible += len(chosen)
        if not chosen or self._policy.dry_run:
            return found.links.keys() - chosen
        try:
            removed = untagged.set_aside(self._driver, self._id, found, chosen, spared_after_ns)
        except Busy:  # pushes never end there: next time
            return found.links
        self.summary.manifests_removed += len(removed)
        for canonical in sorted(removed):
            self._say("forgotten", repository=found.repository, name=str(names[canonical]))
        return found.links.keys() - removed

    def _spared_after_ns(self) -> int:
        """What was pushed or leased after this stays."""
        if not self._policy.grace_s:
            return _FOREVER_NS
        return self._started_ns - int(self._policy.grace_s * 1e9)

    # -- content ---------------------------------------------------------------------------

    def _candidates(self, leases: sweep.Leases, marker: Marker) -> list[Candidate]:
        spared_after_ns = self._spared_after_ns()
        if spared_after_ns < _booted_ns():
            return []  # a power cut may have undone leases that nobody synced
        return [
            one
            for one in leases
            if one.key not in marker.blobs
            and one.lease_ns <= spared_after_ns
            and not (marker.torn and marker.keeps(one.digest, layout.blob_data(one.digest)))
        ]

    def _condemn(self, candidates: list[Candidate]) -> None:
        if candidates and not self._policy.dry_run:
            self._driver.settle_all()  # or a manifest whose removal was not durable yet could come back
        left = iter(candidates)
        while batch := list(islice(left, self._batch_max)):
            for one in batch:
                self._say("eligible", name=str(one.digest), size_bytes=one.size_bytes, total=len(candidates))
            if self._policy.dry_run:
                self._would_go.update(one.key for one in batch)
                continue
            linked = sweep.set_aside(self._driver, self._id, batch)
            self._say("linked", total=len(candidates))
            for one, is_gone in sweep.condemn(
                self._driver, self._id, [one for one in batch if one.key in linked], self._workers
            ):
                if is_gone:
                    self._present.discard(one.key)
                    self._say("condemned", name=str(one.digest), size_bytes=one.size_bytes)
                else:
                    self.summary.blobs_spared += 1
                    self._say("spared", name=str(one.digest), size_bytes=one.size_bytes)

    def _settle(self, marker: Marker) -> None:
        """Judge again what is set aside, by us or by a collector before us; restore it or purge it."""
        self._give_back_manifests()
        try:
            for repository in list(repositories.every(self._driver)):
                self._check_stop()
                marker.mark_new(repository)
        except (OSError, DriverError) as error:
            marker.failures.append(_text(error))
        self._say("verified")
        self._problems(marker.problems)
        self._judge(marker, "restored", purge=not marker.failures)
        if marker.failures:
            self._say("refused")
            return
        for one in list(untagged.waiting(self._driver)):
            if self._is_due(one.collection):
                untagged.purge(self._driver, one)
        sweep.forget_empty(self._driver)

    def _judge(self, marker: Marker, step: str, *, purge: bool) -> int:
        """Restore what is set aside and marked, and all of our own while the marks are not complete; purge
        the rest.  Returns how much was restored."""
        restored = 0
        due = []
        for collection, digest, size_bytes in list(sweep.trash(self._driver)):
            self._check_stop()
            unsure = bool(marker.failures) and collection == self._id
            if unsure or marker.keeps(digest, layout.trashed(collection, digest)):
                if sweep.restore(self._driver, collection, digest):
                    restored += 1
                    self.summary.blobs_restored += 1
                    self._present.add(key(digest))
                    self._say(step, name=str(digest))
            elif purge and self._is_due(collection):
                due.append((collection, digest, size_bytes))
        if due:
            self._driver.settle_all()
        left = iter(due)
        while batch := list(islice(left, self._batch_max)):
            self._workers.map(lambda one: sweep.purge(self._driver, one[0], one[1]), batch)
            for _, digest, size_bytes in batch:
                self.summary.blobs_purged += 1
                self.summary.bytes_purged += size_bytes
                self._say("purged", name=str(digest), size_bytes=size_bytes, total=len(due))
        return restored

    def _give_back_manifests(self) -> None:
        by_repository: dict[str, list[untagged.Waiting]] = {}
        for one in untagged.waiting(self._driver):
            by_repository.setdefault(one.repository, []).append(one)
        for repository, waiting in by_repository.items():
            for canonical in sorted(untagged.give_back(self._driver, repository, waiting)):
                self.summary.manifests_restored += 1
                self._say("returned", repository=repository, name=str(canonical))

    def _is_due(self, collection: str) -> bool:
        started_ns = collection.partition("-")[0]
        delay_ns = int(self._policy.purge_delay_s * 1e9)
        return not started_ns.isdigit() or int(started_ns) + delay_ns <= self._started_ns

    # -- what is left over -----------------------------------------------------------------

    def _remove_layer_links(self) -> None:
        # What is still set aside may be restored, and is then wanted under its links.
        self._present.update(key(digest) for _, digest, _ in sweep.trash(self._driver))
        present = self._present - self._would_go
        for repository in list(repositories.every(self._driver)):
            self._check_stop()
            left = iter(tidy.dangling(self._driver, repository, present, self._would_go))
            while batch := list(islice(left, tidy.BATCH_MAX)):
                self.summary.links_eligible += len(batch)
                for name, _ in batch:
                    self._say("layer", repository=repository, name=str(name))
                if not self._policy.dry_run:
                    self.summary.links_removed += tidy.unlink(self._driver, repository, batch, self._workers)
                    self._say("unlinked", repository=repository)

    def _remove_uploads(self) -> None:
        limit_ns = self._started_ns - int(self._policy.session_age_s * 1e9)
        for repository, session, size_bytes in tidy.idle_uploads(self._driver, limit_ns):
            self.summary.uploads_eligible += 1
            self.summary.upload_bytes_eligible += size_bytes
            self._say("upload", repository=repository, name=session, size_bytes=size_bytes)
            if not self._policy.dry_run:
                removed = sessions.forget_idle(self._driver, repository, session, limit_ns)
                self.summary.uploads_removed += removed


def collect(registry: Registry, policy: Policy, emit: Emit) -> Summary:
    """Run one collection.  Raises Busy, and what ``emit`` raises."""
    return Collection(registry, policy, emit).run()


def _booted_ns() -> int:
    """When the machine was started, in ns since the Unix epoch; 0 where that cannot be told."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0 if clock is None else time.time_ns() - time.clock_gettime_ns(clock)


def _text(error: Exception) -> str:
    """One line that tells what went wrong."""
    return f"{type(error).__name__}: {error}" if isinstance(error, DriverError) else str(error)
