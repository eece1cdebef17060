"""Faults: each with its healing step, and a probe of whether it can be delivered."""

from harness.faults.process import FAULTS, Fault, heal_all

__all__ = ["FAULTS", "Fault", "heal_all"]
