"""Cutting a plan without losing its order, and without leaving behind what nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from harness.plan.content import BlobSpec, Symbols
from harness.plan.kinds import KINDS
from harness.plan.operation import Operation, mark_owner
from harness.plan.plan import Plan, PlanError

Before = Mapping[str, frozenset[str]]


class _Order:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.starts: dict[str, frozenset[str]] = {}
        self.ends: dict[str, frozenset[str]] = {}

    def started(self, id_: str) -> frozenset[str]:
        """What has ended when the operation starts."""
        if id_ not in self.starts:
            # Where operations wait for each other (a candidate that cannot be run) this ends the circle.
            self.starts[id_] = frozenset()
            self.starts[id_] = frozenset().union(*(self.reached(mark) for mark in self.plan.waits[id_]))
        return self.starts[id_]

    def reached(self, mark: str) -> frozenset[str]:
        """What has ended when the mark is reached."""
        owner = mark_owner(mark)
        if mark != owner:
            return self.started(owner)
        if owner not in self.ends:
            self.ends[owner] = frozenset()
            hold = self.plan[owner].hold
            held = self.reached(hold.until) if hold else frozenset()
            self.ends[owner] = self.started(owner) | {owner} | held
        return self.ends[owner]


def before(plan: Plan) -> Before:
    """For each operation, those that have always ended when it starts (lanes, barriers, edges and the ends of
    holds taken together). O(n²) for n operations."""
    order = _Order(plan)
    return {op.id: order.started(op.id) for op in plan}


def concurrent(plan: Plan) -> Iterator[tuple[str, str]]:
    """Pairs of operations that may overlap, in plan order."""
    order = before(plan)
    for at, later in enumerate(plan.operations):
        for earlier in plan.operations[:at]:
            if earlier.id not in order[later.id] and later.id not in order[earlier.id]:
                yield earlier.id, later.id


def carve(plan: Plan, ids: Collection[str]) -> Plan:
    """Only these operations, in the order that they had.

    `Plan.keep` gives up the order that came from lanes and barriers which are gone (a quiet point between two
    lanes, say); here it is written down as edges, so that taking away a bystander does not make a race of
    what was none. Then tidied.
    """
    kept = [id_ for id_ in ids if id_ in plan]
    if len(kept) == len(plan):
        return tidy(plan)
    old = before(plan)
    small = plan.keep(kept)
    new = before(small)
    for id_ in sorted((op.id for op in small), key=lambda id_: len(old[id_])):
        lost = [mark for mark in old[id_] - new[id_] if mark in small]
        # Only the last of what was lost: the edges of these bring the rest.
        last = sorted(mark for mark in lost if not any(mark in old[other] for other in lost))
        if last:
            op = small[id_]
            small = small.replace(replace(op, after=(*op.after, *last)))
            new = before(small)
    return tidy(small)


def tidy(plan: Plan) -> Plan:
    """The plan without edges that other edges or lanes imply, and without definitions that nothing names."""
    order = _Order(plan)
    for op in plan:
        for mark in op.after:
            less = replace(plan[op.id], after=tuple(m for m in plan[op.id].after if m != mark))
            shorter = plan.replace(less)
            if any(mark_owner(mark) in order.reached(other) for other in shorter.waits[op.id]):
                plan = shorter
    blobs, manifests = named(plan)
    return replace(
        plan,
        blobs={name: spec for name, spec in plan.blobs.items() if name in blobs and spec != BlobSpec()},
        manifests={name: spec for name, spec in plan.manifests.items() if name in manifests},
    )


def named(plan: Plan) -> tuple[frozenset[str], frozenset[str]]:
    """The blobs and the manifests that a plan's operations name, and those that these name in turn."""
    blobs: set[str] = set()
    manifests: set[str] = set()
    symbols = Symbols("", "", plan.blobs, plan.manifests)

    def see_blob(name: str | None) -> None:
        if name is not None and name not in blobs:
            blobs.add(name)
            see_manifest(symbols.blob_spec(name).of)

    def see_manifest(name: str | None) -> None:
        if name is not None and name not in manifests:
            manifests.add(name)
            spec = symbols.manifest_spec(name)
            for blob in (spec.config, *spec.layers):
                see_blob(blob)
            for other in (*spec.children, spec.subject):
                see_manifest(other)

    for op in plan:
        for space, name in names(op):
            if space == "blob":
                see_blob(name)
            elif space == "manifest":
                see_manifest(name)
    return frozenset(blobs), frozenset(manifests)


def names(op: Operation) -> Iterator[tuple[str, str]]:
    """The symbolic names in an operation's arguments, as (symbol space, name)."""
    for spec in KINDS[op.do].args:
        value = op.get(spec.name)
        if value is not None and spec.type in ("repo", "blob", "manifest", "upload", "tag"):
            yield spec.type, value
        elif value is not None and spec.type in ("blobs", "manifests"):
            yield from ((spec.type.removesuffix("s"), name) for name in value)
    if op.do == "manifest.put" and "manifest" not in op.args:
        yield "manifest", op.id


def runnable(plan: Plan) -> bool:
    """Whether a candidate can be run at all."""
    try:
        return len(plan.check()) > 0
    except PlanError:
        return False
