"""What makes a plan simpler: a table of edits, each a small pure function from plan to plan.

`values` are edits of names, definitions, arguments and sizes: mostly harmless. `order` are edits of faults,
lanes and edges: mostly what a finding is about. Both lists start with what is least likely to matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec
from harness.plan.kinds import KINDS
from harness.plan.operation import Arg, Operation, Place
from harness.plan.plan import Plan
from harness.shrink.order import carve, tidy
from harness.shrink.slice import touch

SIMPLE_BYTES = BlobSpec().size_bytes

DROPPABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "blob.push": (("recover",), ("declare",)),
    "blob.mount": (("fallback",),),
    "blob.pull": (("times",), ("first", "last")),
    "blob.head": (("times",),),
    "upload.start": (("alg",),),
    "upload.patch": (("range",), ("claim",)),
    "upload.finish": (("claim",), ("declare",)),
    "manifest.put": (("with", "times"),),
    "manifest.get": (("accept",), ("times",)),
    "manifest.head": (("accept",), ("times",)),
    "tags.list": (("times",), ("pages",), ("look",), ("n",), ("last",)),
    "referrers.list": (("pages",), ("type",)),
    "collect": (("untagged",),),
}
"""Arguments that an operation can do without; those that only mean something together go together."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``apply`` gives back the plan itself where there is nothing to do (any more)."""

    what: str
    apply: Callable[[Plan], Plan]


def values(plan: Plan) -> list[Edit]:
    found = [*names(plan), *_manifests(plan), *_algs(plan), *_arguments(plan), *_sizes(plan)]
    if plan.closing != "read":
        found.append(Edit("no restart at the end", lambda p: replace(p, closing="read")))
    return [edit for edit in found if edit.apply(plan).digest != plan.digest]


def order(plan: Plan, *, keep_order: bool = False) -> list[Edit]:
    """``keep_order`` leaves out the edits that take order away (a hardened plan)."""
    found = [*_cuts(plan), *_lanes(plan)]
    if not keep_order:
        found += [*_edges(plan), *_holds(plan)]
    return [edit for edit in found if edit.apply(plan).digest != plan.digest]


# --- definitions -----------------------------------------------------------------------------------------


def _manifests(plan: Plan) -> Iterator[Edit]:
    plain: dict[str, Any] = {"annotations": 0, "pad_bytes": 0, "docker": False}
    for name, spec in plan.manifests.items():
        for changes in (plain, {"alg": "sha256"}, {"type": None}, {"subject": None}, *_fewer(spec)):
            if any(getattr(spec, key) != value for key, value in changes.items()):
                yield Edit(f"manifest {name}: plain {', '.join(changes)}", redefine(name, changes))


def _fewer(spec: ManifestSpec) -> Iterator[dict[str, Any]]:
    if len(spec.layers) > 1:
        yield {"layers": spec.layers[:1]}
    if spec.layers and spec.config is not None:
        yield {"config": None}
    if len(spec.children) > 1:
        yield {"children": spec.children[:1]}
    elif spec.kind == "index" and spec.children:
        yield {"children": ()}


def redefine(name: str, changes: dict[str, Any]) -> Callable[[Plan], Plan]:
    def apply(plan: Plan) -> Plan:
        if name not in plan.manifests:
            return plan
        spec = replace(plan.manifests[name], **changes)
        return _prune(plan, replace(plan, manifests={**plan.manifests, name: spec}))

    return apply


def _prune(old: Plan, new: Plan) -> Plan:
    """Without the operations that made what the old plan's manifests needed and the new plan's do not."""

    def needed(plan: Plan) -> set[tuple[str, str]]:
        touches = [touch(plan, op) for op in plan]
        return {(space, name) for each in touches for space, _, name in each.uses | each.spoils}

    lost = needed(old) - needed(new)
    kept = []
    for op in new:
        made = {(space, name) for space, _, name in touch(new, op).makes}
        if not made or not made <= lost:
            kept.append(op.id)
    return carve(new, kept) if len(kept) < len(new) else tidy(new)


