"""Findings, and what a checker returns."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from harness.history import History

Level = Literal["must", "promise", "should", "note", "hazard"]
RED: frozenset[str] = frozenset({"must", "promise"})
"""The levels that fail a run."""
LOUD: frozenset[str] = RED | {"hazard"}
"""The levels at which content is at stake; the others are advice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be.

    ``check`` is the stable name of what was broken (``"blob.lost"``); ``clause`` is ``"row 41"`` of the table
    of specification rows, or ``"promise: durable"``. ``title`` is one line without names, digests or sizes
    (equal findings have equal titles); ``explanation`` tells the story with names and indexes of exchanges.
    ``witness``: the three to six operations that prove it, in order. ``exchanges``: indexes of the exchanges
    that prove it. ``subject`` names the object, to tell findings in one history apart.
    """

    property: str
    level: Level
    check: str
    clause: str
    title: str
    explanation: str
    witness: tuple[str, ...]
    exchanges: tuple[int, ...] = ()
    subject: str = ""

    @builtins.property
    def signature(self) -> tuple[str, str, str, str]:
        """What tells this finding from others before it is shrunk."""
        return (self.property, self.clause, self.check, self.title)

    @builtins.property
    def red(self) -> bool:
        return self.level in RED


@dataclass(slots=True)
class Report:
    """What a checker found. ``tried`` counts the facts that were checked: zero means that it was vacuous.
    ``unknown`` says what could not be decided, and why; it never turns green."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    tried: int = 0


Checker = Callable[[History], Report]
