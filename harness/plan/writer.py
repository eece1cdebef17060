"""Writing scenario files: the inverse of `harness.plan.codec.load`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec
from harness.plan.fields import EXPECT, FIELD, MANIFEST
from harness.plan.kinds import KINDS
from harness.plan.operation import Call, Hold, Operation, Place
from harness.plan.plan import Plan
from harness.plan.scenario import VERSION, Scenario


def dump(scenario: Scenario) -> str:
    """The text of a file; ``load`` makes an equal scenario of it, with the plan in `canonical` form."""
    plan = scenario.plan
    expect = {key: getattr(scenario.expect, key) or None for key in EXPECT} if scenario.expect else None
    top: dict[str, Any] = {
        "seatrial": VERSION,
        "title": scenario.title,
        "about": scenario.about or None,
        "needs": scenario.needs or None,
        "expect": expect,
        "rate": scenario.rate,
        "seed": scenario.seed,
        "closing": _unless(plan.closing, "read"),
    }
    lines = [f"{key} = {_toml(value)}" for key, value in top.items() if value is not None]
    blobs = {name: spec for name, spec in plan.blobs.items() if spec != BlobSpec()}
    manifests = dict(plan.manifests)
    shown: set[str] = set()
    ops = {op.id: _operation(op, plan, blobs, manifests, shown) for op in plan}
    tables = {
        "ops": ops,
        "blobs": {name: _blob(spec) for name, spec in blobs.items()},
        "manifests": {name: _manifest(spec) for name, spec in manifests.items()},
    }
    for table, rows in tables.items():
        if rows:
            lines += ["", f"[{table}]", *_aligned(rows)]
    return "\n".join(lines) + "\n"


def _operation(
    op: Operation,
    plan: Plan,
    blobs: dict[str, BlobSpec],
    manifests: dict[str, ManifestSpec],
    shown: set[str],
) -> dict[str, Any]:
    """One row; takes out of ``blobs`` and ``manifests`` what it defines."""
    kind = KINDS[op.do]
    fields: dict[str, Any] = {"lane": None if op.lane == kind.actor else op.lane, "do": op.do}
    fields.update((spec.name, op.args[spec.name]) for spec in kind.args if spec.name in op.args)
    if op.do == "blob.push":
        name = op["blob"]
        definition = _blob(plan.blobs.get(name, BlobSpec())) if name not in shown else {}
        if name == EMPTY_JSON and definition.get("size") == BlobSpec().size_bytes:
            del definition["size"]
        fields.update(definition)
        shown.add(name)
        blobs.pop(name, None)
    elif op.do == "manifest.put" and (spec := manifests.pop(op.get("manifest", op.id), None)):
        fields.update(_manifest(spec))
    if op.hold is not None:
        fields["hold"] = {**_where(op.hold), "until": op.hold.until}
    if op.cut is not None:
        fields["cut"] = {**_place(op.cut.place), "how": op.cut.how}
    if op.strike is not None:
        fields["strike"] = {
            **_call(op.strike.at),
            "act": op.strike.act,
            "rest": _unless(op.strike.rest, False),
        }
    fields["after"] = op.after or None
    return fields


def _unless(value: Any, default: object) -> Any:
    return None if value == default else value


def _where(hold: Hold) -> dict[str, Any]:
    if hold.place is not None:
        return _place(hold.place)
    if hold.call is not None:
        return _call(hold.call)
    return {"line": hold.line, "nth": _unless(hold.nth, 1)}


def _call(call: Call) -> dict[str, Any]:
    return {"call": call.call, "path": _unless(call.path, "*"), "nth": _unless(call.nth, 1)}


def _place(place: Place) -> dict[str, Any]:
    on, part, nth = _unless(place.on, ""), _unless(place.part, "body"), _unless(place.nth, 1)
    return {"at": place.at_bytes, "on": on, "part": part, "nth": nth}


def _blob(spec: BlobSpec) -> dict[str, Any]:
    size = _unless(spec.size_bytes, BlobSpec().size_bytes) if spec.of else spec.size_bytes
    return {"size": size, "alg": _unless(spec.alg, "sha256"), "of": spec.of}


def _manifest(spec: ManifestSpec) -> dict[str, Any]:
    default = ManifestSpec()
    named = {key: getattr(spec, FIELD.get(key, key)) for key in MANIFEST}
    fields = {key: value for key, value in named.items() if value != getattr(default, FIELD.get(key, key))}
    return fields or {"layers": ()}


def _aligned(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(_key(name)) for name in rows)
    for name, fields in rows.items():
        yield f"{_key(name):{width}} = {_toml(fields)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            inside = ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
            return f"{{ {inside} }}" if inside else "{}"
    return "[" + ", ".join(_toml(item) for item in value) + "]"
