"""How checkers put a finding together: the operations that prove it, in order, and words for what they
did."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checkers.finding import Finding, Level
from harness.history import Exchange
from harness.model.circumstances import Collect, Span
from harness.model.facts import Fact, Facts, Seen, TagOp

Point = Fact | TagOp | Seen | Exchange | Span | Collect | None

CAUSES = {
    "power": "the power was cut",
    "kill": "the registry was killed",
    "stop": "the registry was restarted",
}


def found(
    facts: Facts,
    property_: str,
    level: Level,
    check: str,
    clause: str,
    title: str,
    explanation: str,
    points: Iterable[Point],
    subject: str,
) -> Finding:
    """A finding whose witness and exchanges are those of ``points``, in order of time."""
    rows = sorted({_row(point) for point in points if point is not None})
    plan = facts.history.plan
    ops = list(dict.fromkeys(op for _, _, op in rows if op))
    later = [op for op in ops if op not in plan]
    witness = (*(op for op in ops if op in plan), *later[-1:])
    exchanges = tuple(dict.fromkeys(index for _, index, _ in rows if index >= 0))
    return Finding(property_, level, check, clause, title, explanation, witness, exchanges, subject)


def _row(point: Fact | TagOp | Seen | Exchange | Span | Collect) -> tuple[int, int, str]:
    if isinstance(point, Seen):
        point = point.exchange
    if isinstance(point, Exchange):
        return (point.invoked_ns, point.index, point.op)
    if isinstance(point, Span | Collect):
        return (point.start_ns, -1, point.op)
    return (point.start_ns, point.index, point.op)


def at(facts: Facts, point: Fact | TagOp | Seen | Exchange) -> str:
    """An exchange in words: ``#12 GET by pull: 404``."""
    if isinstance(point, Seen):
        exchange = point.exchange
    elif isinstance(point, Exchange):
        exchange = point
    else:
        exchange = facts.history.exchanges[point.index]
    came = exchange.error or (str(exchange.status) if exchange.status is not None else "no answer")
    return f"#{exchange.index} {exchange.method} by {exchange.op}: {came}"


def causes(spans: Iterable[Span | Collect]) -> str:
    """Outages and collector runs in words, with their operations."""
    words = []
    for span in spans:
        what = "the collector ran" if isinstance(span, Collect) else CAUSES.get(span.kind, span.kind)
        words.append(f"{what} ({span.op})" if span.op else what)
    return " and ".join(dict.fromkeys(words))


def first_each(findings: Iterable[Finding]) -> list[Finding]:
    """The first finding for each (property, check, subject): what follows on the same object is no news."""
    kept: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.property, finding.check, finding.subject), finding)
    return list(kept.values())
