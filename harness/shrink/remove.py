"""Taking operations away, from the back to the front, in bites that double as long as the finding stays.

The bites are Hypothesis's adaptive deletion; going backwards makes that an operation is tried after those
that depend on it. 300 failing plans of 50 operations, verdicts of a simulated registry: 45 executions in the
median without a slice, 22 after slicing by the witness; ddmin takes 72.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.plan.plan import Plan
from harness.shrink.order import carve
from harness.shrink.racy import Search
from harness.shrink.slice import HEALS, OPEN


def remove(search: Search) -> None:
    """Removes what the finding does not need, until no operation can go alone. First the bystanders, an
    accident together with what heals it; then also the operations of the witness, one by one."""
    size = len(search.plan)
    while True:
        length = len(search.plan)
        bystanders = [op.id for op in search.plan if op.id not in search.finding.witness]
        _sweep(search, bystanders, in_pairs=True)
        _sweep(search, [op.id for op in search.plan], in_pairs=False)
        if len(search.plan) == length:
            break
    if len(search.plan) < size:
        search.steps.append(f"removed {size - len(search.plan)} of {size} operations")


def _sweep(search: Search, ids: Sequence[str], *, in_pairs: bool) -> None:
    at, bite = len(ids) - 1, 1
    while at >= 0:
        chunk = [id_ for id_ in ids[max(0, at - bite + 1) : at + 1] if id_ in search.plan]
        if not chunk:
            at, bite = at - bite, 1
            continue
        gone = {*chunk, *(_partners(search.plan, chunk, ids) if in_pairs else ())}
        if search.attempt(without(search.plan, gone)):
            at, bite = at - bite, bite * 2
        elif bite == 1:
            at -= 1
        else:
            bite = 1


def _partners(plan: Plan, chunk: Sequence[str], among: Collection[str]) -> set[str]:
    """The accidents that are healed by what is taken away."""
    found: set[str] = set()
    for id_ in chunk:
        accidents = HEALS.get(plan[id_].do, frozenset())
        earlier = [op for op in plan.operations[: plan.operations.index(plan[id_])] if op.do in accidents]
        found.update(op.id for op in earlier[-1:] if op.id in among)
    return found


def without(plan: Plan, gone: Collection[str]) -> Plan:
    """The plan without these, and without what means nothing when they are gone: the steps of an upload that
    was never started, the end of a pause."""
    kept: list[str] = []
    started: set[str] = set()
    paused = False
    opened: set[str] = set()
    for op in plan:
        if op.id in gone:
            continue
        if op.do == "upload.start":
            started.add(op["upload"])
        elif op.do.startswith("upload.") and op["upload"] not in started and _starts(plan, op["upload"]):
            continue
        if op.do == "continue" and not paused and _pauses(plan):
            continue
        if op.do == "heal" and not opened:
            continue
        opened = set() if op.do == "heal" else opened | ({op.do} & OPEN)
        paused = op.do == "pause" or (paused and op.do != "continue")
        kept.append(op.id)
    return carve(plan, kept)


def _starts(plan: Plan, upload: str) -> bool:
    return any(op.do == "upload.start" and op["upload"] == upload for op in plan)


def _pauses(plan: Plan) -> bool:
    return any(op.do == "pause" for op in plan)
