"""Stores of any size in Distribution's layout, written directly: no server, no syncs.

``python -m tests.bench.stores DIR --blobs 100000 --manifests 10000``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass

LINKED_AGE_S = 3600.0
"""How long ago everything was written, so that no grace below this spares it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """``blobs`` counts layers and configs; the bodies of the ``manifests`` come on top. Of the blobs,
    ``garbage`` (a share) is in no manifest, though linked in a repository, as after a deletion."""

    blobs: int = 1000
    manifests: int = 100
    repositories: int = 10
    garbage: float = 0.5
    size_bytes: int = 256
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """What a generated store holds. ``live_files`` counts the data files that must stay."""

    garbage: frozenset[str]
    live_files: int
    garbage_bytes: int


class Maker:
    """Writes files below ``<root>/docker/registry/v2``."""

    def __init__(self, root: str, age_s: float = LINKED_AGE_S) -> None:
        self._top = f"{root}/docker/registry/v2"
        self._mtime_s = time.time() - age_s

    def file(self, path: str, data: bytes) -> None:
        full = f"{self._top}/{path}"
        try:
            fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(fd, data)
            os.utime(fd, (self._mtime_s, self._mtime_s))
        finally:
            os.close(fd)

    def blob(self, data: bytes) -> str:
        """Store content; returns its sha256 in hexadecimal."""
        encoded = hashlib.sha256(data).hexdigest()
        self.file(f"blobs/sha256/{encoded[:2]}/{encoded}/data", data)
        return encoded

    def layer(self, repository: str, encoded: str) -> None:
        self.file(f"repositories/{repository}/_layers/sha256/{encoded}/link", f"sha256:{encoded}".encode())

    def manifest(self, repository: str, body: bytes, tag: str | None = None) -> str:
        encoded = self.blob(body)
        text, here = f"sha256:{encoded}".encode(), f"repositories/{repository}/_manifests"
        self.file(f"{here}/revisions/sha256/{encoded}/link", text)
        if tag is not None:
            self.file(f"{here}/tags/{tag}/index/sha256/{encoded}/link", text)
            self.file(f"{here}/tags/{tag}/current/link", text)
        return encoded

    def repository(self, name: str) -> None:
        for folder in ("_layers/sha256", "_manifests/revisions/sha256", "_manifests/tags"):
            os.makedirs(f"{self._top}/repositories/{name}/{folder}", exist_ok=True)


def make(root: str, shape: Shape) -> Made:
    """Write a store of this shape; the same seed always makes the same bytes."""
    drawn, maker = random.Random(shape.seed), Maker(root)
    live = round(shape.blobs * (1 - shape.garbage))
    names = [f"team-{number % 7}/app-{number}" for number in range(shape.repositories)]
    for name in names:
        maker.repository(name)
    per_manifest, extra = divmod(live, shape.manifests) if shape.manifests else (0, 0)
    for number in range(shape.manifests):
        repository = names[number % len(names)]
        blobs = [_content(drawn, shape) for _ in range(per_manifest + (number < extra))]
        for data in blobs:
            maker.layer(repository, maker.blob(data))
        maker.manifest(repository, _image(blobs, number), f"v{number}")
    garbage = set()
    garbage_bytes = 0
    for number in range(shape.blobs - live):
        data = _content(drawn, shape)
        encoded = maker.blob(data)
        maker.layer(names[number % len(names)], encoded)
        garbage.add(f"sha256:{encoded}")
        garbage_bytes += len(data)
    return Made(frozenset(garbage), live + shape.manifests, garbage_bytes)


def _content(drawn: random.Random, shape: Shape) -> bytes:
    return drawn.randbytes(max(shape.size_bytes, 16))


def _image(blobs: list[bytes], number: int) -> bytes:
    described = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "size": len(data),
        }
        for data in blobs
    ]
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}
    config = {
        **(described[0] if described else empty),
        "mediaType": "application/vnd.oci.image.config.v1+json",
    }
    fields = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": described[1:],
        "annotations": {"number": str(number)},
    }
    return json.dumps(fields).encode()


def main() -> int:
    usual = Shape()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--blobs", type=int, default=usual.blobs)
    parser.add_argument("--manifests", type=int, default=usual.manifests)
    parser.add_argument("--repositories", type=int, default=usual.repositories)
    parser.add_argument("--garbage", type=float, default=usual.garbage, metavar="SHARE")
    parser.add_argument("--size", type=int, default=usual.size_bytes, metavar="BYTES")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shape = Shape(
        options.blobs, options.manifests, options.repositories, options.garbage, options.size, options.seed
    )
    begun_s = time.perf_counter()
    made = make(options.root, shape)
    took_s = time.perf_counter() - begun_s
    garbage = f"{len(made.garbage)} garbage ({made.garbage_bytes} bytes)"
    print(f"{made.live_files} files live, {garbage}, {took_s:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
