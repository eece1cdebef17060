"""What a list must and may show: lower and upper bounds over the instants at which it can have been made."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.facts import Facts, Obj, Seen, TagOp, Timeline
from harness.model.keeping import may_remove, moves, references


@dataclass(frozen=True, slots=True)
class Listing:
    """The pages of one listing, in order. ``whole``: it began at the beginning (or at its ``last``), every
    page succeeded, and the last one has no Link."""

    pages: tuple[Seen, ...]
    whole: bool

    @property
    def start_ns(self) -> int:
        return self.pages[0].start_ns

    @property
    def end_ns(self) -> int:
        return self.pages[-1].exchange.completed_ns


def listings(facts: Facts, call: str) -> list[Listing]:
    """The listings of a history. Pages of one listing follow each other in one operation."""
    groups: list[list[Seen]] = []
    current: dict[str, list[Seen]] = {}
    for seen in facts.calls(call):
        page = seen.about.get("page", 1)
        group = current.get(seen.exchange.op)
        if page == 1 or group is None:
            group = current[seen.exchange.op] = []
            groups.append(group)
        group.append(seen)
    return [
        Listing(
            tuple(group),
            group[0].about.get("page", 1) == 1
            and all(seen.status == 200 for seen in group)
            and group[-1].exchange.header("link") is None,
        )
        for group in groups
    ]


def certainly_there(facts: Facts, ops: list[TagOp], start_ns: int, end_ns: int) -> TagOp | None:
    """What proves that a tag exists during the whole interval; no collector run, no outage since."""
    begun = [
        op
        for op in ops
        if op.end_ns < start_ns
        and not op.optional
        and (op.kind == "write" or (op.kind == "read" and op.value is not None))
    ]
    proof = max(begun, key=lambda op: op.start_ns, default=None)
    if proof is None:
        return None
    for op in ops:
        unsets = op.kind in ("delete", "wild", "delete_if") or op.absent
        if unsets and op.overlaps(proof.start_ns, end_ns):
            return None
    if facts.collects_in(proof.start_ns, end_ns) or facts.outages_in(proof.start_ns, end_ns):
        return None
    return proof


def certainly_gone(ops: list[TagOp], start_ns: int, end_ns: int) -> TagOp | None:
    """What proves that a tag does not exist at any instant of the interval: a removal or a 404 after which
    nobody can have written it."""
    proofs = [
        op for op in ops if op.end_ns < start_ns and not op.optional and (op.kind == "delete" or op.absent)
    ]
    proof = max(proofs, key=lambda op: op.start_ns, default=None)
    if proof is None:
        return None
    for op in ops:
        sets = op.kind in ("write", "wild") or (op.kind == "read" and op.value is not None)
        if sets and op.overlaps(proof.start_ns, end_ns):
            return None
    return proof


def missed_later(facts: Facts, ops: list[TagOp], seen: Seen) -> TagOp | None:
    """A later 404 of a tag that a list showed, where nothing can have removed it between the two."""
    start = seen.start_ns
    for read in ops:
        if not read.absent or read.start_ns <= seen.exchange.completed_ns:
            continue
        if any(moves(op, op.value) or op.kind == "delete_if" for op in ops if _in(op, start, read.end_ns)):
            return None
        if facts.collects_in(start, read.end_ns) or facts.outages_in(start, read.end_ns):
            return None
        return read
    return None


def _in(op: TagOp, start_ns: int, end_ns: int) -> bool:
    return op.kind not in ("read", "write") and op.overlaps(start_ns, end_ns)


def referrers_bounds(
    facts: Facts, repo: str, subject: str, start_ns: int, end_ns: int
) -> tuple[dict[str, Timeline], dict[str, Timeline]]:
    """Digests → timelines of the referrers that a list must show, and of those that it may."""
    must: dict[str, Timeline] = {}
    may: dict[str, Timeline] = {}
    graph = references(facts)
    for name in graph.referrers(subject):
        for digest in graph.digests(name):
            timeline = facts.known("manifest", repo, digest)
            if timeline is None:
                continue
            if _may_be_there(timeline, start_ns, end_ns):
                may[digest] = timeline
            if digest == facts.symbols.manifest_digest(name) and _must_be_there(
                facts, timeline, start_ns, end_ns
            ):
                must[digest] = timeline
    return must, may


def _may_be_there(timeline: Timeline, start_ns: int, end_ns: int) -> bool:
    removed = [d for d in timeline.deletes if d.certain and d.end_ns < start_ns]
    if any(w.start_ns <= end_ns and not any(w.before(d) for d in removed) for w in timeline.writes):
        return True
    return any(not any(p.before(d) for d in removed) for p in timeline.presents)


def _must_be_there(facts: Facts, timeline: Timeline, start_ns: int, end_ns: int) -> bool:
    proofs = [f for f in timeline.evidence() if f.end_ns < start_ns]
    proof = max(proofs, key=lambda f: f.start_ns, default=None)
    if proof is None or facts.outages_in(proof.start_ns, end_ns):
        return False
    if any(d.end_ns >= proof.start_ns and d.start_ns <= end_ns for d in timeline.deletes):
        return False
    if any(proof.before(a) and a.start_ns <= end_ns for a in (*timeline.absents, *timeline.broken)):
        return False
    return not any(
        may_remove(facts, timeline.obj, run, proof, end_ns)
        for run in facts.collects_in(proof.start_ns, end_ns)
    )


def repo_has_content(facts: Facts, repo: str, start_ns: int, end_ns: int) -> bool:
    """Whether some manifest is certainly in a repository during an interval."""
    return any(
        timeline.obj.kind == "manifest"
        and timeline.obj.repo == repo
        and _must_be_there(facts, timeline, start_ns, end_ns)
        for timeline in facts.timelines.values()
    )


def subject_digest(facts: Facts, seen: Seen) -> str | None:
    """The subject that a referrers list was asked for."""
    digest = seen.about.get("digest")
    if isinstance(digest, str):
        return digest
    name = seen.about.get("manifest")
    return facts.symbols.manifest_digest(name) if isinstance(name, str) else None


def member(facts: Facts, repo: str, digest: str) -> Timeline | None:
    return facts.timelines.get(Obj("manifest", repo, digest))
