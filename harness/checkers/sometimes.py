"""What a run must have made happen before its silence means anything.

A property that held although no mount ever succeeded and no collection ever removed anything has not been
tried. Each row is a predicate over one history; a run adds up what its histories reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.history import Exchange, History
from harness.model.facts import Facts
from harness.model.keeping import references
from harness.model.presence import absences
from harness.model.reading import facts_of
from harness.model.sessions import sessions

Happened = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Sometimes:
    """``words`` end the sentence *never happened: …*. ``needs``: abilities and controls without which it
    cannot happen."""

    property: str
    words: str
    happened: Happened
    needs: tuple[str, ...] = ()


def _answered(call: str, *statuses: int) -> Happened:
    return lambda facts: any(seen.status in statuses for seen in facts.calls(call))


def _whole_read(facts: Facts) -> bool:
    return any(
        seen.status == 200 and seen.exchange.body is not None and seen.exchange.body.size_bytes > 0
        for seen in facts.calls("blob.get")
    )


def _sha512(facts: Facts) -> bool:
    return any(
        seen.status == 200 and str(seen.about.get("digest", "")).startswith("sha512:")
        for seen in facts.calls("blob.get")
    )


def _removed(facts: Facts) -> bool:
    if any(run.removed for run in facts.collects):
        return True
    return any(
        evidence.before(run) and run.end_ns < absent.start_ns
        for run in facts.collects
        if run.code == 0
        for timeline in facts.timelines.values()
        if not any(d.start_ns < run.end_ns for d in timeline.deletes)
        for absent in timeline.absents
        for evidence in timeline.evidence()
    ) or any(
        evidence.before(absent)
        for run in facts.collects
        if run.own
        for timeline in facts.timelines.values()
        if timeline.obj.kind == "blob" and not timeline.deletes
        for absent in timeline.absents
        for evidence in timeline.evidence()
    )


def _survived(facts: Facts) -> bool:
    """A blob that a manifest names was there before a collection and is there after it."""
    graph = references(facts)
    return any(
        run.code == 0
        and graph.users(timeline.obj.digest)
        and _around(facts, timeline.obj.digest, run.start_ns, run.end_ns)
        for run in facts.collects
        for timeline in facts.timelines.values()
        if timeline.obj.kind == "blob"
    )


def _around(facts: Facts, digest: str, start_ns: int, end_ns: int) -> bool:
    for timeline in facts.with_digest(digest):
        if any(w.certain and w.end_ns < start_ns for w in timeline.writes) and any(
            p.start_ns > end_ns for p in timeline.presents
        ):
            return True
    return False


def _kill_hits(facts: Facts) -> bool:
    kills = [span for span in facts.outages if span.kind in ("kill", "power")]
    return any(
        span.overlaps(seen.start_ns, seen.exchange.completed_ns) and seen.start_ns <= span.start_ns
        for seen in facts.calls("upload.patch", "upload.put", "upload.single", "manifest.put")
        for span in kills
    )


def _acknowledged(kind: str) -> Happened:
    def happened(facts: Facts) -> bool:
        return any(
            w.certain
            and w.end_ns < span.start_ns
            and any(p.start_ns > span.end_ns for p in timeline.presents)
            for span in facts.outages
            if span.kind == kind
            for timeline in facts.timelines.values()
            for w in timeline.writes
        )

    return happened


def _refused(facts: Facts) -> bool:
    """A commit under another digest was refused, and the digest was asked for afterwards."""
    return any(
        seen.exchange.outcome == "fail" and seen.about.get("right") is False
        for seen in facts.calls("upload.put", "upload.single")
    )


def _moved_while_read(facts: Facts) -> bool:
    for ops in facts.tag_ops.values():
        writes = [op for op in ops if op.kind == "write"]
        if len({op.value for op in writes}) > 1:
            for read in ops:
                if read.kind == "read" and any(
                    w.start_ns <= read.end_ns and read.start_ns <= w.end_ns for w in writes
                ):
                    return True
    return False


def _moved(facts: Facts) -> bool:
    return any(
        len({op.value for op in ops if op.kind == "write" and not op.optional}) > 1
        for ops in facts.tag_ops.values()
    )


def _deleted(kind: str) -> Happened:
    def happened(facts: Facts) -> bool:
        return any(
            d.certain and any(d.before(a) for a in timeline.absents)
            for timeline in facts.timelines.values()
            if timeline.obj.kind == kind
            for d in timeline.deletes
        )

    return happened


def _resumed(facts: Facts) -> bool:
    return any(
        step.seen.ok and step.before.resumed and step.seen.call == "upload.put"
        for session in sessions(facts)
        for step in session.steps
    )


def _out_of_order(facts: Facts) -> bool:
    return any(
        step.out_of_order and not step.racy and step.seen.status
        for session in sessions(facts)
        for step in session.steps
        if step.seen.call == "upload.patch"
    )


def _many_chunks(facts: Facts) -> bool:
    return any(
        sum(step.seen.call == "upload.patch" and step.seen.ok for step in session.steps) > 3
        for session in sessions(facts)
    )


def _referrers(facts: Facts) -> bool:
    for seen in facts.calls("referrers.list"):
        body = seen.exchange.body.json() if seen.exchange.body is not None else None
        if isinstance(body, dict) and body.get("manifests"):
            return True
    return False


def _second_page(facts: Facts) -> bool:
    return any(seen.about.get("page", 1) == 2 and seen.status == 200 for seen in facts.calls("tags.list"))


def _foreign(facts: Facts) -> bool:
    """Content was asked for where it never was, while another repository has it."""
    return any(
        timeline.absents
        and not timeline.writes
        and any(o.writes for o in facts.with_digest(timeline.obj.digest))
        for timeline in facts.timelines.values()
        if timeline.obj.kind == "blob"
    )


def _again(facts: Facts) -> bool:
    """Content that had been there and was gone was pushed again."""
    for timeline in facts.timelines.values():
        gone = [*timeline.absents, *absences(facts, timeline), *timeline.broken, *timeline.wrong]
        for write in timeline.writes:
            if write.certain and any(
                g.before(write) and any(e.before(g) for e in timeline.evidence()) for g in gone
            ):
                return True
    return False


def _together(facts: Facts) -> bool:
    """Two clients' writes overlapped."""
    last: Exchange | None = None
    for seen in facts.seen:
        if seen.exchange.method in ("GET", "HEAD"):
            continue
        if last is not None and last.lane != seen.exchange.lane and last.completed_ns >= seen.start_ns:
            return True
        last = seen.exchange
    return False


