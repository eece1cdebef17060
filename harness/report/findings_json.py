"""``findings.json``: what a run came to, for programs; and reading one back as what is known already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkers.finding import RED, Finding
from harness.plan.plan import Plan
from harness.report.result import FoundFinding, PropertyResult, RunResult

FORMAT = 1
STATUSES = ("held", "violated", "inconclusive", "skipped")
WORST_FIRST = ("violated", "inconclusive", "held", "skipped")
NEVER = "never happened: "
"""How the reasons begin that go with `PropertyResult.sometimes_missed`, in the same order."""

Key = tuple[str, str, str, tuple[str, ...]]
"""What tells findings apart: property, clause, check, and the kinds of operations in the witness."""

_TOP: Mapping[str, type | tuple[type, ...]] = {
    "seatrial": int,
    "target": str,
    "seed": int,
    "profile": str,
    "elapsed_s": (int, float),
    "exit_code": int,
    "properties": list,
    "findings": list,
    "not_tried": list,
}
_PROPERTY: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "title": str,
    "status": str,
    "plans": int,
    "operations": int,
    "exchanges": int,
    "facts": int,
    "elapsed_s": (int, float),
    "reason": str,
    "reasons": list,
    "sometimes": dict,
}
_FINDING: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "property": str,
    "level": str,
    "check": str,
    "clause": str,
    "title": str,
    "explanation": str,
    "subject": str,
    "witness": list,
    "kinds": list,
    "scenario": str,
    "history": str,
    "rate": list,
    "executions": int,
    "operations": int,
    "operations_before": int,
    "known": bool,
    "count": int,
}


class FindingsError(ValueError):
    """A file that is no ``findings.json``. Its text is one line: which file, where in it, what is wrong."""


def kinds(plan: Plan, witness: Iterable[str]) -> tuple[str, ...]:
    """The kinds of the operations in a witness, sorted, each once; read-backs keep their name."""
    return tuple(sorted({plan[id_].do if id_ in plan else id_ for id_ in witness}))


def key_of(finding: Finding, plan: Plan) -> Key:
    return (finding.property, finding.clause, finding.check, kinds(plan, finding.witness))


# --- writing ---------------------------------------------------------------------------------------------


def plain_result(result: RunResult) -> dict[str, Any]:
    """The document as JSON-ready values."""
    return {
        "seatrial": FORMAT,
        "target": result.target,
        "seed": result.seed,
        "profile": result.profile,
        "elapsed_s": round(result.elapsed_s, 3),
        "exit_code": result.exit_code,
        "properties": [_property(found) for found in result.properties],
        "findings": [_finding(found) for found in result.findings],
        "not_tried": [{"what": what, "why": why} for what, why in result.not_tried],
    }


def _property(one: PropertyResult) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "status": one.status,
        "plans": one.plans,
        "operations": one.operations,
        "exchanges": one.exchanges,
        "facts": one.facts,
        "elapsed_s": round(one.elapsed_s, 3),
        "reason": "; ".join(one.reasons),
        "reasons": list(one.reasons),
        "sometimes": {"reached": list(one.sometimes_reached), "missed": list(one.sometimes_missed)},
    }


def _finding(found: FoundFinding) -> dict[str, Any]:
    finding = found.finding
    return {
        "id": found.id,
        "property": finding.property,
        "level": finding.level,
        "check": finding.check,
        "clause": finding.clause,
        "title": finding.title,
        "explanation": finding.explanation,
        "subject": finding.subject,
        "witness": list(finding.witness),
        "kinds": list(kinds(found.plan, finding.witness)),
        "scenario": found.scenario,
        "history": found.history,
        "rate": list(found.rate),
        "executions": found.executions,
        "operations": len(found.plan),
        "operations_before": found.operations_before,
        "known": found.known,
        "count": found.count,
    }


def write(path: Path, result: RunResult) -> Path:
    """Write the document of a run; the path. Raises `OSError`."""
    return write_plain(path, plain_result(result))


def write_plain(path: Path, document: Mapping[str, Any]) -> Path:
    """Write a document that `problems` has nothing against, whole or not at all; the path."""
    wrong = problems(document)
    if wrong:
        raise FindingsError(f"{path}: not written: {wrong[0]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    beside.replace(path)
    return path


# --- reading ---------------------------------------------------------------------------------------------


def problems(document: Any) -> list[str]:
    """What is wrong with a document, a line each; empty where it is a ``findings.json`` of this version."""
    if not isinstance(document, Mapping):
        return ["it is no JSON object"]
    if document.get("seatrial") != FORMAT:
        return [f"`seatrial` is {document.get('seatrial')!r}; this version reads format {FORMAT}"]
    found = _wrong(document, _TOP, "")
    for place, rows, fields in (("properties", "properties", _PROPERTY), ("findings", "findings", _FINDING)):
        listed = document.get(rows)
        for number, row in enumerate(listed if isinstance(listed, list) else ()):
            where = f"{place}[{number}]"
            if not isinstance(row, Mapping):
                found.append(f"{where} is no object")
                continue
            found += _wrong(row, fields, f"{where}.")
            if rows == "properties" and row.get("status") not in STATUSES:
                found.append(f"{where}.status is {row.get('status')!r}; it is one of {', '.join(STATUSES)}")
            rate = row.get("rate")
            if isinstance(rate, list) and (len(rate) != 2 or not all(isinstance(n, int) for n in rate)):
                found.append(f"{where}.rate is {rate!r}; it is two whole numbers: reproduced, tried")
    return found


def _wrong(row: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]], where: str) -> list[str]:
    out = []
    for name, type_ in fields.items():
        if name not in row:
            out.append(f"`{where}{name}` is missing")
        elif not isinstance(row[name], type_) or (isinstance(row[name], bool) and type_ is not bool):
            out.append(f"`{where}{name}` is {row[name]!r}")
    return out


def read(path: Path) -> dict[str, Any]:
    """A document from its file. Raises `FindingsError`."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise FindingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FindingsError(f"{path}: no JSON: {error}") from None
    wrong = problems(document)
    if wrong:
        raise FindingsError(f"{path}: no findings.json: {wrong[0]}")
    return dict(document)


