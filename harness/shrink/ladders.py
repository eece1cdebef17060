"""What must not become as simple as it could: its values from the simplest up, and halves of what is many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.plan.content import EMPTY_JSON, BlobSpec
from harness.plan.operation import Act, Operation, Place
from harness.plan.plan import Plan
from harness.shrink.edits import SIMPLE_BYTES, Edit, change, place, redefine, relane, resize
from harness.shrink.order import tidy

RUNGS_BYTES = (0, 1, SIMPLE_BYTES, 4097, 65537, (1 << 20) + 1, 5 * (1 << 20) + 1)
"""One more than the sizes at which clients and servers change their ways."""
RUNGS_TIMES = (1, 2, 3, 5, 10, 20, 50, 100)

Ladder = Callable[[Plan], Sequence[Plan]]
"""The plan with one value made simpler, the simplest first."""


def ladders(plan: Plan) -> Iterator[tuple[str, Ladder]]:
    """For each value that has simpler ones, what it is and its ladder."""
    for name, spec in plan.blobs.items():
        if spec.of is None and name != EMPTY_JSON:
            yield f"blob {name}: smaller", _sizes(name)
    for op in plan:
        if "times" in op.args:
            yield f"{op.id}: fewer times", _times(op.id)
        if "chunks" in op.args:
            yield f"{op.id}: fewer chunks", _chunks(op.id)
        if op.do == "kill":
            yield f"{op.id}: a restart instead of a kill", _instead(op.id, "restart")
        if op.cut and op.cut.how != "close":
            yield f"{op.id}: closes instead", _close(op.id)
        if op.do == "power":
            yield f"{op.id}: a kill instead of a power cut", _instead(op.id, "restart", "kill")
        if op.do == "net":
            yield f"{op.id}: calmer weather", _calmer(op.id)
        if op.strike:
            yield f"{op.id}: a gentler strike", _gentler(op.id)
            yield f"{op.id}: an earlier call", _calls(op.id)
        if op.hold or op.cut:
            yield f"{op.id}: earlier", _offsets(op.id)
            yield f"{op.id}: the first", _nths(op.id)


def _op(id_: str, rungs: Callable[[Operation], Sequence[Operation]]) -> Ladder:
    def climb(plan: Plan) -> Sequence[Plan]:
        return [plan.replace(op) for op in rungs(plan[id_])] if id_ in plan else []

    return climb


def _sizes(name: str) -> Ladder:
    def climb(plan: Plan) -> Sequence[Plan]:
        size = plan.blobs.get(name, BlobSpec()).size_bytes
        # The default size is simpler than the odd ones below it.
        rungs = [rung for rung in RUNGS_BYTES if (1 if size < SIMPLE_BYTES else SIMPLE_BYTES) <= rung < size]
        return [resize(plan, name, rung) for rung in rungs]

    return climb


def _times(id_: str) -> Ladder:
    return _op(id_, lambda op: [op.with_args(times=n) for n in RUNGS_TIMES if n < op["times"]])


def _chunks(id_: str) -> Ladder:
    return _op(id_, lambda op: [op.with_args(chunks=op["chunks"][:n]) for n in range(1, len(op["chunks"]))])


def _instead(id_: str, *others: str) -> Ladder:
    """The same operation of another kind, the gentlest first."""
    return _op(id_, lambda op: [replace(op, do=other) for other in others] if op.do not in others else [])


CALM = ("latency", "slicer", "bandwidth", "slow_close", "limit_data", "timeout", "reset_peer", "down")
"""Toxics, the gentlest first: what is slow, what is cut short, what never arrives."""


def _calmer(id_: str) -> Ladder:
    """What a value means differs from toxic to toxic, so it goes with the toxic."""

    def rungs(op: Operation) -> list[Operation]:
        plain = op.with_args(value=None, stream=None)
        return [plain.with_args(toxic=toxic) for toxic in CALM[: CALM.index(op["toxic"])]]

    return _op(id_, rungs)


GENTLER: Mapping[str, tuple[Act, ...]] = {"power": ("kill",)}
"""Strikes that do less than another one. An error is no gentler than a kill: it is another accident."""


def _gentler(id_: str) -> Ladder:
    def rungs(op: Operation) -> list[Operation]:
        strike = op.strike
        if strike is None:
            return []
        once = [replace(op, strike=replace(strike, rest=False))] if strike.rest else []
        return [*(replace(op, strike=replace(strike, act=act)) for act in GENTLER.get(strike.act, ())), *once]

    return _op(id_, rungs)


def _calls(id_: str) -> Ladder:
    def rungs(op: Operation) -> list[Operation]:
        strike = op.strike
        if strike is None:
            return []
        return [
            replace(op, strike=replace(strike, at=replace(strike.at, nth=n)))
            for n in RUNGS_TIMES
            if n < strike.at.nth
        ]

    return _op(id_, rungs)


def _close(id_: str) -> Ladder:
    return _op(id_, lambda op: [replace(op, cut=replace(op.cut, how="close"))] if op.cut else [])


def _offsets(id_: str) -> Ladder:
    return _op(
        id_,
        lambda op: [
            place(op, _at(rung)) for rung in RUNGS_BYTES if any(rung < p.at_bytes for p in _places(op))
        ],
    )


def _at(most_bytes: int) -> Callable[[Place], Place]:
    return lambda p: replace(p, at_bytes=min(p.at_bytes, most_bytes))


def _nths(id_: str) -> Ladder:
    def first(op: Operation) -> list[Operation]:
        hold = op.hold
        if hold and hold.place is None:
            return [replace(op, hold=replace(hold, nth=n)) for n in range(1, min(hold.nth, 5))]
        most = min(5, max((p.nth for p in _places(op)), default=1))
        return [place(op, _nth(n)) for n in range(1, most)]

    return _op(id_, first)


def _nth(most: int) -> Callable[[Place], Place]:
    return lambda p: replace(p, nth=min(p.nth, most))


def _places(op: Operation) -> list[Place]:
    hold = [op.hold.place] if op.hold and op.hold.place else []
    return [*hold, *([op.cut.place] if op.cut else [])]


def singles(plan: Plan, *, keep_order: bool = False) -> Iterator[Edit]:
    """One less of what is several: layers, children, lanes, edges."""
    for name, spec in plan.manifests.items():
        for field in ("layers", "children"):
            items: tuple[str, ...] = getattr(spec, field)
            if len(items) > 1:
                for index, item in enumerate(items):
                    rest: dict[str, Any] = {field: (*items[:index], *items[index + 1 :])}
                    yield Edit(f"manifest {name}: without {item}", redefine(name, rest))
    clients = [lane for lane in plan.lanes if isinstance(lane, int)]
    for at, lane in enumerate(clients):
        for other in clients[:at]:
            rest_ = [x for x in clients if x != lane]
            numbers = {x: rest_.index(other if x == lane else x) + 1 for x in clients}
            yield Edit(f"lanes {other} and {lane} in one", _relaned(numbers))
    if not keep_order:
        for op in plan:
            if len(op.after) > 1:
                for mark in op.after:
                    rest_marks = tuple(m for m in op.after if m != mark)
                    yield Edit(f"{op.id}: not after {mark}", change(op.id, after=rest_marks))


def _relaned(numbers: dict[int, int]) -> Callable[[Plan], Plan]:
    return lambda plan: tidy(relane(plan, numbers))
