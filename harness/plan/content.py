"""The bytes behind symbolic names.

Every execution of a plan has a *salt*; the bytes of a blob follow from the salt and the blob's name, so two
executions never share content (blobs are shared between repositories by digest), and yet a checker can
recompute each digest from the history's first line. Definitions (`BlobSpec`, `ManifestSpec`) belong to the
plan and know no salt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

ManifestKind = Literal["image", "index", "artifact"]
Alg = Literal["sha256", "sha512"]

BLOCK_BYTES = 1 << 16
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_JSON = "{}"
"""The name of the blob ``{}``, the same in every execution."""
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
ALL_MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)


@dataclass(frozen=True, slots=True)
class BlobSpec:
    """``of`` names a manifest whose bytes are pushed as a blob; ``size_bytes`` is then ignored."""

    size_bytes: int = 64
    alg: Alg = "sha256"
    of: str | None = None

    @property
    def unique(self) -> bool:
        """Whether no other execution can have made the same bytes (short blobs are common property)."""
        return self.of is not None or self.size_bytes >= 16


@dataclass(frozen=True, slots=True)
class ManifestSpec:
    """What a manifest says. ``config`` defaults to the first layer. ``docker`` uses Docker's media types.
    With neither, the config is the blob `EMPTY_JSON`. ``type`` is the artifact type; ``annotations`` a
    number of annotations; ``pad_bytes`` makes it larger."""

    kind: ManifestKind = "image"
    config: str | None = None
    layers: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    subject: str | None = None
    type: str | None = None
    annotations: int = 0
    pad_bytes: int = 0
    alg: Alg = "sha256"
    docker: bool = False

    @property
    def blobs(self) -> tuple[str, ...]:
        """Names of the blobs that it references, config first, without duplicates."""
        if self.kind == "index":
            return ()
        first = self.config or (self.layers[0] if self.layers else EMPTY_JSON)
        return tuple(dict.fromkeys((first, *self.layers)))


@dataclass(frozen=True)
class Symbols:
    """Everything that a plan's symbolic names stand for in one execution: follows from plan and salt."""

    salt: str
    prefix: str
    blobs: Mapping[str, BlobSpec]
    manifests: Mapping[str, ManifestSpec]
    _cache: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    _digests: dict[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)

    def repo(self, name: str) -> str:
        """The real name of a repository: all of a plan's repositories live under ``prefix``."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def symbolic_repo(self, real: str) -> str:
        return real.removeprefix(f"{self.prefix}/") if self.prefix else real

    def blob_spec(self, name: str) -> BlobSpec:
        return self.blobs.get(name, BlobSpec())

    def manifest_spec(self, name: str) -> ManifestSpec:
        return self.manifests.get(name, ManifestSpec(layers=(f"{name}-layer",)))

    def blob_size_bytes(self, name: str) -> int:
        spec = self.blob_spec(name)
        if name == EMPTY_JSON:
            return len(EMPTY_JSON)
        return len(self.manifest(spec.of)) if spec.of else spec.size_bytes

    def blob_chunks(self, name: str, first: int = 0, size: int | None = None) -> Iterator[bytes]:
        """Bytes ``first`` … ``first+size-1`` of a blob, in pieces of at most 64 KiB."""
        spec = self.blob_spec(name)
        total = self.blob_size_bytes(name)
        end = total if size is None else min(total, first + size)
        if spec.of or name == EMPTY_JSON:
            data = self.manifest(spec.of) if spec.of else EMPTY_JSON.encode()
            if first < end:
                yield data[first:end]
            return
        at = first
        while at < end:
            block = _block(self.salt, name, at // BLOCK_BYTES)
            offset = at % BLOCK_BYTES
            piece = block[offset : offset + min(BLOCK_BYTES - offset, end - at)]
            yield piece
            at += len(piece)

    def blob(self, name: str) -> bytes:
        return b"".join(self.blob_chunks(name))

    def blob_digest(self, name: str, alg: str | None = None) -> str:
        alg = alg or self.blob_spec(name).alg
        key = (f"blob {name}", alg)
        if key not in self._digests:
            hasher = hashlib.new(alg)
            for piece in self.blob_chunks(name):
                hasher.update(piece)
            self._digests[key] = f"{alg}:{hasher.hexdigest()}"
        return self._digests[key]

    def manifest(self, name: str) -> bytes:
        if name not in self._cache:
            document = self.manifest_document(name)
            self._cache[name] = json.dumps(document, indent=1, sort_keys=True).encode()
        return self._cache[name]

    def manifest_digest(self, name: str, alg: str | None = None) -> str:
        alg = alg or self.manifest_spec(name).alg
        key = (f"manifest {name}", alg)
        if key not in self._digests:
            self._digests[key] = f"{alg}:{hashlib.new(alg, self.manifest(name)).hexdigest()}"
        return self._digests[key]

    def blob_named(self, digest: str) -> str | None:
        """The name of the blob with that digest, `None` where the plan knows none."""
        alg = digest.partition(":")[0]
        if alg not in ("sha256", "sha512"):
            return None
        return next((name for name in self.blobs if self.blob_digest(name, alg) == digest), None)

    def manifest_named(self, digest: str) -> str | None:
        """The name of the manifest with that digest, `None` where the plan knows none."""
        alg = digest.partition(":")[0]
        if alg not in ("sha256", "sha512"):
            return None
        return next((name for name in self.manifests if self.manifest_digest(name, alg) == digest), None)

    def media_type(self, name: str) -> str:
        spec = self.manifest_spec(name)
        if spec.kind == "index":
            return DOCKER_INDEX if spec.docker else OCI_INDEX
        return DOCKER_MANIFEST if spec.docker else OCI_MANIFEST

    def descriptor(self, name: str) -> dict[str, object]:
        """The OCI descriptor of a manifest, as an index or a referrers list has it."""
        return {
            "mediaType": self.media_type(name),
            "digest": self.manifest_digest(name),
            "size": len(self.manifest(name)),
        }

    def annotations(self, name: str) -> dict[str, str]:
        spec = self.manifest_spec(name)
        notes = {"seatrial.name": f"{self.salt} {name}"}
        notes.update({f"seatrial.note{i}": f"note {i} of {name}" for i in range(spec.annotations)})
        if spec.pad_bytes:
            notes["seatrial.pad"] = "x" * spec.pad_bytes
        return notes

    def manifest_document(self, name: str) -> dict[str, object]:
        spec = self.manifest_spec(name)
        document: dict[str, object] = {"schemaVersion": 2, "mediaType": self.media_type(name)}
        if spec.kind == "index":
            document["manifests"] = [self.descriptor(child) for child in spec.children]
        else:
            blobs = spec.blobs
            config_type = spec.type if spec.kind == "artifact" and spec.type else OCI_CONFIG
            if blobs[0] == EMPTY_JSON:
                config_type = OCI_EMPTY
            document["config"] = self._blob_descriptor(blobs[0], config_type)
            document["layers"] = [self._blob_descriptor(layer, OCI_LAYER) for layer in spec.layers]
        if spec.type and spec.kind != "image":
            document["artifactType"] = spec.type
        if spec.subject is not None:
            document["subject"] = self.descriptor(spec.subject)
        document["annotations"] = self.annotations(name)
        return document

    def _blob_descriptor(self, name: str, media_type: str) -> dict[str, object]:
        return {
            "mediaType": media_type,
            "digest": self.blob_digest(name),
            "size": self.blob_size_bytes(name),
        }


@lru_cache(maxsize=64)
def _block(salt: str, name: str, number: int) -> bytes:
    return hashlib.shake_128(f"{salt}/{name}/{number}".encode()).digest(BLOCK_BYTES)
