"""C: manifests, tags and referrers that are not what was pushed."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
