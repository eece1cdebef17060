"""What a run came to: the values that every report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.checkers.finding import Finding
from harness.plan.plan import Plan

Status = Literal["held", "violated", "inconclusive", "skipped"]


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """One property after its budget.

    ``plans``, ``operations``, ``exchanges`` and ``facts`` count what was run and what was checked;
    ``reasons`` says, one line each, why it is not simply held. ``sometimes_reached`` and
    ``sometimes_missed`` name the events that had to happen at least once for the run to mean something.
    """

    id: str
    title: str
    status: Status
    plans: int
    operations: int
    exchanges: int
    facts: int
    elapsed_s: float
    reasons: tuple[str, ...] = ()
    sometimes_reached: tuple[str, ...] = ()
    sometimes_missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """A finding with the plan that shows it.

    ``id`` is short and stable (``P6-out-of-order-3f2a``). ``scenario`` and ``history`` are paths, ``""``
    where nothing was written. ``rate`` is (reproduced, tried) for the shrunk plan;
    ``executions`` is what shrinking cost; ``operations_before`` the size of the plan before it was shrunk.
    ``count`` says in how many plans the same finding was seen.
    """

    id: str
    finding: Finding
    plan: Plan
    scenario: str
    history: str
    rate: tuple[int, int]
    executions: int
    operations_before: int
    known: bool = False
    count: int = 1

    @property
    def red(self) -> bool:
        """Whether it fails the run: a level that does, and not known before."""
        return self.finding.red and not self.known

    @property
    def certain(self) -> bool:
        """Whether the shrunk plan showed it in every replay: whoever replays it sees it."""
        again, tried = self.rate
        return 0 < tried == again


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run. ``not_tried`` pairs what was left out with why, and which option would allow it."""

    target: str
    seed: int
    profile: str
    properties: tuple[PropertyResult, ...]
    findings: tuple[FoundFinding, ...]
    not_tried: tuple[tuple[str, str], ...]
    elapsed_s: float
    exit_code: int
