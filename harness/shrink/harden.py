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
from itertools import pairwise, zip_longest

from harness.plan.operation import Hold, Place
from harness.plan.plan import Plan
from harness.shrink.order import before, concurrent, runnable, tidy
from harness.shrink.racy import SURE_HITS, Search

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


def harden(search: Search, plan: Plan, step: str = "") -> bool:
    """Adds edges or a hold to ``plan`` until the finding is there every time; the result is the search's plan
    then, and ``search.sure`` is set. ``plan`` may be a candidate that was not seen to fail. Uses at most a
    half of what is left of the budget. Whether it succeeded."""
    limit = search.executions + (search.budget.executions - search.executions) // 2
    for what, candidate in candidates(plan, search.finding.witness):
        if search.executions >= limit:
            return False
        if not runnable(candidate):
            continue
        found = search.once(candidate)
        if found is not None and search.certain(candidate, SURE_HITS - 1):
            search.accept(candidate, found, step)
            search.steps.append(f"hardened: {what}")
            search.rate, search.sure = 1.0, True
            return True
    return False


def pin(search: Search) -> None:
    """Orders what may still overlap in a hardened plan, so that nothing is left to chance; three executions
    where that keeps the finding, one where it does not."""
    if not search.sure:
        return
    proof = [id_ for id_ in search.finding.witness if id_ in search.plan]
    for ids in (proof, [op.id for op in search.plan]):
        pinned = _chain(search.plan, ids)
        if pinned.digest != search.plan.digest and runnable(pinned):
            found = search.once(pinned)
            if found is not None and search.certain(pinned, SURE_HITS - 1):
                search.accept(pinned, found, "hardened: nothing overlaps that need not")


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
    pairs.sort(key=lambda pair: (not _has_collector(plan, pair), _apart(proof, pair)))
    # A collector is the outer one first: it is the long one, and it says where it is.
    nested = [sorted((pair, pair[::-1]), key=lambda p: plan[p[0]].do != "collect") for pair in pairs]
    inside = [list(_inside(plan, *pair)) for turn in (0, 1) for pair in (both[turn] for both in nested)]
    # The first place of every pair before the second of any: most places are wrong for all of them.
    tries = [found for rank in zip_longest(*inside) for found in rank if found is not None]
    for where, outer, inner, candidate in tries:
        yield where, _around(candidate, proof, outer, inner)
    for where, _, _, candidate in tries:
        yield where, candidate
    for a, b in pairs:
        yield f"{a} before {b}", _edge(plan, a, b)
        yield f"{b} before {a}", _edge(plan, b, a)


def _apart(proof: list[str], pair: tuple[str, str]) -> int:
    """How far the two are from each other in the witness."""
    if not all(id_ in proof for id_ in pair):
        return len(proof) + 1
    return abs(proof.index(pair[0]) - proof.index(pair[1]))


def _has_collector(plan: Plan, pair: tuple[str, str]) -> bool:
    return any(plan[id_].do == "collect" for id_ in pair)


def _around(plan: Plan, proof: list[str], outer: str, inner: str) -> Plan:
    """The rest of the witness before or after the two, as the witness has it: where a read that shows the
    harm may still come before the harm is done, the race is not yet pinned."""
    both = [at for at, id_ in enumerate(proof) if id_ in (outer, inner)]
    if both:
        for id_ in proof[: both[0]]:
            plan = _chain(plan, [id_, outer])
        for id_ in proof[both[-1] + 1 :]:
            plan = _chain(plan, [outer, id_])
    return plan


def _chain(plan: Plan, ids: list[str]) -> Plan:
    for first, second in pairwise(ids):
        order = before(plan)
        if first not in order[second] and second not in order[first]:
            plan = _edge(plan, first, second)
    return plan


def _edge(plan: Plan, first: str, second: str) -> Plan:
    op = plan[second]
    return tidy(plan.replace(replace(op, after=(*op.after, first))))


def _inside(plan: Plan, outer: str, inner: str) -> Iterator[tuple[str, str, str, Plan]]:
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
        yield f"{inner} inside {outer}, {where}", outer, inner, held
