"""Marking: what is reachable from the manifests of all repositories.

Content is noted by the 32 bytes of its canonical digest: large sets of them stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..drivers.base import Driver, DriverError, Unavailable
from ..registry import layout
from ..registry.digests import CANONICAL, Digest, hasher
from . import survey
from .survey import Survey

Say = Callable[..., None]
"""Takes a step's name, and the fields of `events.Event`."""

_HASH_BLOCK_BYTES = 1 << 20


def key(digest: Digest) -> bytes:
    return bytes.fromhex(digest.encoded)


def digest_of_key(value: bytes) -> Digest:
    return Digest(CANONICAL, value.hex())


class Marker:
    """Marks all that the manifests of the repositories refer to.

    ``failures``: something could not be read, and it may say anything; then nothing may be swept.
    ``damage``: a manifest is certainly broken.  What it referred to is unknown, but it was in the same
    repository; so all that is linked there is marked, and other repositories go on.
    """

    def __init__(self, driver: Driver, say: Say) -> None:
        self._driver = driver
        self._say = say
        self.blobs: set[bytes] = set()
        self.torn: set[Digest] = set()
        """Names other than canonical ones that are referred to, and whose link is torn."""
        self.failures: list[str] = []
        self.damage: list[str] = []
        self._seen: dict[str, set[bytes]] = {}

    @property
    def manifests(self) -> int:
        """How many were marked, one in two repositories twice."""
        return sum(len(known) for known in self._seen.values())

    @property
    def problems(self) -> list[str]:
        return self.failures + self.damage

    def mark(self, repository: str, choose: Callable[[Survey], Iterable[Digest]]) -> None:
        """Mark the manifests of a repository that ``choose`` returns.  Raises Unavailable."""
        try:
            found = survey.read(self._driver, repository)
            self._mark(found, choose(found))
        except (OSError, DriverError) as error:
            self._failed(repository, error)

    def mark_new(self, repository: str) -> None:
        """Mark the manifests that were not marked yet.  Raises Unavailable.

        Content never changes, so the others still refer to what they did.
        """
        try:
            found = survey.revisions(self._driver, repository)
            known = self._seen.get(repository, set())
            for canonical in [one for one in found.links if key(one) in known]:
                del found.links[canonical]
            if found.links:
                found = survey.read_listed(self._driver, found)
                self._mark(found, found.links)
        except (OSError, DriverError) as error:
            self._failed(repository, error)

    def _failed(self, repository: str, error: Exception) -> None:
        if isinstance(error, Unavailable):  # nobody will answer for the next repository either
            raise error
        self.failures.append(f"{repository}: {error}")

    def keeps(self, digest: Digest, path: str) -> bool:
        """Whether content, stored under ``path``, is marked by any name.  Raises DriverError, OSError."""
        return key(digest) in self.blobs or (bool(self.torn) and self._is_torn(path))

    def _is_torn(self, path: str) -> bool:
        """Whether a torn link may have led to this content: only hashing can tell."""
        hashers = {algorithm: hasher(algorithm) for algorithm in {name.algorithm for name in self.torn}}
        reader = self._driver.open(path)
        try:
            offset = 0
            while block := reader.read_at(offset, _HASH_BLOCK_BYTES):
                offset += len(block)
                for one in hashers.values():
                    one.update(block)
        finally:
            reader.close()
        return any(Digest(name, one.hexdigest()) in self.torn for name, one in hashers.items())

    def _mark(self, found: Survey, chosen: Iterable[Digest]) -> None:
        names, done = found.names(), set[Digest]()
        seen = self._seen.setdefault(found.repository, set())
        for top in sorted(chosen):
            self._say("manifest", repository=found.repository, name=str(names.get(top, top)))
            seen.add(key(top))
            left = [top]
            while left:  # with a list, as indexes nest to any depth
                canonical = left.pop()
                if canonical in done:
                    continue
                done.add(canonical)
                self.blobs.add(key(canonical))
                node = found.nodes.get(canonical)
                for name, _ in node.references if node is not None else ():
                    child = found.resolve(name)
                    if child is not None:
                        left.append(child)
                    self._mark_name(found.repository, name, child)
        if found.damage:
            self.damage += found.damage
            self.blobs.update(key(canonical) for canonical in found.links)
            for name in survey.linked(self._driver, layout.layers(found.repository)):
                self._mark_name(found.repository, name, None)

    def _mark_name(self, repository: str, name: Digest, target: Digest | None) -> None:
        """Mark what a manifest names; a canonical name even if the repository has no link to it."""
        if target is None and name.algorithm == CANONICAL:
            target = name
        if target is None:
            target = survey.layer(self._driver, repository, name)
        if target is None:
            if survey.exists(self._driver, layout.layer_link(repository, name)):
                self.torn.add(name)
        elif (found := key(target)) not in self.blobs:
            self.blobs.add(found)
            self._say("blob", repository=repository, name=str(name))
