"""Hardening: turning a race that is lost now and then into a plan that fails every time.

A race needs two operations that overlap in one certain way. Candidates pin the order of two operations that
may overlap (an edge), or put one inside the other (a hold): the outer one stands still at a place until the
inner one has ended. A candidate that fails `SURE_HITS` times in a row is taken; one miss rejects it, so a
wrong guess costs little more than one execution. What it misses: races of three operations at once, and
places inside the registry that no byte and no line shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from harness.plan.operation import Hold, Place
from harness.plan.plan import Plan
from harness.shrink.order import before, concurrent, runnable, tidy
from harness.shrink.racy import Search

LINES: tuple[str, ...] = ("(?i)blobs? marked", "(?i)eligible", "(?i)mark", "(?i)sweep|delet|remov", ".")
"""What collectors say between looking and deleting; ``"."`` is whatever comes first."""
PLACES: dict[str, tuple[Place, ...]] = {
    "blob.push": (Place("put", 1, "head", 0), Place("patch", 1, "body", 1), Place("put", 1, "answer", 0)),
    "upload.patch": (Place("patch", 1, "body", 1), Place("patch", 1, "answer", 0)),
    "upload.finish": (Place("put", 1, "head", 0), Place("put", 1, "answer", 0)),
    "blob.mount": (Place("post", 1, "answer", 0),),
    "manifest.put": (Place("put", 1, "body", 1), Place("put", 1, "answer", 0), Place("put", 2, "head")),
    "image.pull": (Place("get", 2, "head", 0), Place("get", 1, "answer", 0)),
    "tags.list": (Place("get", 2, "head", 0),),
}
"""Where an operation can be stopped half-way: between requests, in a body, before the answer is read."""
ANYWHERE = (Place("", 1, "body", 1), Place("", 1, "answer", 0))


def harden(search: Search) -> bool:
    """Adds edges or a hold until the finding is there every time. Uses at most half of what is left of the
    budget. Whether it succeeded; then ``search.sure`` is set."""
    limit = search.executions + (search.budget.executions - search.executions) // 2
    for what, candidate in candidates(search.plan, search.finding.witness):
        if search.executions >= limit:
            return False
        if not runnable(candidate):
            continue
        found = search.once(candidate)
        if found is not None and search.certain(candidate, 2):
            search.accept(candidate, found, f"hardened: {what}")
            search.rate, search.sure = 1.0, True
            return True
    return False


def candidates(plan: Plan, witness: tuple[str, ...]) -> Iterator[tuple[str, Plan]]:
    """What may make the race certain, and in words what it does; the likeliest first."""
    pairs = list(concurrent(plan))
    if not pairs:
        return
    seen = {plan.digest}
    for what, candidate in _all(plan, pairs, witness):
        if candidate.digest not in seen:
            seen.add(candidate.digest)
            yield what, candidate


def _all(plan: Plan, pairs: list[tuple[str, str]], witness: tuple[str, ...]) -> Iterator[tuple[str, Plan]]:
    proof = [id_ for id_ in witness if id_ in plan]
    yield "in the order of the witness", _chain(plan, proof)
    yield "in the order of the plan", _chain(plan, [op.id for op in plan])
    pairs.sort(key=lambda pair: -sum(id_ in proof for id_ in pair))
    for a, b in pairs:
        # A collector is the outer one first: it is the long one, and it says where it is.
        outer_first = sorted(((a, b), (b, a)), key=lambda pair: plan[pair[0]].do != "collect")
        for outer, inner in outer_first:
            yield from _inside(plan, outer, inner)
    for a, b in pairs:
        yield f"{a} before {b}", _edge(plan, a, b)
        yield f"{b} before {a}", _edge(plan, b, a)


def _chain(plan: Plan, ids: list[str]) -> Plan:
    for first, second in pairwise(ids):
        order = before(plan)
        if first not in order[second] and second not in order[first]:
            plan = _edge(plan, first, second)
    return plan


def _edge(plan: Plan, first: str, second: str) -> Plan:
    op = plan[second]
    return tidy(plan.replace(replace(op, after=(*op.after, first))))


def _inside(plan: Plan, outer: str, inner: str) -> Iterator[tuple[str, Plan]]:
    op, within = plan[outer], plan[inner]
    if op.hold is not None:
        return
    if op.do == "collect":
        holds = [(f"at {line!r}", Hold(inner, None, line)) for line in LINES]
    else:
        places = PLACES.get(op.do, ANYWHERE)
        holds = [
            (f"at {p.part} byte {p.at_bytes} of {p.on or 'its'} {p.nth}", Hold(inner, p)) for p in places
        ]
    for where, hold in holds:
        held = plan.replace(replace(op, hold=hold))
        held = held.replace(replace(within, after=(*within.after, f"{outer}.held")))
        yield f"{inner} inside {outer}, {where}", held