SOMETIMES: dict[str, Sometimes] = {
    "read": Sometimes("P1", "a whole blob was read back", _whole_read),
    "range": Sometimes("P1", "a range of a blob answered 206", _answered("blob.get", 206), ("range",)),
    "sha512": Sometimes("P1", "a blob was read by its sha512 digest", _sha512, ("sha512",)),
    "survived": Sometimes(
        "P2", "a referenced blob was read before and after a collection", _survived, ("collect",)
    ),
    "mounted": Sometimes("P2", "a mount answered 201", _answered("upload.mount", 201), ("mount",)),
    "killed": Sometimes("P3", "acknowledged content was read after a kill", _acknowledged("kill"), ("kill",)),
    "hit": Sometimes("P3", "a kill hit a write under way", _kill_hits, ("kill",)),
    "restarted": Sometimes(
        "P3", "acknowledged content was read after a restart", _acknowledged("stop"), ("restart",)
    ),
    "moved": Sometimes("P4", "a tag was moved from one manifest to another", _moved),
    "moving": Sometimes("P4", "a tag was read while it moved", _moved_while_read),
    "blob-gone": Sometimes("P5", "a deleted blob was asked for", _deleted("blob"), ("blob-delete",)),
    "manifest-gone": Sometimes(
        "P5", "a deleted manifest was asked for", _deleted("manifest"), ("manifest-delete",)
    ),
    "chunks": Sometimes("P6", "a session took more than three chunks", _many_chunks, ("chunked",)),
    "disorder": Sometimes("P6", "a chunk was sent out of order", _out_of_order, ("chunked",)),
    "resumed": Sometimes(
        "P6", "an upload was resumed after a cut and finished", _resumed, ("chunked", "upload-status")
    ),
    "wrong-digest": Sometimes("P6", "a commit under a wrong digest was refused", _refused),
    "pages": Sometimes("P7", "a tag list had a second page", _second_page),
    "referrers": Sometimes("P7", "a referrers list had entries", _referrers, ("referrers",)),
    "foreign": Sometimes("P8", "a blob was asked for in a repository that never had it", _foreign),
    "pushed-again": Sometimes("P9", "content was pushed again after it was gone", _again),
    "collected": Sometimes("P10", "a collection removed something", _removed, ("collection",)),
    "together": Sometimes("P11", "two clients wrote at the same time", _together),
}
"""Name → what must happen in at least one history of a run."""


def reached(history: History) -> set[str]:
    """The names of `SOMETIMES` that this history reached."""
    facts = facts_of(history)
    return {name for name, sometimes in SOMETIMES.items() if sometimes.happened(facts)}
