"""Plans: operations in lanes, a partial order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from harness.plan.content import BlobSpec, ManifestSpec, Symbols
from harness.plan.kinds import KINDS
from harness.plan.operation import Call, Cut, Hold, Lane, Operation, Place, Strike, mark_owner

Closing = Literal["read", "restart"]


class PlanError(ValueError):
    """A plan that cannot be run: an unknown kind, argument or mark, or an order that waits for itself."""


@dataclass(frozen=True)
class Plan:
    """Operations in the order in which they were drawn, and what their symbolic names stand for.

    ``closing``: how the plan ends after all faults are healed. ``"read"`` reads everything back;
    ``"restart"`` does so, restarts the target where it can, and reads everything back again. Both then push
    again what is legally missing.
    """

    operations: tuple[Operation, ...]
    blobs: Mapping[str, BlobSpec] = field(default_factory=dict)
    manifests: Mapping[str, ManifestSpec] = field(default_factory=dict)
    closing: Closing = "read"

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __getitem__(self, id_: str) -> Operation:
        return self._by_id[id_]

    def __contains__(self, id_: object) -> bool:
        return id_ in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, Operation]:
        return {op.id: op for op in self.operations}

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(dict.fromkeys(op.lane for op in self.operations))

    @cached_property
    def digest(self) -> str:
        """sha256 of the plan's canonical form, in hex; equal plans have equal digests."""
        return hashlib.sha256(json.dumps(plain(self), sort_keys=True).encode()).hexdigest()

    @cached_property
    def waits(self) -> Mapping[str, frozenset[str]]:
        """For each operation, the marks that must be reached before it starts, its lane's order included."""
        return {op.id: frozenset(marks) for op, marks in _waits(self.operations)}

    def keep(self, ids: Iterable[str]) -> Plan:
        """The plan with only these operations. Edges through what is left out are drawn anew between what
        is kept (if *a* came before *b* before *c*, *a* still comes before *c*), except those that lanes and
        barriers imply. Holds until an operation that is gone are dropped, and so are retries of one."""
        return _keep(self, frozenset(ids))

    def replace(self, op: Operation) -> Plan:
        return replace(self, operations=tuple(op if old.id == op.id else old for old in self.operations))

    def check(self) -> Plan:
        """Itself, when it can be run. Raises `PlanError` with one line that says which operation is wrong."""
        _check(self)
        return self


def symbols(plan: Plan, salt: str, prefix: str) -> Symbols:
    """What the plan's names stand for in the execution with this salt. Every name that is mentioned anywhere
    is in the tables, also those that have the default definition."""
    manifests = {
        name: plan.manifests.get(name, ManifestSpec(layers=(f"{name}-layer",)))
        for name in _manifest_names(plan)
    }
    blobs = {name: plan.blobs.get(name, BlobSpec()) for name in _blob_names(plan, manifests)}
    return Symbols(salt, prefix, blobs, manifests)


def _manifest_names(plan: Plan) -> list[str]:
    found = dict.fromkeys(plan.manifests)
    for op in plan:
        if op.do == "manifest.put":
            found.setdefault(op.get("manifest", op.id))
        for name in ("manifest", "with"):
            if name in op.args:
                found.setdefault(op[name])
    for spec in plan.manifests.values():
        found.update(dict.fromkeys((*spec.children, *((spec.subject,) if spec.subject else ()))))
    return list(found)


def _blob_names(plan: Plan, manifests: Mapping[str, ManifestSpec]) -> list[str]:
    found = dict.fromkeys(plan.blobs)
    for op in plan:
        for name in ("blob", "declare"):
            if name in op.args:
                found.setdefault(op[name])
    for spec in manifests.values():
        found.update(dict.fromkeys(spec.blobs))
    return list(found)


def is_barrier(op: Operation) -> bool:
    """Whether everything before the operation ends first and everything after it waits."""
    if op.do == "collect":
        return op.hold is None and not op.get("online", False)
    return KINDS[op.do].barrier


