"""What is on disk, in the layout that both registries use."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reference_impl.registry import layout, names
from reference_impl.registry.digests import Digest


def path_of(root: Path, path: str) -> Path:
    """Where something of ``reference_impl.registry.layout`` is."""
    return root / layout.ROOT / path


def content(root: Path, digest: str) -> Path:
    return path_of(root, layout.blob_data(names.digest(digest)))


def paths(root: Path) -> list[str]:
    """Everything to ask for that has a trace on disk, whole or not: blobs, manifests, tags, uploads."""
    repositories = path_of(root, layout.REPOSITORIES)
    found = {"/v2/_catalog"}
    for kind, pattern, route in _TRACES:
        for folder in repositories.rglob(kind):
            name = f"/v2/{folder.parent.relative_to(repositories)}"
            found.add(f"{name}/tags/list")
            for trace in folder.glob(pattern):
                what = ":".join(trace.parts[-2:]) if pattern.endswith("*/*") else trace.name
                found.add(f"{name}/{route}/{what}")
    return sorted(found)


_TRACES = (
    ("_layers", "*/*", "blobs"),
    ("_manifests", "revisions/*/*", "manifests"),
    ("_manifests", "revisions/*/*", "referrers"),
    ("_manifests", "tags/*", "manifests"),
    ("_uploads", "*", "blobs/uploads"),
)


def stored(root: Path) -> set[str]:
    """The digests of all content on disk, after a look whether it is that content."""
    found = set()
    for path in path_of(root, layout.BLOBS).glob("*/*/*/data"):
        digest = Digest(path.parents[2].name, path.parent.name)
        assert hashlib.new(digest.algorithm, path.read_bytes()).hexdigest() == digest.encoded, path
        found.add(str(digest))
    return found
