"""P8, isolation."""

from __future__ import annotations

from harness.checkers.durability import refused
from harness.checkers.finding import Finding, Report
from harness.checkers.witness import at, first_each, found
from harness.history import History
from harness.model.facts import Facts
from harness.model.moves import tag_troubles
from harness.model.presence import Ghost, ghosts
from harness.model.reading import facts_of
from harness.model.sessions import sessions


def check(history: History) -> Report:
    """No content and no session leaks from one repository into another.

    Claims: content that only another repository (or nobody) was ever given is readable here, if nobody else
    can have made the same bytes; an upload session works under another repository's path. Misses: rights and
    tokens, which need two accounts, and content that is common property (very short blobs). Cost: linear.
    """
    facts = facts_of(history)
    report = Report()
    for timeline in facts.timelines.values():
        if not timeline.writes and facts.unique(timeline.obj):
            report.tried += len(timeline.presents) + len(timeline.absents)
    for ghost in ghosts(facts):
        if ghost.removal is None and not refused(facts, ghost) and facts.unique(ghost.obj):
            report.findings.append(_leak(facts, ghost))
    for trouble in tag_troubles(facts):
        if trouble.blame == "foreign":
            report.findings.append(
                found(
                    facts, "P8", "must", "isolation.tag", "row 17",
                    "a tag shows a manifest that its repository never had",
                    trouble.story(facts), trouble.points, trouble.subject,
                )
            )  # fmt: skip
    report.findings.extend(_sessions(facts, report))
    report.findings = first_each(report.findings)
    return report


def _leak(facts: Facts, ghost: Ghost) -> Finding:
    subject = facts.subject(ghost.obj)
    elsewhere = [
        write
        for timeline in facts.with_digest(ghost.obj.digest)
        for write in timeline.writes
        if write.obj.repo != ghost.obj.repo and write.via != "alias" and write.start_ns <= ghost.read.end_ns
    ]
    where = (
        f"it was pushed to {elsewhere[0].obj.repo} ({at(facts, elsewhere[0])})"
        if elsewhere
        else "nobody pushed it"
    )
    return found(
        facts,
        "P8",
        "must",
        "isolation.content",
        "row 21" if ghost.obj.kind == "blob" else "row 17",
        f"a {ghost.obj.kind} can be read in a repository that never had it",
        f"{subject}: {where}, never to {ghost.obj.repo}; and {at(facts, ghost.read)}",
        [*elsewhere[:1], ghost.read],
        subject,
    )


def _sessions(facts: Facts, report: Report) -> list[Finding]:
    results = []
    for session in sessions(facts):
        for step in session.steps:
            if step.seen.repo == session.home:
                continue
            report.tried += 1
            if step.seen.ok:
                results.append(
                    found(
                        facts,
                        "P8",
                        "must",
                        "isolation.session",
                        "row 45",
                        "an upload session works under another repository's path",
                        f"upload {session.name} was opened in {session.home} ({at(facts, session.opened)})"
                        f" and used in {step.seen.repo} ({at(facts, step.seen)})",
                        [session.opened, step.seen],
                        f"upload {session.name}",
                    )
                )
    return results
