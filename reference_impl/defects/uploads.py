"""B: uploads that lose their place, their bytes or their session."""

from __future__ import annotations

from ..deviations import Defect
from . import chunks

DEFECTS: tuple[Defect, ...] = (*chunks.DEFECTS,)
