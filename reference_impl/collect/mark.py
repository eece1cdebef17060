"""Marking: what is reachable from the manifests of all repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..drivers.base import DriverError, NotFound
from ..registry import documents, layout, names, repositories
from ..registry.digests import CANONICAL, ENCODED_CHARS, Digest, digest_of
from ..registry.errors import Refusal
from ..registry.store import Registry

Emit = Callable[[str], None]


@dataclass(slots=True)
class Marks:
    """``blobs`` are canonical digests; with any of ``problems`` the marks may be incomplete."""

    blobs: set[Digest] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class Marker:
    """Marks all manifests of a repository, or those it is told, and everything below them."""

    def __init__(self, registry: Registry, emit: Emit) -> None:
        self._registry = registry
        self._driver = registry.driver
        self._emit = emit
        self.marks = Marks()

    def mark(self, repository: str, only: Iterable[Digest] | None = None) -> None:
        manifests = self._manifests(repository)
        chosen = sorted(manifests if only is None else set(only))
        seen: set[Digest] = set()
        for canonical in chosen:
            self._emit(f"{repository}: marking manifest {manifests.get(canonical, canonical)}")
            self._mark_manifest(repository, canonical, seen)

    def _manifests(self, repository: str) -> dict[Digest, Digest]:
        """Return all manifests, also those whose link is torn: their path tells their digest."""
        try:
            found = self._registry.manifests.every(repository)
        except (OSError, DriverError) as error:
            self.marks.problems.append(f"{repository}: {error}")
            return {}
        for digest in _torn_revisions(self._registry, repository, set(found)):
            found.setdefault(digest, digest)
        return found

    def _mark_manifest(self, repository: str, top: Digest, seen: set[Digest]) -> None:
        """Mark a manifest and all below it; with a list, as indexes nest to any depth."""
        left = [top]
        while left:
            canonical = left.pop()
            if canonical in seen:
                continue
            seen.add(canonical)
            self.marks.blobs.add(canonical)
            for text, is_manifest in self._read(repository, canonical, required=canonical == top):
                target = self._resolve(repository, text)
                if target is None:
                    continue
                if target not in self.marks.blobs:
                    self.marks.blobs.add(target)
                    self._emit(f"{repository}: marking blob {text}")
                if is_manifest:
                    left.append(target)

    def _read(self, repository: str, canonical: Digest, *, required: bool) -> list[tuple[str, bool]]:
        try:
            body = self._driver.read(layout.blob_data(canonical))
            if digest_of(body) != canonical:
                raise DriverError("the content does not match the digest")
        except (OSError, DriverError) as error:
            if required or not isinstance(error, NotFound):
                reason = "missing" if isinstance(error, NotFound) else str(error)
                self.marks.problems.append(f"{repository}: manifest {canonical}: {reason}")
            return []
        try:
            return list(documents.descriptors(documents.load(body)))
        except Refusal:  # labelled as a manifest by an index, but it is something else
            if required:
                self.marks.problems.append(f"{repository}: manifest {canonical}: not JSON")
            return []

    def _resolve(self, repository: str, text: str) -> Digest | None:
        """Return the canonical digest of what is referred to, if the repository has it."""
        try:
            digest = names.digest(text)
        except Refusal:
            return None
        target = self._registry.manifests.resolve(repository, digest)
        target = target or self._registry.content.resolve(repository, digest)
        if target is None and digest.algorithm == CANONICAL:
            for link in (
                layout.layer_link(repository, digest),
                layout.revision_link(repository, digest),
            ):
                if _exists(self._registry, link):  # torn; better keep what it stood for
                    return digest
        return target


def mark_all(registry: Registry) -> Marks:
    """Mark everything, without a word."""
    marker = Marker(registry, lambda line: None)
    for repository in repositories.every(registry.driver):
        marker.mark(repository)
    return marker.marks


def live_manifests(registry: Registry, repository: str) -> set[Digest]:
    """Return the manifests that a tag leads to, through indexes, or from a subject to referrers.

    Raises DriverError or OSError if that cannot be told.
    """
    every = registry.manifests.every(repository)
    children: dict[Digest, list[Digest]] = {}
    referrers: dict[Digest, list[Digest]] = {}
    for canonical in every:
        body = registry.driver.read(layout.blob_data(canonical))
        fields = documents.load(body)
        found = [_manifest(registry, repository, text) for text, _ in documents.descriptors(fields)]
        children[canonical] = [child for child in found if child is not None]
        subject = fields.get("subject")
        if isinstance(subject, dict):
            target = _manifest(registry, repository, str(subject.get("digest")))
            if target is not None:
                referrers.setdefault(target, []).append(canonical)
    live: set[Digest] = set()
    left = [digest for _, digest in registry.tags.all(repository)]
    while left:
        canonical = left.pop()
        if canonical in every and canonical not in live:
            live.add(canonical)
            left += children[canonical] + referrers.get(canonical, [])
    return live


def _manifest(registry: Registry, repository: str, text: str) -> Digest | None:
    try:
        return registry.manifests.resolve(repository, names.digest(text))
    except Refusal:
        return None


def _torn_revisions(registry: Registry, repository: str, known: set[Digest]) -> list[Digest]:
    try:
        entries = registry.driver.list(f"{layout.revisions(repository)}/{CANONICAL}")
    except NotFound:
        return []
    torn = []
    for encoded in entries:
        digest = Digest(CANONICAL, encoded)
        if digest in known or len(encoded) != ENCODED_CHARS[CANONICAL]:
            continue
        if _exists(registry, layout.revision_link(repository, digest)) and _exists(
            registry, layout.blob_data(digest)
        ):
            torn.append(digest)
    return torn


def _exists(registry: Registry, path: str) -> bool:
    try:
        registry.driver.stat(path)
    except NotFound:
        return False
    return True
