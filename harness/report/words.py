"""A finding explained to a person who has never seen the harness (pure)."""

from __future__ import annotations

import textwrap
from itertools import pairwise

from harness.checkers.finding import Finding
from harness.history import History
from harness.plan.operation import mark_owner
from harness.plan.plan import Plan
from harness.report import phrases
from harness.report.lanes import draw, exchange_words
from harness.report.phrases import operation
from harness.report.result import FoundFinding

__all__ = ["LEVELS", "explain", "operation", "proof", "story"]

LEVELS: dict[str, str] = {
    "must": "a MUST of the specification, or of content addressing",
    "promise": "something that this target promises",
    "should": "a SHOULD of the specification: does not fail the run",
    "note": "worth knowing: does not fail the run",
    "hazard": "happens only outside of what the target promises: does not fail the run",
}


def explain(
    found: FoundFinding, target_option: str = "", *, history: History | None = None, width: int = 100
) -> str:
    """The whole story of a finding as a block of text: what, against which clause, the operations that prove
    it, a picture, how often it shows again, and the command that replays it.

    ``target_option`` is what follows the file in the replay command (``--target URL``). ``history``, of a run
    of ``found.plan``, gives the answers.
    """
    finding = found.finding
    known = " · known before" if found.known else ""
    lines = [
        f"{finding.title}",
        f"  {found.id} · {finding.property} · {finding.level}: {LEVELS.get(finding.level, '')}{known}",
        *_clause(finding.clause, width),
        "",
        *story(finding, found.plan, history, width=width),
        "",
        *textwrap.indent(
            draw(found.plan, history=history, witness=finding.witness, width=width - 2), "  "
        ).splitlines(),
        "",
        *("  " + line for line in proof(found, target_option)),
    ]
    return "\n".join(lines).rstrip()


def proof(found: FoundFinding, target_option: str = "") -> list[str]:
    """How sure it is, what it cost, and how to see it again."""
    again, tried = found.rate
    lines = [f"reproduced {again} of {tried} times"] if tried else []
    if lines and found.operations_before > len(found.plan):
        lines[0] += (
            f"; cut down from {found.operations_before} operations to {len(found.plan)}"
            f" in {found.executions} executions"
        )
    if found.count > 1:
        lines.append(f"seen in {found.count} plans")
    if found.scenario:
        lines.append(f"seatrial replay {found.scenario} {target_option}".rstrip())
    return lines


def story(finding: Finding, plan: Plan, history: History | None, *, width: int = 100) -> list[str]:
    """``Let`` the operations of the witness, ``Then`` how they lie in time, ``However`` what must not be."""
    witness = finding.witness
    names = [name for name in witness if name not in phrases.CLOSING]
    longest = max([len(name) for name in witness], default=0)
    lines: list[str] = []
    for name in witness:
        lead = "Let" if not lines else ""
        lines += _item(lead, f"{name.ljust(longest)}  {_said(name, finding, plan, history)}", width, longest)
    then = [_relation(a, b, plan, history) for a, b in pairwise(names) if a in plan and b in plan]
    then = [words for words in then if words]
    if then:
        lines += _item("Then", "; ".join(then) + ".", width)
    return lines + _item("However", finding.explanation, width)


def _item(lead: str, text: str, width: int, indent: int = -2) -> list[str]:
    first = f"  {lead.ljust(7)}  "
    rest = " " * (len(first) + indent + 2)
    out: list[str] = []
    for part in text.splitlines() or [""]:
        out += textwrap.wrap(
            part,
            width,
            initial_indent=first if not out else rest,
            subsequent_indent=rest,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return out


def _said(name: str, finding: Finding, plan: Plan, history: History | None) -> str:
    if name in plan:
        op = plan[name]
        words = f"{phrases.lane(op.lane)}: {operation(op, plan)}"
        if op.cut is not None:
            words += f"; the {phrases.cut(op.cut)}"
        if op.hold is not None:
            words += f"; {phrases.hold(op.hold)}"
        if op.strike is not None:
            words += f"; {phrases.strike(op.strike)}"
        answer = phrases.answer(op, history) if history is not None else ""
        return f"{words} → {answer}" if answer else words
    words = phrases.CLOSING.get(name, name)
    if history is None:
        return words
    proving = [e for e in history.by_op.get(name, ()) if e.index in finding.exchanges]
    return "; ".join(
        [words, *(f"{exchange_words(e)} → {phrases.sign(e)} {phrases.status(e)}" for e in proving)]
    )


def _relation(first: str, second: str, plan: Plan, history: History | None) -> str:
    """How two operations lie in time."""
    for still, other in ((first, second), (second, first)):
        hold = plan[still].hold
        if hold is not None and mark_owner(hold.until) == other:
            return f"{other} ran while {still} was held"
    spans = _spans(history) if history is not None else {}
    if first in spans and second in spans:
        (begun, ended), (next_begun, next_ended) = spans[first], spans[second]
        if ended < next_begun:
            return f"{first} ended before {second} began"
        if next_ended < begun:
            return f"{second} ended before {first} began"
        return f"{first} and {second} ran at the same time"
    if _before(first, second, plan):
        return f"{first} ended before {second} began"
    if _before(second, first, plan):
        return f"{second} ended before {first} began"
    return f"{first} and {second} may run at the same time"


def _before(first: str, second: str, plan: Plan) -> bool:
    """Whether the plan says that the first ends before the second begins."""
    todo, seen = [second], set()
    while todo:
        op = todo.pop()
        for mark in plan.waits[op]:
            if mark == first:
                return True
            owner = mark_owner(mark)
            if owner not in seen and owner in plan:
                seen.add(owner)
                todo.append(owner)
    return False


def _spans(history: History) -> dict[str, tuple[int, int]]:
    begun = {c.op: c.at_ns for c in history.what("op.start")}
    ended = {c.op: c.at_ns for c in history.what("op.end")}
    return {op: (at, ended[op]) for op, at in begun.items() if op in ended}


def _clause(text: str, width: int) -> list[str]:
    words, url = phrases.clause(text)
    lines = textwrap.wrap(words, width, initial_indent="  ", subsequent_indent="    ")
    return [*lines, f"    {url}"] if url else lines
