"""Scenario files: a plan as TOML, one line for each operation, to be read and written by hand.

Version 1 looks like this::

    seatrial = 1
    title = "the collector removes a blob that an acknowledged manifest references"
    needs = ["collect"]
    expect = { property = "P2", witness = ["put", "collect", "pull"] }

    [ops]
    push    = { lane = 1, do = "blob.push", repo = "r", blob = "layer", size = 4097, way = "chunked" }
    collect = { do = "collect", hold = { line = "blobs marked", until = "put" }, after = ["push"] }
    put     = { lane = 1, do = "manifest.put", repo = "r", layers = ["layer"], after = ["collect.held"] }
    pull    = { lane = 1, do = "image.pull", repo = "r", manifest = "put", after = ["collect"] }

The order of ``[ops]`` is the order of the plan. Without ``lane`` a client's operation is in lane 1, another
in the lane of its actor. What a blob or a manifest is stands on the first ``blob.push`` or ``manifest.put``
that makes it, or, for what none of them makes, in the tables ``[blobs]`` and ``[manifests]``; names without
a definition have the default one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.fields import (
    BLOB,
    CUT,
    EXPECT,
    FIELD,
    HOLD,
    INLINE,
    MANIFEST,
    OPERATION,
    STRIKE,
    TOP,
    expected,
    fits,
    nearest,
)
from harness.plan.kinds import KINDS
from harness.plan.operation import Arg, Call, Cut, Hold, Lane, Operation, Place, Strike, mark_owner
from harness.plan.plan import Plan, PlanError
from harness.plan.scenario import VERSION, Expect, Scenario, canonical, needs_of
from harness.plan.writer import dump

__all__ = ["Expect", "Scenario", "ScenarioError", "canonical", "dump", "load", "needs_of"]


class ScenarioError(ValueError):
    """A scenario file that cannot be read. Its text is one line: ``file:line: what is wrong, what to do``."""

    def __init__(self, name: str, line: int, problem: str) -> None:
        super().__init__(f"{name}:{line}: {problem}")
        self.name, self.line, self.problem = name, line, problem


def load(text: str, name: str) -> Scenario:
    """Reads a scenario from the text of the file ``name``. Raises `ScenarioError`."""
    return _Reader(text, name).scenario()


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name

    def scenario(self) -> Scenario:
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
            line = int(found[1]) if found and found[1] else self.text.rstrip().count("\n") + 1
            what = str(error)[: found.start()] if found else str(error)
            hint = (
                "a table in braces must stay on one line" if "inline table" in what.lower() else "see toml.io"
            )
            raise self.error(line, f"not TOML: {what[:1].lower()}{what[1:]}; {hint}") from None
        if data.get("seatrial") != VERSION:
            has = f"this is version {data['seatrial']!r}" if "seatrial" in data else "the version is missing"
            problem = f"{has}; this seatrial reads files with `seatrial = {VERSION}`"
            raise self.error(self.line_of("", "seatrial"), problem)
        for key, value in data.items():
            self.value(self.line_of("", key), "the file", key, value, TOP)
        for key, example in (("title", 'title = "…"'), ("ops", "[ops] with a line for each operation")):
            if not data.get(key):
                raise self.error(self.line_of("", key), f"`{key}` is missing; add {example}")
        plan = self.plan(data)
        return Scenario(
            title=data["title"],
            plan=plan,
            needs=tuple(data.get("needs", ())),
            expect=self.expect(data["expect"], plan) if "expect" in data else None,
            about=data.get("about", ""),
            rate=data.get("rate"),
            seed=data.get("seed"),
        )

    def plan(self, data: Mapping[str, Any]) -> Plan:
        self.blobs: dict[str, BlobSpec] = {}
        self.manifests: dict[str, ManifestSpec] = {}
        for table, keys in (("blobs", BLOB), ("manifests", MANIFEST)):
            for key, fields in data.get(table, {}).items():
                line = self.line_of(table, key)
                self.table(line, f"[{table}] {key}", fields, keys)
                self.define(line, table, key, fields)
        self.ops: Mapping[str, Any] = data["ops"]
        operations = tuple(self.operation(key, fields) for key, fields in self.ops.items())
        blobs = {key: spec for key, spec in self.blobs.items() if spec != BlobSpec()}
        plan = Plan(operations, blobs, self.manifests, data.get("closing", "read"))
        try:
            return plan.check()
        except PlanError as error:
            found = re.search(r"operation '([^']+)'|each other: (\S+)", str(error))
            key = (found[1] or found[2]) if found else ""
            raise self.error(self.line_of("ops", mark_owner(key)), str(error)) from None

    def operation(self, id_: str, fields: Any) -> Operation:
        line, where = self.line_of("ops", id_), f"operation {id_!r}"
        if not isinstance(fields, dict):
            raise self.error(line, f'{where} must be a table: {id_} = {{ lane = 1, do = "…" }}')
        if id_.endswith(".held"):
            raise self.error(line, f'{where}: ".held" is kept for holds; give it another name')
        if "do" not in fields:
            raise self.error(line, f'{where}: `do` is missing; add do = "blob.push" or another operation')
        kind = KINDS.get(fields["do"]) if isinstance(fields["do"], str) else None
        if kind is None:
            near = nearest(str(fields["do"]), KINDS)
            raise self.error(line, f"{where}: there is no operation {fields['do']!r}; {near}")
        arg_types = {spec.name: spec.type for spec in kind.args}
        inline = INLINE.get(kind.name, {})
        self.table(line, f"{where} ({kind.name})", fields, {**arg_types, **inline, **OPERATION})
        for spec in kind.args:
            if spec.required and spec.name not in fields:
                raise self.error(line, f"{where}: {kind.name} needs `{spec.name}`; add it")
        for mark in fields.get("after", ()):
            self.mark(line, where, "after", mark)
        args: dict[str, Arg] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in fields.items()
            if key in arg_types
        }
        definition = {key: value for key, value in fields.items() if key in inline}
        if definition and kind.name == "blob.push":
            self.define(line, "blobs", fields["blob"], definition)
        elif definition:
            self.define(line, "manifests", fields.get("manifest", id_), definition)
        default: Lane = 1 if kind.actor in ("client", "network") else kind.actor
        return Operation(
            id=id_,
            lane=fields.get("lane", default),
            do=kind.name,
            args=args,
            after=tuple(fields.get("after", ())),
            hold=self.hold(line, where, fields["hold"]) if "hold" in fields else None,
            cut=self.cut(line, where, fields["cut"]) if "cut" in fields else None,
            strike=self.strike(line, where, fields["strike"]) if "strike" in fields else None,
        )

    def hold(self, line: int, where: str, fields: Mapping[str, Any]) -> Hold:
        self.table(line, f"{where}, hold", fields, HOLD)
        if "until" not in fields:
            raise self.error(line, f'{where}: the hold has no end; add until = "…", an operation')
        if sum(key in fields for key in ("at", "line", "call")) != 1:
            raise self.error(
                line,
                f'{where}: a hold is at a byte (at = 0), at a line (line = "…") or at a system call'
                ' (call = "rename"); give one of them',
            )
        self.mark(line, where, "until", fields["until"])
        if "at" in fields:
            return Hold(fields["until"], self.place(fields))
        for key in ("on", "part"):
            if key in fields:
                raise self.error(line, f"{where}: `{key}` belongs to a hold at a byte; leave it out")
        if "call" in fields:
            return Hold(fields["until"], call=self.call(fields))
        if "path" in fields:
            raise self.error(line, f"{where}: `path` belongs to a hold at a system call; leave it out")
        return Hold(fields["until"], None, fields["line"], fields.get("nth", 1))

    def cut(self, line: int, where: str, fields: Mapping[str, Any]) -> Cut:
        self.table(line, f"{where}, cut", fields, CUT)
        return Cut(self.place(fields), fields.get("how", "close"))

    def strike(self, line: int, where: str, fields: Mapping[str, Any]) -> Strike:
        self.table(line, f"{where}, strike", fields, STRIKE)
        return Strike(self.call(fields), fields.get("act", "kill"), fields.get("rest", False))

    def call(self, fields: Mapping[str, Any]) -> Call:
        return Call(fields.get("call", "any"), fields.get("path", "*"), fields.get("nth", 1))

    def place(self, fields: Mapping[str, Any]) -> Place:
        return Place(
            fields.get("on", ""), fields.get("nth", 1), fields.get("part", "body"), fields.get("at", 0)
        )

    def expect(self, fields: Mapping[str, Any], plan: Plan) -> Expect:
        line = self.line_of("", "expect")
        self.table(line, "expect", fields, EXPECT)
        if "property" not in fields:
            raise self.error(line, 'expect: `property` is missing; add property = "P1" or another')
        witness = tuple(fields.get("witness", ()))
        for id_ in witness:
            if id_ not in plan and not id_.startswith("closing"):
                near = nearest(id_, self.ops)
                raise self.error(line, f"expect: the witness {id_!r} is no operation; {near}")
        return Expect(fields["property"], witness, fields.get("check"), fields.get("clause"))

    def define(self, line: int, table: str, key: str, fields: Mapping[str, Any]) -> None:
        """Notes what a blob or a manifest is; it may be said twice, but not in two ways."""
        named: dict[str, Any] = {
            FIELD.get(field, field): tuple(value) if isinstance(value, list) else value
            for field, value in fields.items()
        }
        known: dict[str, Any] = self.blobs if table == "blobs" else self.manifests
        spec = BlobSpec(**named) if table == "blobs" else ManifestSpec(**named)
        if known.setdefault(key, spec) != spec:
            what = table.removesuffix("s")
            raise self.error(line, f"{what} {key!r} is defined in two ways; say what it is only once")

    def mark(self, line: int, where: str, key: str, mark: str) -> None:
        owner = mark_owner(mark)
        if owner not in self.ops:
            near = nearest(owner, self.ops)
            raise self.error(line, f"{where}: `{key}` names {owner!r}, which is no operation; {near}")
        held = self.ops[owner]
        if mark != owner and isinstance(held, dict) and "hold" not in held:
            raise self.error(line, f"{where}: `{key}` waits for {mark!r}, but {owner!r} has no `hold`")

    def table(self, line: int, where: str, fields: Any, types: Mapping[str, str]) -> None:
        if not isinstance(fields, dict):
            raise self.error(line, f"{where} must be a table, {{ … }}, not {json.dumps(fields, default=str)}")
        for key, value in fields.items():
            self.value(line, where, key, value, types)

    def value(self, line: int, where: str, key: str, value: object, types: Mapping[str, str]) -> None:
        if key not in types:
            raise self.error(line, f"{where}: there is no key {key!r}; {nearest(key, types)}")
        if not fits(types[key], value):
            shown = json.dumps(value, default=str, ensure_ascii=False)
            raise self.error(line, f"{where}: `{key}` must be {expected(types[key])}, not {shown}")

    def error(self, line: int, problem: str) -> ScenarioError:
        return ScenarioError(self.name, line, problem)

    def line_of(self, table: str, key: str) -> int:
        """The line of a key of a table (``""``: the top of the file), or of the table, or 1."""
        spelled = "|".join(re.escape(form) for form in (key, json.dumps(key, ensure_ascii=False), f"'{key}'"))
        current, header = "", 1
        for number, line in enumerate(self.text.splitlines(), 1):
            if found := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
                current = found[1]
                header = number if current == table else header
                if re.fullmatch(rf"{table}\s*\.\s*({spelled})" if table else spelled, current):
                    return number
            elif current == table and re.match(rf"\s*({spelled})\s*[=.]", line):
                return number
        return header