@dataclass(frozen=True, slots=True)
class Known:
    """Findings that are known already: still shown, no longer red."""

    keys: frozenset[Key] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Known:
        """From a ``findings.json``. Raises `FindingsError`."""
        return cls(
            frozenset(
                (row["property"], row["clause"], row["check"], tuple(sorted(row["kinds"])))
                for row in read(path)["findings"]
            )
        )

    def matches(self, finding: Finding, plan: Plan) -> bool:
        """Whether a finding, shown by this shrunk plan, is among them."""
        return key_of(finding, plan) in self.keys


# --- several workers -------------------------------------------------------------------------------------


def merge(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One document of those of several workers that tried the same target. Counts add up; what happened in
    one worker happened; the same finding is kept once. Raises `FindingsError` where there is none."""
    parts = list(documents)
    if not parts:
        raise FindingsError("there is nothing to merge: no worker finished")
    merged = dict(parts[0])
    merged["seed"] = min(part["seed"] for part in parts)
    merged["elapsed_s"] = max(part["elapsed_s"] for part in parts)
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        for row in part["properties"]:
            rows.setdefault(row["id"], []).append(row)
    merged["properties"] = [_merged_property(same) for same in rows.values()]
    findings: dict[object, dict[str, Any]] = {}
    for row in (row for part in parts for row in part["findings"]):
        key = (row["property"], row["clause"], row["check"], tuple(row["kinds"]))
        if key in findings:
            findings[key]["count"] += row["count"]
        else:
            findings[key] = dict(row)
    merged["findings"] = list(findings.values())
    merged["not_tried"] = [
        dict(pair)
        for pair in dict.fromkeys(tuple(row.items()) for part in parts for row in part["not_tried"])
    ]
    red = any(row["level"] in RED and not row["known"] for row in merged["findings"])
    merged["exit_code"] = 1 if red else max(part["exit_code"] for part in parts)
    return merged


def _merged_property(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    merged = dict(rows[0])
    for name in ("plans", "operations", "exchanges", "facts"):
        merged[name] = sum(row[name] for row in rows)
    merged["elapsed_s"] = round(sum(row["elapsed_s"] for row in rows), 3)
    reached = list(dict.fromkeys(name for row in rows for name in row["sometimes"]["reached"]))
    missed: dict[str, str] = {}
    others: dict[str, None] = {}
    for row in rows:
        nevers = [reason for reason in row["reasons"] if reason.startswith(NEVER)]
        missed.update(zip(row["sometimes"]["missed"], nevers, strict=False))
        if row["status"] != "skipped":
            others.update(dict.fromkeys(r for r in row["reasons"] if not r.startswith(NEVER)))
    missed = {name: reason for name, reason in missed.items() if name not in reached}
    merged["sometimes"] = {"reached": reached, "missed": list(missed)}
    status = min((row["status"] for row in rows), key=WORST_FIRST.index)
    if status == "skipped":
        others = dict.fromkeys(rows[0]["reasons"])
    elif status == "inconclusive" and not missed and not others:
        status = "held"
    merged["status"] = status
    merged["reasons"] = [*missed.values(), *others]
    merged["reason"] = "; ".join(merged["reasons"])
    return merged
