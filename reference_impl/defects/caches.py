"""F: caches that outlive what they remember, and content that never heals."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