def _waits(operations: tuple[Operation, ...]) -> Iterator[tuple[Operation, set[str]]]:
    last_in_lane: dict[Lane, str] = {}
    since_barrier: list[str] = []
    barrier: str | None = None
    for op in operations:
        marks = set(op.after)
        if op.lane in last_in_lane:
            marks.add(last_in_lane[op.lane])
        if barrier is not None:
            marks.add(barrier)
        if is_barrier(op):
            marks.update(since_barrier)
            since_barrier, barrier = [], op.id
        else:
            since_barrier.append(op.id)
        last_in_lane[op.lane] = op.id
        yield op, marks


def _keep(plan: Plan, ids: frozenset[str]) -> Plan:
    for op in plan:
        if op.do == "again" and op["of"] not in ids:
            ids -= {op.id}
    resolved: dict[str, frozenset[str]] = {}

    def through(mark: str) -> frozenset[str]:
        """A mark, or, where its operation is gone, the marks that the operation itself waited for."""
        owner = mark_owner(mark)
        if owner in ids:
            return frozenset({mark})
        if owner not in resolved:
            resolved[owner] = frozenset()
            if owner in plan:
                resolved[owner] = frozenset().union(*(through(m) for m in plan.waits[owner]))
        return resolved[owner]

    kept = []
    for op in plan:
        if op.id not in ids:
            continue
        after = tuple(
            sorted(
                mark
                for mark in {found for old in op.after for found in through(old)} - {op.id}
                if mark.endswith(".held") or plan[mark].lane != op.lane
            )
        )
        hold = op.hold if op.hold is None or mark_owner(op.hold.until) in ids else None
        if hold is None:
            kept.append(replace(op, after=after, hold=None))
        else:
            kept.append(replace(op, after=after))
    held = {op.id for op in kept if op.hold is not None}
    kept = [
        replace(
            op,
            after=tuple(
                m if not m.endswith(".held") or mark_owner(m) in held else mark_owner(m) for m in op.after
            ),
        )
        for op in kept
    ]
    return replace(plan, operations=tuple(kept))


def _check(plan: Plan) -> None:
    seen: set[str] = set()
    for op in plan:
        kind = KINDS.get(op.do)
        if kind is None:
            raise PlanError(
                f"operation {op.id!r}: there is no operation {op.do!r}; see `seatrial operations`"
            )
        if op.id in seen:
            raise PlanError(f"operation {op.id!r}: the name is used twice")
        seen.add(op.id)
        for name in op.args:
            if kind.spec(name) is None:
                allowed = ", ".join(spec.name for spec in kind.args) or "none"
                raise PlanError(f"operation {op.id!r}: {op.do} has no argument {name!r} (it has: {allowed})")
        for spec in kind.args:
            if spec.required and spec.name not in op.args:
                raise PlanError(f"operation {op.id!r}: {op.do} needs the argument {spec.name!r}")
        marks = (*op.after, *((op.hold.until,) if op.hold else ()))
        for mark in marks:
            if mark_owner(mark) not in plan:
                raise PlanError(
                    f"operation {op.id!r}: there is no operation {mark_owner(mark)!r} to wait for"
                )
            if mark.endswith(".held") and plan[mark_owner(mark)].hold is None:
                raise PlanError(f"operation {op.id!r}: {mark_owner(mark)!r} has no hold to wait for")
        if op.hold and sum(x is not None for x in (op.hold.place, op.hold.line, op.hold.call)) != 1:
            raise PlanError(
                f"operation {op.id!r}: a hold is at a byte (`at`), at a line or at a system call (`call`),"
                " one of the three"
            )
        if op.strike and (op.cut or (op.hold and op.hold.call)):
            raise PlanError(
                f"operation {op.id!r}: a strike goes with neither a cut nor a hold at a system call"
            )
    for op in plan:
        if op.do == "again" and op["of"] not in plan:
            raise PlanError(f"operation {op.id!r}: there is no operation {op['of']!r} to send again")
    circle = _circle(plan)
    if circle:
        raise PlanError("these operations wait for each other: " + " → ".join(circle))


