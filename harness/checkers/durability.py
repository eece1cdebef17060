"""P3, durability."""

from __future__ import annotations

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, causes, first_each, found
from harness.history import History
from harness.model.facts import Facts
from harness.model.moves import TagTrouble, tag_troubles
from harness.model.presence import Ghost, Loss, ghosts, losses
from harness.model.reading import facts_of


def check(history: History) -> Report:
    """What was acknowledged is there, now and after kill or power cut; what was refused left no trace.

    Claims: acknowledged content or tag moves that are missing, reverted or broken, where nothing removed
    them; content that a registry refused and shows nevertheless. Without ``durable`` an outage may have
    removed anything. Misses: what nobody read afterwards, and what a legal remover may explain. Losses by a
    collector are P2, by a deletion P5, after a second push P9. Cost: for each failed read, the removers since
    its proof.
    """
    facts = facts_of(history)
    report = Report()
    for timeline in facts.timelines.values():
        report.tried += len(timeline.presents) + len(timeline.absents) if timeline.writes else 0
        report.tried += len(timeline.refused)
    for loss in losses(facts):
        finding = _lost(facts, loss)
        if finding is not None:
            report.findings.append(finding)
    report.findings.extend(_trace(facts, ghost) for ghost in ghosts(facts) if refused(facts, ghost))
    for trouble in tag_troubles(facts):
        finding = _tag(facts, trouble)
        if finding is not None:
            report.findings.append(finding)
    report.findings = first_each(report.findings)
    return report


def _lost(facts: Facts, loss: Loss) -> Finding | None:
    if loss.read.kind == "wrong" or loss.proof.via == "accepted":
        return None
    kind, subject = loss.obj.kind, facts.subject(loss.obj)
    story = f"{subject} was there ({at(facts, loss.proof)})"
    if loss.blame == "outage":
        broken = loss.read.kind == "broken"
        return found(
            facts,
            "P3",
            "promise",
            "durability.broken" if broken else "durability.lost",
            "promise: durable",
            f"after a crash or restart an acknowledged {kind} {'answers an error' if broken else 'is gone'}",
            f"{story}; {causes(loss.outages)}; then {at(facts, loss.read)}",
            [loss.origin, loss.proof, *loss.outages[-2:], loss.read],
            subject,
        )
    if loss.blame == "nothing" and loss.read.kind == "absent":
        mounted = loss.proof.via == "mount"
        row = "row 48" if mounted else ("row 19" if kind == "blob" else "row 12")
        return found(
            facts,
            "P3",
            "must",
            "durability.lost",
            row,
            f"{'a mounted' if mounted else 'an acknowledged'} {kind} is not there",
            f"{story}; nothing removed it; then {at(facts, loss.read)}",
            [loss.origin, loss.proof, loss.read],
            subject,
        )
    return None


def refused(facts: Facts, ghost: Ghost) -> bool:
    """Whether content that nobody wrote was offered to this repository, and refused."""
    timeline = facts.timelines[ghost.obj]
    return ghost.removal is None and any(r.start_ns <= ghost.read.end_ns for r in timeline.refused)


def _trace(facts: Facts, ghost: Ghost) -> Finding:
    attempts = [r for r in facts.timelines[ghost.obj].refused if r.start_ns <= ghost.read.end_ns]
    subject = facts.subject(ghost.obj)
    row = "row 33" if ghost.obj.kind == "blob" else "row 60"
    return found(
        facts,
        "P3",
        "must",
        "durability.trace",
        row,
        f"a {ghost.obj.kind} that was refused can be read",
        f"{subject} was refused ({at(facts, attempts[-1])}), nobody else wrote it,"
        f" and it is there ({at(facts, ghost.read)})",
        [*attempts[-2:], ghost.read],
        subject,
    )


def _tag(facts: Facts, trouble: TagTrouble) -> Finding | None:
    broken = trouble.read is None
    if trouble.blame == "refused":
        return found(
            facts, "P3", "must", "durability.trace", "row 60", "a tag shows a manifest that was refused",
            trouble.story(facts), trouble.points, trouble.subject,
        )  # fmt: skip
    if trouble.blame != "outage":
        return None
    level: Level = "promise"
    what = "answers an error" if broken else ("is gone" if trouble.shown is None else "shows another value")
    return found(
        facts,
        "P3",
        level,
        "durability.tag_broken" if broken else "durability.tag",
        "promise: durable",
        f"after a crash or restart a tag {what}",
        f"{trouble.story(facts)}; {causes(trouble.outages)}",
        [*trouble.points, *trouble.outages[-2:]],
        trouble.subject,
    )
