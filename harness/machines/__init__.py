"""The Hypothesis state machines that draw plans, one for each family of properties."""

from harness.machines.base import Family, Scope
from harness.machines.drawing import StopDrawing, draw
from harness.machines.families import FAMILIES

__all__ = ["FAMILIES", "Family", "Scope", "StopDrawing", "draw"]
