"""E: deletions that take too little, or too much."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
