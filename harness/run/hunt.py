"""A hunt: a campaign that ends when it has found what it was sent for.

It draws the plans that a whole run draws, family by family, beginning with those that are told to be near.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.checkers.finding import Finding
from harness.machines import FAMILIES
from harness.plan.plan import Plan
from harness.report.findings_json import Known
from harness.report.result import FoundFinding
from harness.run.campaign import Campaign
from harness.run.keep import Keeper
from harness.run.options import Options
from harness.run.trial import open_trial


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding, and how long it took: plans drawn and seconds spent until its first plan had run, without
    what shrinking of earlier ones took."""

    found: FoundFinding
    plans: int
    elapsed_s: float


@dataclass
class Hunt(Campaign):
    """``enough`` looks at what was found so far, and says whether that will do; what never showed again comes
    last in ``sightings``, and does not count for that. The findings of the checks in
    ``without`` are not seen, as if the harness did not have these checks."""

    enough: Callable[[Sequence[Sighting]], bool] = lambda sightings: bool(sightings)
    without: frozenset[str] = frozenset()
    sightings: list[Sighting] = field(default_factory=list)
    plans: int = 0

    def try_plan(self, plan: Plan) -> None:
        self.plans += 1
        super().try_plan(plan)

    def _is_new(self, plan: Plan, finding: Finding) -> bool:
        return finding.check not in self.without and super()._is_new(plan, finding)

    def _investigate(self, plan: Plan, finding: Finding, history: Path | None) -> None:
        if self.over is not None:
            return
        seen_s = time.monotonic() - self.started - self._shrinking_s
        before = dict(self.found)
        super()._investigate(plan, finding, history)
        new = [
            found for id_, found in self.found.items() if found.red and not _is_same(before.get(id_), found)
        ]
        self.sightings = [one for one in self.sightings if _is_same(self.found.get(one.found.id), one.found)]
        self.sightings += [Sighting(found, self.plans, seen_s) for found in new]
        self.sightings.sort(key=lambda one: not one.found.rate[0])
        if new and self.enough([one for one in self.sightings if one.found.rate[0]]):
            self.over = "what was looked for was found"


def _is_same(before: FoundFinding | None, now: FoundFinding) -> bool:
    return before is not None and before.rate == now.rate


def hunt(
    options: Options,
    *,
    first: Sequence[str] = (),
    enough: Callable[[Sequence[Sighting]], bool] = lambda sightings: bool(sightings),
    without: frozenset[str] = frozenset(),
    progress: Callable[[str], None] = lambda line: None,
) -> Hunt:
    """Try the families, those in ``first`` before the others, until ``enough`` was found or all had their
    share of the budget. Raises `TargetError`, `OptionError`."""
    trial = open_trial(options)
    try:
        found = Hunt(trial, options, Keeper(options.out), Known(), progress, enough=enough, without=without)
        for id_ in [*first, *(id_ for id_ in FAMILIES if id_ not in first)]:
            if found.over is None:
                found.family(id_)
        return found
    finally:
        trial.close()
