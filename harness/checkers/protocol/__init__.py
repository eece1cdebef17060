"""P12, the protocol: every row of the specification that can be held against a registry.

Claims: each ordinary exchange, and each request of the table of cases, is answered as the specification
allows, at the level at which the target's version of it states so. Misses: what other properties' checkers
decide (`harness.checkers.protocol.rows` says which), and rows that no answer can break. Verdicts on cases may
also belong to P11: a request of the table that is answered with a server error, or not at all.
Cost: linear in the exchanges.
"""

from __future__ import annotations

from harness.checkers.finding import Finding, Report
from harness.checkers.protocol.answer import Answer
from harness.checkers.protocol.case import Case
from harness.checkers.protocol.known import Known
from harness.checkers.protocol.passive import count, flaws
from harness.checkers.protocol.table import CASES
from harness.checkers.protocol.verdict import finding, judge, judged
from harness.history import Exchange, History

__all__ = ["check"]


def check(history: History) -> Report:
    """Judge every exchange of a history; at most one finding for each (row, check)."""
    known = Known(history)
    report = Report()
    seen: set[tuple[str, str, str]] = set()

    def add(found: Finding) -> None:
        key = (found.clause, found.check, found.subject if found.property == "P11" else "")
        if key not in seen:
            seen.add(key)
            report.findings.append(found)

    for exchange in history.exchanges:
        case = _case(exchange)
        if case is not None and exchange.op in history.plan:
            op = history.plan[exchange.op]
            report.tried += judged(case, op, exchange, known)
            for property_, flaw in judge(case, op, exchange, known):
                add(finding(property_, flaw, exchange, known, case=case, op=op))
        if exchange.status is None:
            continue
        answer = Answer(exchange, exchange.status)
        report.tried += count(exchange.call)
        for flaw in flaws(answer, known):
            add(finding("P12", flaw, exchange, known))
    return report


def _case(exchange: Exchange) -> Case | None:
    return CASES.get(str(exchange.about.get("case"))) if exchange.call == "request" else None
