"""The verdict on one answered request of the table of cases.

Claims: the status is one that the case allows, and the rest of the answer is in its form; no request of the
table is answered with a server error, or not at all (availability, P11). Misses: what a wrongly accepted
request leaves behind in the registry. Cost: constant for a request.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checkers.finding import Finding, Level
from harness.checkers.protocol.answer import Answer, Flaw
from harness.checkers.protocol.bodies import SELF_CONTAINED
from harness.checkers.protocol.case import LEGAL, Case, op_arg, unknown_session
from harness.checkers.protocol.judges import JUDGES, Asked
from harness.checkers.protocol.known import Known
from harness.checkers.protocol.rows import ROWS, Row, at_most
from harness.history import Abilities, Exchange, History, Promises
from harness.plan.content import Symbols
from harness.plan.operation import Operation
from harness.plan.plan import Plan

SILENT = frozenset({"timeout", "reset", "closed"})
"""Errors with which a request was sent and never answered."""
SHOWN_CHARACTERS = 150
_CREATED_ONLY = frozenset({201})


def verdict(
    case: Case,
    op: Operation,
    exchange: Exchange,
    symbols: Symbols,
    abilities: Abilities,
    promises: Promises,
    *,
    known: Known | None = None,
) -> list[Finding]:
    """What is wrong with the answer to ``case``, sent for ``op``. Empty where the target need not be able to
    do it, or where the operation's inputs are not the case's any more.

    ``known``: the rest of the history; without it, nothing is known to be there, and 404 is allowed wherever
    that matters.
    """
    if known is None:
        history = History(Plan((op,)), symbols, promises, abilities, (exchange,), ())
        known = Known(history)
    findings = []
    for property_, flaw in judge(case, op, exchange, known):
        findings.append(finding(property_, flaw, exchange, known, case=case, op=op))
    return findings


def judge(case: Case, op: Operation, exchange: Exchange, known: Known) -> Iterator[tuple[str, Flaw]]:
    """(property, flaw) for everything that is wrong with the answer."""
    hostile = _unavailable(case, exchange, known)
    if hostile is not None:
        yield "P11", hostile
        return
    if not judged(case, op, exchange, known):
        return
    answer = Answer(exchange, exchange.status or 0)
    for flaw in _status(case, op, answer, known):
        yield "P12", flaw
    if case.judge:
        for flaw in JUDGES[case.judge](Asked(case, op, answer, known)):
            yield "P12", flaw


def judged(case: Case, op: Operation, exchange: Exchange, known: Known) -> bool:
    """Whether the answer can be held to the case at all."""
    history = known.history
    status = exchange.status
    if status is None or exchange.cut is not None or status in LEGAL or 500 <= status != 501:
        return False
    if "again" in exchange.about or not case.holds(op) or not history.abilities.can(case.needs):
        return False
    return not (case.session and unknown_session(op, history.symbols) in exchange.target)


def _unavailable(case: Case, exchange: Exchange, known: Known) -> Flaw | None:
    status = exchange.status
    row = ROWS[case.row]
    title = f"a server error, or no answer: {case.doc}"
    if status is not None:
        if status < 500 or status in case.allowed or known.excused(exchange):
            return None
        text = f"status {status}, allowed: {_span(case.allowed)}"
        return Flaw(row.number, "hostile", "promise", title, text)
    if exchange.error not in SILENT or case.large or known.excused(exchange):
        return None
    text = f"no answer ({exchange.error}: {exchange.detail})"
    return Flaw(row.number, "hostile", "promise", title, text)


def _status(case: Case, op: Operation, answer: Answer, known: Known) -> Iterator[Flaw]:
    kind = case.present or ("session" if case.session else "")
    maybe: frozenset[int] = frozenset()
    if kind and not _present(kind, op, answer.exchange, known):
        maybe = frozenset({404})
    status = answer.status
    title = f"{case.doc}: an answer that is not allowed"
    if status not in case.allowed | maybe:
        level: Level = case.level
        if case.allowed == _CREATED_ONLY and case.body in SELF_CONTAINED and not known.empty_index:
            # That the image specification allows an index without children binds no registry to take one.
            level = "should" if level == "must" else level
        yield Flaw(case.row, "status", level, title, f"status {status}, allowed: {_span(case.allowed)}")
    elif case.should is not None and status not in case.should | maybe:
        text = f"status {status}, better: {_span(case.should)}"
        better: Level = "note" if case.level == "note" else "should"
        yield Flaw(case.row, "advice", better, f"{case.doc}: not the answer that is advised", text)


def _present(kind: str, op: Operation, exchange: Exchange, known: Known) -> bool:
    repo = str(op_arg(op, "repo"))
    name = "" if kind == "repo" else str(op.get("upload", "") if kind == "session" else op_arg(op, kind))
    return known.present(kind, repo, name, exchange)


def _span(statuses: frozenset[int]) -> str:
    """Statuses in words: all client errors are ``4xx``."""
    errors = [status for status in statuses if 400 <= status < 500]
    if len(errors) < 100:
        return ", ".join(str(status) for status in sorted(statuses))
    rest = sorted(statuses - set(errors))
    return ", ".join([*(str(status) for status in rest), "4xx"])


_MAKERS = (("session", "upload"), ("blob", "blob"), ("manifest", "manifest"), ("tag", "tag"))


def finding(
    property_: str,
    flaw: Flaw,
    exchange: Exchange,
    known: Known,
    *,
    case: Case | None = None,
    op: Operation | None = None,
) -> Finding:
    """A flaw as a finding. Its witness is the operation that made the object, where one did, and the one that
    asked; an exchange of the closing part belongs to no operation and leaves the first alone."""
    row = ROWS[flaw.row]
    words = _level_row(row, flaw)
    level = at_most(flaw.level, words, known.history.promises.spec) if property_ == "P12" else flaw.level
    if property_ == "P11":
        check = f"availability.{flaw.what}"
    elif case is not None:
        check = f"protocol.row-{flaw.row}.{case.name}.{flaw.what}"
    else:
        check = f"protocol.row-{flaw.row}.{flaw.what}"
    makers = _makers(exchange, known, case, op)
    plan = known.history.plan
    witness = tuple(dict.fromkeys(one.op for one in (*makers, exchange) if one.op in plan))
    indexes = tuple(dict.fromkeys(one.index for one in (*makers, exchange)))
    subject = case.name if case is not None else exchange.call
    explanation = f"{_seen(exchange)}: {flaw.text}. Row {row.number}: {row.words}."
    return Finding(
        property_, level, check, f"row {flaw.row}", flaw.title, explanation, witness, indexes, subject
    )


def _level_row(row: Row, flaw: Flaw) -> Row:
    """The row, as the version that states what was broken has it."""
    if not flaw.since:
        return row
    return Row(
        row.number, row.level, "1.0", row.endpoints, row.words, row.section, row.how, row.by, row.why_none
    )


def _makers(
    exchange: Exchange, known: Known, case: Case | None, op: Operation | None
) -> tuple[Exchange, ...]:
    """The exchange that made what this one is about: the first kind of object that it speaks of."""
    about = exchange.about
    repo = str(about.get("repo", ""))
    if case is not None and op is not None:
        kind = case.present or ("session" if case.session else "")
        if not kind:
            return ()
        name = "" if kind == "repo" else str(op.get("upload" if kind == "session" else kind, ""))
        found = known.maker(kind, repo, name, exchange)
        return () if found is None else (found,)
    for kind, argument in _MAKERS:
        if argument in about:
            found = known.maker(kind, repo, str(about[argument]), exchange)
            if found is not None:
                return (found,)
    return ()


def _seen(exchange: Exchange) -> str:
    came = exchange.status if exchange.status is not None else (exchange.error or "no answer")
    target = exchange.target.partition("://")[2] or exchange.target
    shown = target if len(target) <= SHOWN_CHARACTERS else f"{target[:SHOWN_CHARACTERS]}…"
    return f"#{exchange.index} {exchange.method} {shown} by {exchange.op}: {came}"
