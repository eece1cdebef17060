"""P10, collection works."""

from __future__ import annotations

from typing import cast

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, first_each, found
from harness.history import History
from harness.model.circumstances import Collect
from harness.model.facts import Fact, Facts, Timeline
from harness.model.keeping import certainly_garbage, collect_level
from harness.model.reading import facts_of


def check(history: History) -> Report:
    """A collector run ends with success on any store that clients can make, and what nothing references is
    gone afterwards.

    Claims: a run on a store with content that ends with another status than 0 although nothing disturbed it;
    content that nothing can have referenced since before an undisturbed, successful run, and that a GET still
    shows after it. Only asked where the target promises no grace. Misses: HEAD (a registry's cache may answer
    it), content that is common property, what the run was not asked to remove, and what a registry that
    collects by itself leaves (nobody knows when it ran; what it removed is counted). Cost: runs × objects.
    """
    facts = facts_of(history)
    report = Report()
    if history.promises.collection == "none":
        return report
    for run in facts.collects:
        if run.own:
            report.tried += _gone(facts)
        if run.own or (run.code is None and run.disturbed):
            continue
        report.tried += 1
        if run.code is None:
            report.unknown.append("how a collector run ended was not recorded")
        elif run.code != 0:
            finding = _failed(facts, run)
            if finding is not None:
                report.findings.append(finding)
        elif not run.beside and not run.disturbed and history.promises.grace_s == 0:
            report.findings.extend(_left(facts, run, report))
    report.findings = first_each(report.findings)
    return report


def _gone(facts: Facts) -> int:
    """Blobs that were there, that no client deleted, and that are not there any more."""
    return sum(
        any(evidence.before(absent) for absent in timeline.absents for evidence in timeline.evidence())
        for timeline in facts.timelines.values()
        if timeline.obj.kind == "blob" and not timeline.deletes
    )


def _failed(facts: Facts, run: Collect) -> Finding | None:
    writes = [
        write
        for timeline in facts.timelines.values()
        for write in timeline.writes
        if write.certain and write.end_ns < run.start_ns
    ]
    if run.disturbed or not writes:
        return None
    said = " | ".join(line for line in run.lines[-3:] if line.strip())
    return found(
        facts,
        "P10",
        cast(Level, collect_level(facts, [r for r in facts.collects if r.start_ns <= run.start_ns])),
        "collection.failed",
        "promise: collection",
        "a collector run ends with an error",
        f"{run.op} ended with status {run.code}{': ' + said if said else ''}",
        [*_suspects(facts, run, writes), run],
        "collection",
    )


def _suspects(facts: Facts, run: Collect, writes: list[Fact]) -> list[Fact]:
    """What was written or removed last before a run: the likeliest reason for its failure."""
    removed = [
        d
        for t in facts.timelines.values()
        for d in t.deletes
        if d.via != "alias" and d.start_ns < run.start_ns
    ]
    near = sorted((*writes, *removed), key=lambda fact: fact.start_ns)
    return near[-3:]


def _left(facts: Facts, run: Collect, report: Report) -> list[Finding]:
    results = []
    for timeline in facts.timelines.values():
        if timeline.obj.kind == "manifest" and not (
            run.untagged and facts.history.promises.untagged_collected
        ):
            continue
        read = _shown_after(facts, timeline, run)
        if read is None or not facts.unique(timeline.obj):
            continue
        origin = next((w for w in timeline.writes if w.certain and w.end_ns < run.start_ns), None)
        if origin is None or not certainly_garbage(facts, timeline.obj, run):
            continue
        report.tried += 1
        kind, subject = timeline.obj.kind, facts.subject(timeline.obj)
        results.append(
            found(
                facts,
                "P10",
                "promise",
                "collection.garbage_left",
                "promise: collection",
                f"a {kind} that nothing references survives a collection",
                f"{subject} was pushed ({at(facts, origin)}), nothing references it, {run.op} collected"
                f" successfully, and it is there ({at(facts, read)})",
                [origin, run, read],
                subject,
            )
        )
    return results


def _shown_after(facts: Facts, timeline: Timeline, run: Collect) -> Fact | None:
    """The first whole GET after a run, before anybody can have written the content again anywhere."""
    again = min(
        (
            w.start_ns
            for other in facts.with_digest(timeline.obj.digest)
            for w in other.writes
            if w.end_ns >= run.start_ns
        ),
        default=None,
    )
    for read in timeline.presents:
        if read.start_ns <= run.end_ns or read.via == "accepted" or read.index < 0:
            continue
        exchange = facts.history.exchanges[read.index]
        if exchange.method == "GET" and exchange.status == 200:
            return read if again is None or read.end_ns < again else None
    return None
