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


def stored(root: Path) -> set[str]:
    """The digests of all content on disk, after a look whether it is that content."""
    found = set()
    for path in path_of(root, layout.BLOBS).glob("*/*/*/data"):
        digest = Digest(path.parents[2].name, path.parent.name)
        assert hashlib.new(digest.algorithm, path.read_bytes()).hexdigest() == digest.encoded, path
        found.add(str(digest))
    return found
