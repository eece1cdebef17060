"""A: collectors that remove what is needed, or nothing at all."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
