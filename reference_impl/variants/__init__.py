"""Ways in which registries differ lawfully, in the reference: what the harness may not complain about."""

from __future__ import annotations

from ..deviations import Variant, by_name
from . import answers, blobs, deletion, listing, locations, manifests, mounts, uploads

VARIANTS: dict[str, Variant] = by_name(
    *deletion.VARIANTS,
    *mounts.VARIANTS,
    *uploads.VARIANTS,
    *locations.VARIANTS,
    *blobs.VARIANTS,
    *manifests.VARIANTS,
    *listing.VARIANTS,
    *answers.VARIANTS,
)
