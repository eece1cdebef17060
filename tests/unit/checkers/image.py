"""One image and what belongs to it, for tales that need no more."""

from __future__ import annotations

from harness.plan.content import BlobSpec, ManifestSpec
from tests.unit.checkers.tell import Tale

MANIFESTS = {
    "m": ManifestSpec(layers=("b",)),
    "m2": ManifestSpec(layers=("b2",)),
    "index": ManifestSpec(kind="index", children=("m",)),
    "sig": ManifestSpec(kind="artifact", layers=("s",), subject="m", type="application/x"),
    "big": ManifestSpec(layers=("b",), alg="sha512"),
}
BLOBS = {"b": BlobSpec(100), "b2": BlobSpec(200), "tiny": BlobSpec(1), "long": BlobSpec(64, "sha512")}


def tale(**promises: object) -> Tale:
    return Tale(BLOBS, MANIFESTS).promising(**promises)


def pushed(**promises: object) -> Tale:
    """A tagged image with its blob, in r1."""
    t = tale(**promises)
    t.push("r1", "b")
    t.put("r1", "m", "t")
    return t
