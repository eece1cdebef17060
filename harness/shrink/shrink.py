"""The shrinker: from a plan that failed to the smallest, simplest and most certain one that still does."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checkers.finding import Finding
from harness.plan.plan import Plan
from harness.shrink.harden import harden, pin
from harness.shrink.order import carve, concurrent
from harness.shrink.racy import Budget, Search, SpentError, Trial
from harness.shrink.remove import remove
from harness.shrink.simplify import at_once, rename, simplify
from harness.shrink.slice import slices


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What came out. ``finding`` is what the last run of ``plan`` showed that showed it. ``executions``: runs
    of candidates; ``rate``: failures and replays of the result at the end (these runs are no executions).
    ``steps``: what was done, in order, in words. ``hardened``: order was added, and since then every replay
    failed."""

    plan: Plan
    finding: Finding
    executions: int
    rate: tuple[int, int]
    steps: tuple[str, ...]
    hardened: bool

    @property
    def certain(self) -> bool:
        return 0 < self.rate[1] == self.rate[0]


def shrink(plan: Plan, finding: Finding, trial: Trial, *, budget: Budget | None = None) -> Shrunk:
    """Shrinks ``plan``, which showed ``finding`` once.

    ``trial`` runs a plan once and returns all findings; one with an equal signature counts as the same. The
    result has always shown the finding in a run of its own, unless the given plan never did again: then it
    comes back whole, with no failures in its rate.
    """
    search = Search(trial, plan, finding, budget or Budget())
    try:
        _descend(search)
    except SpentError:
        search.steps.append("stopped: the budget is used up")
    if not search.seen:
        misses = search.misses(plan)
        search.steps.append(f"not seen again in {misses} replays: left as it is")
        return Shrunk(plan, finding, search.executions, (0, misses), tuple(search.steps), False)
    hits, replays = search.confirm()
    if 0 < hits < replays and not search.racy:
        # It passed for certain by luck: candidates may have been rejected that do fail.
        search.rate = hits / (replays + 1)
        before = search.plan.digest
        try:
            _once_more(search)
        except SpentError:
            search.steps.append("stopped: the budget is used up")
        if search.plan.digest != before:
            hits, replays = search.confirm()
    return Shrunk(
        plan=search.plan,
        finding=search.finding,
        executions=search.executions,
        rate=(hits, replays),
        steps=tuple(search.steps),
        hardened=search.sure and hits == replays,
    )


def _descend(search: Search) -> None:
    if not _slice(search):
        return
    _doubt(search)
    if search.racy:
        harden(search, search.plan)
    at_once(search)
    remove(search)
    simplify(search)
    remove(search)
    rename(search)
    pin(search)


def _once_more(search: Search) -> None:
    search.sure = False
    harden(search, search.plan)
    remove(search)
    simplify(search)
    rename(search)
    pin(search)


def _doubt(search: Search) -> None:
    """Where operations may overlap, one replay more tells most races from what is certain."""
    overlaps = any(True for _ in concurrent(search.plan))
    if overlaps and not search.sure and not search.racy and search.once(search.plan) is None:
        search.rate = 1 / 2


def _slice(search: Search) -> bool:
    """Slices by the witness; whether the finding was seen again at all. The tightest slice is tried before
    the plan itself: when it fails, that says all that a replay would have said."""
    whole = search.plan
    for ids in slices(whole, search.finding.witness):
        step = f"sliced by the witness: {len(ids)} of {len(whole)} operations"
        candidate = carve(whole, ids)
        if search.attempt(candidate, step):
            return True
        if not search.seen:
            if not search.reproduce():
                return harden(search, candidate, step)
            _doubt(search)
            # Only now is it known how many misses reject a candidate.
            if search.racy and (harden(search, candidate, step) or search.attempt(candidate, step)):
                return True
    return search.seen or search.reproduce()
