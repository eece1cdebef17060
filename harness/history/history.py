"""A whole history: plan, what its names stand for, what the target promises and can do, and the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.history.record import Control, Exchange
from harness.plan.content import Symbols
from harness.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Promises:
    """What a target promises beyond the specification (design, section 2).

    ``collection``: ``online`` (safe beside pushes), ``offline`` (safe while nothing writes), ``none``.
    ``collects_itself``: also at any time, with nobody asking: ``blobs`` only, or ``untagged`` manifests too.
    ``grace_s``: unreferenced content may stay so long. ``hazards``: run an offline collector beside pushes
    anyway and report what breaks as hazards.
    """

    durable: bool = True
    resume: bool = True
    sessions_survive_restart: bool = False
    collection: str = "none"
    collects_itself: str = "no"
    grace_s: float = 0.0
    untagged_collected: bool = False
    spec: str = "1.1"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What probing found that a target can do, and which controls the harness has over it.

    ``supports`` holds names of `ABILITIES`; ``controls`` holds ``kill``, ``restart``, ``pause``, ``collect``.
    """

    supports: frozenset[str] = frozenset()
    controls: frozenset[str] = frozenset()

    def can(self, need: str) -> bool:
        return not need or need in self.supports or need in self.controls


ABILITIES: dict[str, str] = {
    "push": "accepts pushes",
    "blob-delete": "DELETE of a blob answers 202",
    "manifest-delete": "DELETE of a manifest answers 202",
    "tag-delete": "DELETE of a tag answers 202",
    "upload-cancel": "DELETE of an upload session answers 204",
    "upload-status": "GET of an upload session answers 204",
    "single-post": "POST with ?digest= answers 201",
    "mount": "mount answers 201",
    "mount-anywhere": "mount without `from` answers 201",
    "range": "byte ranges of blobs answer 206",
    "referrers": "the referrers API answers 200",
    "referrers-filter": "the artifactType filter is applied",
    "sha512": "blobs with sha512 digests are accepted",
    "sha512-manifest": "manifests with sha512 digests are accepted",
    "missing-blobs-refused": "a manifest that names unknown blobs is refused",
    "tag-params": "PUT of a manifest with ?tag= answers with OCI-Tag",
    "oci": "OCI manifests are accepted",
    "index": "OCI indexes are accepted",
    "chunked": "PATCH uploads are accepted",
    "catalog": "the catalog answers 200",
}


@dataclass(frozen=True)
class History:
    """``complete``: whether the plan ran to its end; a cut-off history can still be judged."""

    plan: Plan
    symbols: Symbols
    promises: Promises
    abilities: Abilities
    exchanges: tuple[Exchange, ...]
    controls: tuple[Control, ...]
    seed: int = 0
    complete: bool = True
    target: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)

    def calls(self, *names: str) -> Iterator[Exchange]:
        return (exchange for exchange in self.exchanges if exchange.call in names)

    def what(self, *names: str) -> Iterator[Control]:
        return (control for control in self.controls if control.what in names)

    @cached_property
    def by_op(self) -> Mapping[str, tuple[Exchange, ...]]:
        found: dict[str, list[Exchange]] = {}
        for exchange in self.exchanges:
            found.setdefault(exchange.op, []).append(exchange)
        return {op: tuple(exchanges) for op, exchanges in found.items()}

    @cached_property
    def faulted(self) -> bool:
        """Whether the plan did anything to the target that excuses a 5xx or a lost answer."""
        return any(True for _ in self.what("power", "kill", "killed", "stop", "pause"))
