"""Defects that real registries had, in the reference: what the harness is measured by."""

from __future__ import annotations

from ..deviations import Defect, by_name
from . import (
    backends,
    caches,
    collection,
    collection_races,
    crashes,
    deletion,
    listing,
    manifests,
    mounts,
    security,
    uploads,
)

KINDS = {
    "A": "garbage collection",
    "B": "uploads",
    "C": "manifests, tags, referrers",
    "D": "mounts",
    "E": "deletion",
    "F": "caches, healing",
    "G": "crashes, storage",
    "H": "security",
    "I": "listing",
}
"""The classes of defects, as in a defect's ``kind``."""

DEFECTS: dict[str, Defect] = by_name(
    *collection.DEFECTS,
    *collection_races.DEFECTS,
    *uploads.DEFECTS,
    *manifests.DEFECTS,
    *mounts.DEFECTS,
    *deletion.DEFECTS,
    *caches.DEFECTS,
    *crashes.DEFECTS,
    *backends.DEFECTS,
    *security.DEFECTS,
    *listing.DEFECTS,
)
