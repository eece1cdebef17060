"""Verdicts on candidates, also where a candidate fails only now and then.

A candidate is accepted at its first failure, and rejected after so many misses in a row that a plan which
fails as often as the best one so far would have shown it with 95 %: a one-sided sequential test (Wald 1945,
with the accepting error at zero, since a failure that was seen cannot be a mistake).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.checkers.finding import Finding
from harness.plan.plan import Plan
from harness.shrink.order import before, runnable

Trial = Callable[[Plan], Sequence[Finding]]
"""Runs a plan once and returns what the checkers found. Raises `SpentError` when the time is up."""

RISK = 0.05
"""How likely a candidate that fails as often as the best plan may be rejected."""
SURE_HITS = 3
"""Failures in a row that let a plan count as certain while shrinking."""
MOST_TRIES = 30
"""No candidate is run more often, however rare the failure is."""


@dataclass(frozen=True, slots=True)
class Budget:
    """``executions``: of the plan and its candidates, at most. ``confirmations``: how often the result is
    replayed at the end to learn its rate; these come on top."""

    executions: int = 60
    confirmations: int = 10


class SpentError(Exception):
    """The budget is used up, or the time."""


def misses_needed(rate: float, risk: float = RISK) -> int:
    """How many misses in a row reject a candidate: the least m with ``(1 - rate) ** m <= risk``, at most
    `MOST_TRIES`."""
    if rate >= 1 - risk:
        return 1
    if rate <= 0:
        return MOST_TRIES
    return min(MOST_TRIES, math.ceil(math.log(risk) / math.log(1 - rate)))


@dataclass(slots=True)
class Search:
    """The smallest plan so far and what it showed, and all verdicts.

    Every execution goes through here, so that the budget holds, no candidate runs twice without need, and
    `plan` is always one that reproduced (except before the first hit: ``seen`` is false).
    """

    trial: Trial
    plan: Plan
    finding: Finding
    budget: Budget
    seen: bool = False
    rate: float = 1.0
    sure: bool = False
    executions: int = 0
    confirmations: int = 0
    steps: list[str] = field(default_factory=list)
    trail: list[tuple[Plan, Finding]] = field(default_factory=list)
    _found: dict[str, Finding] = field(default_factory=dict)
    _misses: dict[str, int] = field(default_factory=dict)

    @property
    def racy(self) -> bool:
        return self.rate < 1 - RISK

    def once(self, plan: Plan) -> Finding | None:
        """Runs a plan; the finding, where it is there again. Raises `SpentError`."""
        if self.executions >= self.budget.executions:
            raise SpentError
        self.executions += 1
        return self._same(plan)

    def _same(self, plan: Plan) -> Finding | None:
        """The same finding: an equal signature; of several, the one about the same object first."""
        same = [finding for finding in self.trial(plan) if finding.signature == self.finding.signature]
        same.sort(key=lambda finding: finding.subject != self.finding.subject)
        if same:
            self._found[plan.digest] = same[0]
            return same[0]
        self._misses[plan.digest] = self._misses.get(plan.digest, 0) + 1
        return None

    def attempt(self, candidate: Plan, step: str = "") -> bool:
        """Whether the candidate still fails; it is the plan from then on. Raises `SpentError`."""
        if candidate.digest == self.plan.digest and self.seen:
            return True
        if not runnable(candidate):
            return False
        known = self._found.get(candidate.digest)
        tries = 0
        while known is None and self._misses.get(candidate.digest, 0) < misses_needed(self.rate):
            tries += 1
            known = self.once(candidate)
        if known is None or not (self._keeps_order(candidate) or self.certain(candidate, SURE_HITS - 1)):
            return False
        if self.racy and tries:
            # One hit in so many tries, mixed with what was believed: rates change while a plan shrinks.
            self.rate = 2 / (1 / self.rate + tries)
        self.accept(candidate, known, step)
        return True

    def accept(self, plan: Plan, finding: Finding, step: str = "") -> None:
        self.plan, self.finding, self.seen = plan, finding, True
        self.trail.append((plan, finding))
        if step:
            self.steps.append(step)

    def certain(self, plan: Plan, hits: int = SURE_HITS) -> bool:
        """Whether the plan fails so many times in a row; ends at the first miss. Raises `SpentError`."""
        return all(self.once(plan) is not None for _ in range(hits))

    def _keeps_order(self, candidate: Plan) -> bool:
        """Whether one hit of the candidate is enough: not where the plan fails each time, by its edges and
        holds perhaps, and the candidate has not all the order that was there."""
        if self.racy and not self.sure:
            return True
        if [op.hold for op in candidate if op.hold] != [op.hold for op in self.plan if op.hold]:
            return False
        old, new = before(self.plan), before(candidate)
        return all({x for x in old[id_] if x in candidate} <= new[id_] for id_ in new if id_ in old)

    def reproduce(self) -> bool:
        """Runs the plan until it fails: once, where it always does; otherwise until two failures tell the
        rate, in at most a quarter of the budget."""
        most = min(MOST_TRIES, max(1, self.budget.executions // 4))
        tries = hits = 0
        try:
            while tries < most and hits < 2:
                tries += 1
                if found := self.once(self.plan):
                    hits += 1
                    self.accept(self.plan, found)
                    if hits == tries:
                        return True
        except SpentError:
            pass
        # One more try than was made: a rate that was seen by luck is rather too high.
        self.rate = hits / (tries + 1)
        return hits > 0

    def misses(self, plan: Plan) -> int:
        return self._misses.get(plan.digest, 0)

    def confirm(self) -> tuple[int, int]:
        """Replays the result; (failures, replays). Not counted as executions. Where the result never fails
        again, it was accepted by rare luck: then half of the way back is tried, and half of that. Where the
        time is up before the first replay, what was seen once counts."""
        while True:
            hits = replays = 0
            try:
                for _ in range(self.budget.confirmations):
                    hits += self._same(self.plan) is not None
                    replays += 1
            except SpentError:
                return (hits, replays) if replays else (1, 1)
            finally:
                self.confirmations += replays
            if hits or len(self.trail) < 2 or not replays:
                return hits, replays
            del self.trail[len(self.trail) // 2 :]
            self.plan, self.finding = self.trail[-1]
            self.steps.append("went back: the result did not fail again")
