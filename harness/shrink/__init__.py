"""Shrinking and hardening: from a failing plan to a scenario that is worth keeping (pure)."""

from harness.shrink.racy import Budget, SpentError, Trial
from harness.shrink.shrink import Shrunk, shrink

__all__ = ["Budget", "Shrunk", "SpentError", "Trial", "shrink"]