def _algs(plan: Plan) -> Iterator[Edit]:
    for name, spec in plan.blobs.items():
        if spec.alg != "sha256":
            yield Edit(f"blob {name}: sha256", _sha256(name))


def _sha256(name: str) -> Callable[[Plan], Plan]:
    def apply(plan: Plan) -> Plan:
        if name not in plan.blobs:
            return plan
        return tidy(replace(plan, blobs={**plan.blobs, name: replace(plan.blobs[name], alg="sha256")}))

    return apply


def _sizes(plan: Plan) -> Iterator[Edit]:
    for name, spec in plan.blobs.items():
        if spec.of is None and name != EMPTY_JSON and spec.size_bytes != SIMPLE_BYTES:
            yield Edit(f"blob {name}: {SIMPLE_BYTES} bytes", _resize(name))


def _resize(name: str) -> Callable[[Plan], Plan]:
    return lambda plan: resize(plan, name, SIMPLE_BYTES) if name in plan.blobs else plan


def resize(plan: Plan, name: str, size_bytes: int) -> Plan:
    """A blob of another size; chunks, ranges and fault places in it keep their order and stay apart where the
    new size has room for that."""
    spec = plan.blobs.get(name, BlobSpec())
    about = [op for op in plan if op.get("blob") == name]
    points = sorted({0, spec.size_bytes, *(p for op in about for p in _points(op) if p <= spec.size_bytes)})
    scaled = _scale(points, size_bytes)

    def at(point: int) -> int:
        return scaled.get(point, size_bytes + max(0, point - spec.size_bytes))

    operations = tuple(_rescale(op, at, spec.size_bytes, size_bytes) if op in about else op for op in plan)
    blobs = {**plan.blobs, name: replace(spec, size_bytes=size_bytes)}
    return tidy(replace(plan, operations=operations, blobs=blobs))


def _points(op: Operation) -> Iterator[int]:
    """Offsets into the operation's blob."""
    at = 0
    for size in op.get("chunks", ()):
        at += size
        yield at
    for key in ("first", "claim"):
        if op.do.startswith("upload.") and key in op.args:
            yield op[key]
    if "size" in op.args:
        yield op.get("first", 0) + op["size"]


