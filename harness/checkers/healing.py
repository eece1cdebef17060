"""P9, healing."""

from __future__ import annotations

from harness.checkers.finding import Report
from harness.checkers.witness import at, first_each, found
from harness.history import History
from harness.model.facts import Fact, Facts, Seen
from harness.model.presence import losses
from harness.model.reading import facts_of

WRITES = ("upload.put", "upload.single", "manifest.put")


def check(history: History) -> Report:
    """Pushing the right bytes again restores service.

    Claims: content that had been there, was seen missing or broken, and was pushed again with an
    acknowledgement, and is missing or broken still; a push again of such content that gets an error. Misses:
    content that nobody pushed again, and whatever a collector run or an outage can have broken meanwhile.
    Cost: as for losses.
    """
    facts = facts_of(history)
    report = Report()
    for timeline in facts.timelines.values():
        failing = [*timeline.absents, *timeline.broken, *timeline.wrong]
        report.tried += sum(
            1 for w in timeline.writes if w.certain and _seen_broken(facts, w, failing) is not None
        )
    for loss in losses(facts):
        if loss.blame != "healing":
            continue
        broken = loss.seen_broken
        assert broken is not None
        subject = facts.subject(loss.obj)
        report.findings.append(
            found(
                facts,
                "P9",
                "promise",
                "healing.repush",
                "promise: healing",
                f"a {loss.obj.kind} stays broken although it was pushed again",
                f"{subject} was broken ({at(facts, broken)}), was pushed again ({at(facts, loss.proof)}),"
                f" and is broken still ({at(facts, loss.read)})",
                [_first(facts, loss.proof), broken, loss.proof, loss.read],
                subject,
            )
        )
    for seen in facts.calls(*WRITES):
        _refused(facts, seen, report)
    report.findings = first_each(report.findings)
    return report


def _first(facts: Facts, proof: Fact) -> Fact | None:
    writes = facts.timelines[proof.obj].writes
    return next((w for w in writes if w.certain and w is not proof), None)


def _seen_broken(facts: Facts, write: Fact, failing: list[Fact]) -> Fact | None:
    """The failed read that makes a write a push *again*: the content had been there before it."""
    evidence = facts.timelines[write.obj].evidence()
    return next(
        (b for b in failing if b.before(write) and any(e.before(b) for e in evidence)),
        None,
    )


def _refused(facts: Facts, seen: Seen, report: Report) -> None:
    """A push of broken content that gets an error without a reason."""
    if seen.excused or seen.status < 500 or seen.status in (501, 507):
        return
    for timeline in facts.timelines.values():
        for write in timeline.writes:
            if write.index != seen.exchange.index or write.via == "alias":
                continue
            broken = _seen_broken(facts, write, [*timeline.absents, *timeline.broken, *timeline.wrong])
            if broken is not None:
                report.tried += 1
                subject = facts.subject(timeline.obj)
                report.findings.append(
                    found(
                        facts,
                        "P9",
                        "promise",
                        "healing.refused",
                        "promise: healing",
                        f"pushing a missing {timeline.obj.kind} again gets an error",
                        f"{subject} was broken ({at(facts, broken)}); pushing it again: {at(facts, seen)}",
                        [_first(facts, write), broken, seen],
                        subject,
                    )
                )
