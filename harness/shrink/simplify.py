"""Making what is left simpler: all edits at once, and, where that hides the finding, by halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from harness.plan.plan import Plan
from harness.shrink.edits import Edit, names, order, values
from harness.shrink.ladders import Ladder, ladders, singles
from harness.shrink.racy import Search


def at_once(search: Search) -> None:
    """All edits of values in one candidate, and all of the order in another: two executions."""
    for edits in _groups(search):
        _attempt(search, edits(search.plan))


def simplify(search: Search) -> None:
    """Every edit that the finding survives: k blockers among n edits cost about k·log2(n) executions. Then
    the ladders of what was blocked, and single edges, layers and lanes."""
    for edits in _groups(search):
        found = edits(search.plan)
        if found and not _attempt(search, found):
            _halve(search, found)
    for what, ladder in list(ladders(search.plan)):
        _climb(search, what, ladder)
    tried: set[str] = set()
    while one := [e for e in singles(search.plan, keep_order=search.sure) if e.what not in tried][:1]:
        tried.add(one[0].what)
        _attempt(search, one)


def rename(search: Search) -> None:
    """Short names for what is left, counted from the first; one execution, where they are not yet so."""
    _attempt(search, list(names(search.plan))[:2])


def _groups(search: Search) -> tuple[Callable[[Plan], list[Edit]], Callable[[Plan], list[Edit]]]:
    return values, lambda plan: order(plan, keep_order=search.sure)


def _attempt(search: Search, edits: Sequence[Edit]) -> bool:
    candidate = reduce(lambda plan, edit: edit.apply(plan), edits, search.plan)
    if candidate.digest == search.plan.digest:
        return True
    return search.attempt(candidate, "simplified: " + "; ".join(edit.what for edit in edits))


def _halve(search: Search, edits: Sequence[Edit]) -> None:
    """Applies what can be applied of edits that, all together, hide the finding."""
    if len(edits) < 2:
        return
    half = len(edits) // 2
    first, second = edits[:half], edits[half:]
    if _attempt(search, first):
        # All together is what failed before: so the second half hides it, no need to ask.
        _halve(search, second)
        return
    _halve(search, first)
    if not _attempt(search, second):
        _halve(search, second)


def _climb(search: Search, what: str, ladder: Ladder) -> None:
    """The lowest rung on which the finding stays, by binary search."""
    rungs = ladder(search.plan)
    low, high = 0, len(rungs)
    while low < high:
        middle = (low + high) // 2
        if search.attempt(rungs[middle], f"simplified: {what}"):
            high = middle
        else:
            low = middle + 1