def _scale(points: Sequence[int], size: int) -> dict[int, int]:
    old = points[-1]
    scaled: list[int] = []
    for index, point in enumerate(points):
        least = scaled[-1] + 1 if scaled else 0
        most = max(0, size - (len(points) - 1 - index))
        scaled.append(min(most, max(least, point * size // old if old else 0)))
    return {**dict(zip(points, scaled, strict=True)), 0: 0, old: size}


def _rescale(op: Operation, at: Callable[[int], int], old: int, new: int) -> Operation:
    changes: dict[str, Arg | None] = {}
    if "chunks" in op.args:
        start, chunks = 0, []
        for size in op["chunks"]:
            chunks.append(at(start + size) - at(start))
            start += size
        changes["chunks"] = tuple(chunks)
    if "size" in op.args:
        first = op.get("first", 0)
        changes["size"] = at(first + op["size"]) - at(first)
    for key in ("first", "claim"):
        if op.do.startswith("upload.") and key in op.args:
            changes[key] = at(op[key])
    op = op.with_args(**changes)
    return place(op, lambda p: replace(p, at_bytes=_share(p, old, new)))


def _share(p: Place, old: int, new: int) -> int:
    if p.part != "body" or old == 0:
        return p.at_bytes
    return max(min(p.at_bytes, 1), p.at_bytes * new // old)


def place(op: Operation, change: Callable[[Place], Place]) -> Operation:
    """The operation with the places of its hold and its cut changed."""
    if op.hold and op.hold.place:
        op = replace(op, hold=replace(op.hold, place=change(op.hold.place)))
    if op.cut:
        op = replace(op, cut=replace(op.cut, place=change(op.cut.place)))
    return op


# --- arguments and names ---------------------------------------------------------------------------------


def _arguments(plan: Plan) -> Iterator[Edit]:
    for op in plan:
        for group in DROPPABLE.get(op.do, ()):
            if any(name in op.args for name in group):
                yield Edit(f"{op.id}: no {', '.join(group)}", _set(op.id, **dict.fromkeys(group)))
        if len(op.get("tags", ())) > 1:
            yield Edit(f"{op.id}: one tag", _set(op.id, tags=op["tags"][:1]))
        if "way" in op.args or "chunks" in op.args:
            yield Edit(f"{op.id}: POST then PUT", _set(op.id, way=None, chunks=None))


def _set(id_: str, **changes: Arg | None) -> Callable[[Plan], Plan]:
    def apply(plan: Plan) -> Plan:
        return tidy(plan.replace(plan[id_].with_args(**changes))) if id_ in plan else plan

    return apply


def names(plan: Plan) -> Iterator[Edit]:
    for space, letter in (("repo", "r"), ("tag", "t")):
        yield Edit(f"short {space} names", _renamed(space, letter))
    repos = {op["repo"] for op in plan if "repo" in op.args}
    if len(repos) > 1 and not any(op.do == "blob.mount" for op in plan):
        yield Edit("one repository", _renamed("repo", "r", one=True))


def _renamed(space: str, letter: str, *, one: bool = False) -> Callable[[Plan], Plan]:
    return lambda plan: _rename(plan, space, letter, one=one)


def _rename(plan: Plan, space: str, letter: str, *, one: bool = False) -> Plan:
    short: dict[str, str] = {}

    def rename(name: str) -> str:
        return short.setdefault(name, letter if one or not short else f"{letter}{len(short) + 1}")

    operations = []
    for op in plan:
        changes: dict[str, Arg | None] = {
            spec.name: rename(op[spec.name])
            for spec in KINDS[op.do].args
            if spec.type == space and spec.name in op.args
        }
        if space == "tag" and "tags" in op.args:
            changes["tags"] = tuple(rename(tag) for tag in op["tags"])
        operations.append(op.with_args(**changes))
    return replace(plan, operations=tuple(operations))


# --- faults and order ------------------------------------------------------------------------------------


def _cuts(plan: Plan) -> Iterator[Edit]:
    for op in plan:
        if op.strike is not None:
            yield Edit(f"{op.id}: no strike", change(op.id, strike=None))
        if op.cut is not None:
            yield Edit(f"{op.id}: no cut", change(op.id, cut=None))


def _holds(plan: Plan) -> Iterator[Edit]:
    for op in plan:
        if op.hold is not None:
            yield Edit(f"{op.id}: no hold", change(op.id, hold=None))


def _edges(plan: Plan) -> Iterator[Edit]:
    for op in plan:
        if op.after:
            yield Edit(f"{op.id}: after nothing", change(op.id, after=()))


def change(id_: str, **changes: Any) -> Callable[[Plan], Plan]:
    def apply(plan: Plan) -> Plan:
        if id_ not in plan:
            return plan
        changed = plan.replace(replace(plan[id_], **changes))
        # `keep` turns waits for a hold that is gone into waits for the end.
        return tidy(changed.keep(op.id for op in changed))

    return apply


def _lanes(plan: Plan) -> Iterator[Edit]:
    """All clients in one lane, or one lane less; lanes are counted from 1."""
    clients = [lane for lane in plan.lanes if isinstance(lane, int)]
    if len(clients) > 1:
        yield Edit("one lane", lambda p: relane(p, dict.fromkeys(clients, 1)))
    elif clients and clients != [1]:
        yield Edit("lane 1", lambda p: relane(p, {clients[0]: 1}))


def relane(plan: Plan, numbers: dict[int, int]) -> Plan:
    operations = tuple(
        replace(op, lane=numbers.get(op.lane, op.lane) if isinstance(op.lane, int) else op.lane)
        for op in plan
    )
    return tidy(replace(plan, operations=operations))
