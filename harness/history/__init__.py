"""The append-only record of what happened (pure; the executor writes it, the checkers read it)."""

from harness.history.history import ABILITIES, Abilities, History, Promises
from harness.history.record import CALLS, FOREVER_NS, Body, Control, Exchange, Outcome

__all__ = [
    "ABILITIES",
    "CALLS",
    "FOREVER_NS",
    "Abilities",
    "Body",
    "Control",
    "Exchange",
    "History",
    "Outcome",
    "Promises",
]
