"""One collection from begin to end, a line for each step."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field

from ..drivers.base import Busy, Driver, DriverError, NotFound
from ..registry import layout, locks, repositories, sessions
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.store import Registry
from . import sweep
from .mark import Emit, Marker, live_manifests, mark_all

_SCRATCH_AGE_S = 86400.0

EXIT_OK, EXIT_FAILED, EXIT_UNREADABLE, EXIT_BUSY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Policy:
    """``grace_s`` spares what was leased that recently, ``session_age_s`` what was uploaded."""

    delete_untagged: bool = False
    dry_run: bool = False
    grace_s: float = 0.0
    session_age_s: float = 7 * 86400.0


@dataclass(slots=True)
class Summary:
    """What a collection did, or with a dry run would do."""

    blobs_marked: int = 0
    blobs_eligible: int = 0
    manifests_eligible: int = 0
    blobs_spared: int = 0
    blobs_restored: int = 0
    blobs_purged: int = 0
    bytes_purged: int = 0
    links_removed: int = 0
    uploads_removed: int = 0
    problems: list[str] = field(default_factory=list)


class Collection:
    """``emit`` gets a line before each step, and may take as long as it likes."""

    def __init__(self, registry: Registry, policy: Policy, emit: Emit) -> None:
        self._registry = registry
        self._driver = registry.driver
        self._policy = policy
        self._emit = emit
        self._id = uuid.uuid4().hex
        self._started_ns = time.time_ns()
        self._eligible_manifests: dict[str, set[Digest]] = {}
        self.summary = Summary()

    def run(self) -> Summary:
        """Collect.  Raises Busy if another collector is at work."""
        with self._driver.lock(layout.COLLECTOR_LOCK, wait=False):
            leases = {digest: (lease, size) for digest, lease, size in sweep.blobs(self._driver)}
            locks.await_publishers(self._driver)
            marker = Marker(self._registry, self._emit)
            for repository in list(repositories.every(self._driver)):
                self._emit(repository)
                marker.mark(repository, self._remove_untagged(repository))
            self.summary.problems += marker.marks.problems
            candidates = self._candidates(leases, marker.marks.blobs)
            self._say_counts(len(marker.marks.blobs), len(candidates))
            if self.summary.problems:
                for problem in self.summary.problems:
                    self._emit(f"unreadable: {problem}")
                self._emit("no blob is removed, as not everything could be read")
                if not self._policy.dry_run:
                    self._settle({}, keep_all=True)
                return self.summary
            self._sweep(candidates, leases)
            self._remove_layer_links()
            self._remove_uploads()
            self._clean_scratch()
        return self.summary

    # -- manifests -------------------------------------------------------------------------

    def _remove_untagged(self, repository: str) -> set[Digest] | None:
        """Delete what no tag leads to; returns the manifests to mark, None for all there are."""
        if not self._policy.delete_untagged:
            return None
        try:
            every = set(self._registry.manifests.every(repository))
            eligible = self._untagged(repository)
        except (OSError, DriverError, Refusal) as error:
            self.summary.problems.append(f"{repository}: {error}")
            return None
        for digest in sorted(eligible):
            self._emit(f"{repository}: manifest eligible for deletion: {digest}")
        self.summary.manifests_eligible += len(eligible)
        if self._policy.dry_run:
            return every - eligible
        if eligible:
            with locks.changing(self._driver, repository):
                # Judge again, now that nobody can push: only what is still led to by nothing.
                for digest in sorted(eligible & self._untagged(repository)):
                    self._registry.manifests.forget(repository, digest)
        return None

    def _untagged(self, repository: str) -> set[Digest]:
        live = live_manifests(self._registry, repository)
        spared_ns = self._started_ns - int(self._policy.grace_s * 1e9)
        untagged = set()
        for digest in self._registry.manifests.every(repository):
            if digest not in live:
                found = self._driver.stat(layout.revision_link(repository, digest))
                if found.mtime_ns <= spared_ns or not self._policy.grace_s:
                    untagged.add(digest)
        return untagged

    # -- blobs -----------------------------------------------------------------------------

    def _candidates(self, leases: dict[Digest, tuple[int, int]], marked: set[Digest]) -> list[Digest]:
        spared_ns = self._started_ns - int(self._policy.grace_s * 1e9)
        return sorted(
            digest
            for digest, (lease_ns, _) in leases.items()
            if digest not in marked and (lease_ns <= spared_ns or not self._policy.grace_s)
        )

    def _say_counts(self, marked: int, eligible: int) -> None:
        self.summary.blobs_marked = marked
        self.summary.blobs_eligible = eligible
        manifests = self.summary.manifests_eligible
        self._emit(f"{marked} blobs marked, {eligible} blobs and {manifests} manifests eligible for deletion")

    def _sweep(self, candidates: list[Digest], leases: dict[Digest, tuple[int, int]]) -> None:
        sizes: dict[Digest, int] = {}
        for digest in candidates:
            self._emit(f"blob eligible for deletion: {digest}")
            if self._policy.dry_run:
                continue
            lease_ns, size_bytes = leases[digest]
            if sweep.condemn(self._driver, self._id, digest, lease_ns):
                sizes[digest] = size_bytes
            else:
                self.summary.blobs_spared += 1
                self._emit(f"blob spared: {digest}")
        if not self._policy.dry_run:
            self._settle(sizes)

    def _settle(self, sizes: dict[Digest, int], *, keep_all: bool = False) -> None:
        """Verify what is set aside, by us or by a collector that was killed; restore or purge."""
        waiting = list(sweep.trash(self._driver))
        if not waiting:
            return
        marks = mark_all(self._registry)
        keep_all = keep_all or bool(marks.problems)
        self.summary.problems += [one for one in marks.problems if one not in self.summary.problems]
        for collection, digest in waiting:
            keep = keep_all or digest in marks.blobs
            if sweep.settle(self._driver, collection, digest, keep=keep):
                self.summary.blobs_restored += 1
                self._emit(f"blob restored: {digest}")
            elif not keep:
                self.summary.blobs_purged += 1
                self.summary.bytes_purged += sizes.get(digest, 0)

    # -- what is left over -----------------------------------------------------------------

    def _remove_layer_links(self) -> None:
        """Remove links to blobs that are gone."""
        if self._policy.dry_run:
            return
        for repository in list(repositories.every(self._driver)):
            for name in list(sweep.layer_links(self._driver, repository)):
                if self._is_dangling(repository, name):
                    self._emit(f"{repository}: layer link eligible for deletion: {name}")
                    self._remove_layer_link(repository, name)

    def _is_dangling(self, repository: str, name: Digest) -> bool:
        canonical = self._registry.content.resolve(repository, name)
        if canonical is None:
            return False  # torn: a push of the same blob heals it
        try:
            self._driver.stat(layout.blob_data(canonical))
        except NotFound:
            return True
        return False

    def _remove_layer_link(self, repository: str, name: Digest) -> None:
        canonical = self._registry.content.resolve(repository, name)
        if canonical is None:
            return
        # Exclusive, as a push of this blob links it without the repository's lock.
        with (
            locks.changing(self._driver, repository),
            locks.condemning(self._driver, canonical),
        ):
            if self._is_dangling(repository, name):
                self._driver.delete(layout.layer_folder(repository, name))
                self.summary.links_removed += 1

    def _remove_uploads(self) -> None:
        limit_ns = self._started_ns - int(self._policy.session_age_s * 1e9)
        for repository, session in list(repositories.every_upload(self._driver)):
            if sessions.traces(self._driver, repository, session).touched_ns > limit_ns:
                continue
            self._emit(f"{repository}: upload eligible for deletion: {session}")
            if not self._policy.dry_run:
                removed = sessions.forget_idle(self._driver, repository, session, limit_ns)
                self.summary.uploads_removed += removed

    def _clean_scratch(self) -> None:
        """Remove what killed writers left behind."""
        if self._policy.dry_run:
            return
        self._driver.clear_leftovers(self._started_ns - int(_SCRATCH_AGE_S * 1e9))


def collect(registry: Registry, policy: Policy, emit: Emit) -> Summary:
    """Run one collection.  Raises Busy."""
    return Collection(registry, policy, emit).run()


def collect_from_command_line(driver: Driver, policy: Policy, *, as_json: bool) -> int:
    """Run one collection with its lines on standard output; returns the exit code."""
    try:
        if _is_unused(driver):
            _print_line("0 blobs marked, 0 blobs and 0 manifests eligible for deletion")
            summary = Summary()
        else:
            summary = collect(Registry(driver), policy, _print_line)
        if as_json:
            _print_line(json.dumps(asdict(summary)))
    except Busy:
        return _fail("another collector is at work", EXIT_BUSY)
    except OSError as error:
        return _fail(str(error), EXIT_FAILED)
    return EXIT_UNREADABLE if summary.problems else EXIT_OK


def _is_unused(driver: Driver) -> bool:
    try:
        driver.list(layout.REPOSITORIES)
    except NotFound:
        try:
            driver.list(layout.BLOBS)
        except NotFound:
            return True
    return False


def _print_line(line: str) -> None:
    """Write a line at once, unbuffered: whoever reads can hold the collector at it."""
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


def _fail(message: str, code: int) -> int:
    print(f"reference_impl: collect: {message}", file=sys.stderr, flush=True)
    return code
