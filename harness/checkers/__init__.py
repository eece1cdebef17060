"""The checkers: pure functions from a history to findings, by property."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from harness.checkers import (
    availability,
    closure,
    collection,
    content,
    deletion,
    durability,
    healing,
    isolation,
    listing,
    tags,
    uploads,
)
from harness.checkers.finding import RED, Checker, Finding, Level, Report
from harness.history import History

__all__ = ["CHECKERS", "RED", "Checker", "Finding", "Level", "Report", "judge"]


def _protocol(history: History) -> Report:
    """P12, where its table is installed."""
    try:
        module = import_module("harness.checkers.protocol")
    except ModuleNotFoundError as error:
        if error.name != "harness.checkers.protocol":
            raise
        return Report()
    check = getattr(module, "check", None)
    if isinstance(check, ModuleType):
        check = check.check
    if not callable(check):
        return Report()
    report = check(history)
    assert isinstance(report, Report)
    return report


CHECKERS: dict[str, tuple[Checker, ...]] = {
    "P1": (content.check,),
    "P2": (closure.check,),
    "P3": (durability.check,),
    "P4": (tags.check,),
    "P5": (deletion.check,),
    "P6": (uploads.check,),
    "P7": (listing.check,),
    "P8": (isolation.check,),
    "P9": (healing.check,),
    "P10": (collection.check,),
    "P11": (availability.check,),
    "P12": (_protocol,),
}


def judge(history: History) -> dict[str, Report]:
    """Every property's report. A checker that raises is *unknown*, with what it said, and never green.

    An unavailability that another property explains (the same exchange, or the same object) is not told
    twice.
    """
    reports = {id_: Report() for id_ in CHECKERS}
    for id_, checkers in CHECKERS.items():
        for checker in checkers:
            try:
                made = checker(history)
            except Exception as error:
                reports[id_].unknown.append(f"the checker failed: {type(error).__name__}: {error}")
                reports[id_].tried += 1
                continue
            for finding in made.findings:
                # The protocol's table also finds what belongs to availability.
                reports[finding.property].findings.append(finding)
            reports[id_].unknown.extend(made.unknown)
            reports[id_].tried += made.tried
    _once(reports)
    return reports


def _once(reports: dict[str, Report]) -> None:
    others = [
        f
        for id_, report in reports.items()
        if id_ != "P11"
        for f in report.findings
        if f.red or f.level == "hazard"
    ]
    found = reports["P11"].findings
    # What the protocol's table found says more than that a request failed.
    special = [finding for finding in found if finding.check == "availability.hostile"]
    exchanges = {index for finding in (*others, *special) for index in finding.exchanges}
    subjects = {finding.subject for finding in others if finding.subject}
    kept: dict[tuple[str, str], Finding] = {}
    for finding in found:
        explained = finding.subject in subjects or bool(exchanges.intersection(finding.exchanges[-1:]))
        if finding in special or not explained:
            kept.setdefault((finding.check, finding.title), finding)
    reports["P11"].findings = list(kept.values())
