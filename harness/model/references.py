"""What refers to what: manifests to configs, layers, children and subjects. A pure function of the plan's
names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.plan.content import EMPTY_JSON, Symbols


@dataclass(frozen=True, slots=True)
class Parts:
    """Digests that a manifest names, each list without duplicates."""

    blobs: tuple[str, ...]
    children: tuple[str, ...]
    subject: str | None


class References:
    """The reference graph of the manifests that a history mentions."""

    def __init__(self, symbols: Symbols, names: Iterable[str]) -> None:
        self.symbols = symbols
        self.names = tuple(dict.fromkeys(names))
        self._parts: dict[str, Parts] = {}

    def parts(self, name: str) -> Parts:
        if name not in self._parts:
            symbols, spec = self.symbols, self.symbols.manifest_spec(name)
            blobs = () if spec.kind == "index" else (spec.blobs or (EMPTY_JSON,))
            self._parts[name] = Parts(
                tuple(dict.fromkeys(symbols.blob_digest(blob) for blob in blobs)),
                tuple(dict.fromkeys(symbols.manifest_digest(child) for child in spec.children)),
                None if spec.subject is None else symbols.manifest_digest(spec.subject),
            )
        return self._parts[name]

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            for digest in self.parts(name).blobs:
                found.setdefault(digest, []).append(name)
        return found

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            for digest in self.parts(name).children:
                found.setdefault(digest, []).append(name)
        return found

    @cached_property
    def _referrers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            subject = self.parts(name).subject
            if subject is not None:
                found.setdefault(subject, []).append(name)
        return found

    def users(self, blob_digest: str) -> list[str]:
        """Manifests that name a blob as config or layer."""
        return self._users.get(blob_digest, [])

    def parents(self, manifest_digest: str) -> list[str]:
        """Indexes that name a manifest as a child."""
        return self._parents.get(manifest_digest, [])

    def referrers(self, manifest_digest: str) -> list[str]:
        """Manifests whose subject a manifest is."""
        return self._referrers.get(manifest_digest, [])

    def digests(self, name: str) -> tuple[str, ...]:
        """The digests under which a manifest can be asked for."""
        own = self.symbols.manifest_digest(name)
        return (own,) if own.startswith("sha256:") else (own, self.symbols.manifest_digest(name, "sha256"))

    def closure(self, name: str) -> Iterator[tuple[str, str]]:
        """Everything reachable from a manifest, itself first: (``blob`` | ``manifest``, digest)."""
        seen: set[str] = set()
        queue = [name]
        by_digest = {digest: other for other in self.names for digest in self.digests(other)}
        while queue:
            current = queue.pop(0)
            digest = self.symbols.manifest_digest(current)
            if digest in seen:
                continue
            seen.add(digest)
            yield "manifest", digest
            parts = self.parts(current)
            for blob in parts.blobs:
                if blob not in seen:
                    seen.add(blob)
                    yield "blob", blob
            queue.extend(by_digest[child] for child in parts.children if child in by_digest)
