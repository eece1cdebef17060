"""G: what a crash, a power cut or a failing disk leaves behind."""

from __future__ import annotations

from ..deviations import Defect

DEFECTS: tuple[Defect, ...] = ()
