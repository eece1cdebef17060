"""I: lists with too much in them, or too little."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