def _circle(plan: Plan) -> list[str]:
    """A list of marks that wait for each other, empty when there is none."""
    edges: dict[str, set[str]] = {}
    for op in plan:
        start, held, end = f"{op.id}.start", f"{op.id}.held", op.id
        edges.setdefault(end, set()).add(held)
        edges.setdefault(held, set()).add(start)
        edges.setdefault(start, set()).update(plan.waits[op.id])
        if op.hold is not None:
            edges[end].add(op.hold.until)
    done: set[str] = set()
    path: list[str] = []

    def visit(mark: str) -> list[str]:
        if mark in done:
            return []
        if mark in path:
            return [*path[path.index(mark) :], mark]
        path.append(mark)
        for other in sorted(edges.get(mark, ())):
            if found := visit(other):
                return found
        path.pop()
        done.add(mark)
        return []

    for mark in list(edges):
        if found := visit(mark):
            return [m for m in found if not m.endswith((".start", ".held"))] or found
    return []


def plain(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready values: the form that is hashed and that a history's first line holds."""
    return {
        "ops": [_plain_op(op) for op in plan],
        "blobs": {name: _fields(spec, BlobSpec()) for name, spec in sorted(plan.blobs.items())},
        "manifests": {name: _fields(spec, ManifestSpec()) for name, spec in sorted(plan.manifests.items())},
        "closing": plan.closing,
    }


def unplain(data: Mapping[str, Any]) -> Plan:
    """The inverse of `plain`."""
    return Plan(
        operations=tuple(_unplain_op(op) for op in data["ops"]),
        blobs={name: BlobSpec(**fields) for name, fields in data["blobs"].items()},
        manifests={name: _manifest_spec(fields) for name, fields in data["manifests"].items()},
        closing=data["closing"],
    )


def _fields(spec: Any, default: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in spec.__slots__
        if (value := getattr(spec, name)) != getattr(default, name)
    }


def _plain_op(op: Operation) -> dict[str, Any]:
    data: dict[str, Any] = {"id": op.id, "lane": op.lane, "do": op.do}
    data["args"] = {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(op.args.items())}
    if op.after:
        data["after"] = sorted(op.after)
    if op.hold:
        place = op.hold.place
        data["hold"] = {
            "until": op.hold.until,
            "line": op.hold.line,
            "nth": op.hold.nth,
            "place": None if place is None else _fields(place, Place()),
        }
        if op.hold.call:
            data["hold"]["call"] = _fields(op.hold.call, Call())
    if op.cut:
        data["cut"] = {"how": op.cut.how, "place": _fields(op.cut.place, Place())}
    if op.strike:
        data["strike"] = {"act": op.strike.act, "rest": op.strike.rest, "at": _fields(op.strike.at, Call())}
    return data


def _unplain_op(data: Mapping[str, Any]) -> Operation:
    hold = cut = strike = None
    if found := data.get("hold"):
        place = None if found["place"] is None else Place(**found["place"])
        call = Call(**found["call"]) if "call" in found else None
        hold = Hold(found["until"], place, found["line"], found["nth"], call)
    if found := data.get("cut"):
        cut = Cut(Place(**found["place"]), found["how"])
    if found := data.get("strike"):
        strike = Strike(Call(**found["at"]), found["act"], found["rest"])
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in data["args"].items()}
    after = tuple(data.get("after", ()))
    return Operation(data["id"], data["lane"], data["do"], args, after, hold, cut, strike)


def _manifest_spec(fields: Mapping[str, Any]) -> ManifestSpec:
    made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return ManifestSpec(**made)
