"""What a collector run may remove, and what it must.

Three-valued on purpose: `may_remove` errs towards *it may* (so that no legal collection is ever blamed), and
`certainly_garbage` errs towards *it may be needed* (so that nobody is asked to remove what is in use).
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.circumstances import Collect
from harness.model.facts import Fact, Facts, Obj, TagOp, Timeline
from harness.model.references import References

OFFLINE = frozenset({"offline", "none"})


def references(facts: Facts) -> References:
    if "references" not in facts.memo:
        facts.memo["references"] = References(facts.symbols, facts.manifests.values())
    found = facts.memo["references"]
    assert isinstance(found, References)
    return found


def may_remove(
    facts: Facts, obj: Obj, run: Collect, since: Fact, until_ns: int, *, for_subject: bool = False
) -> bool:
    """Whether a run may have removed an object after it was seen (``since``) and before ``until_ns``.

    A blob: unless a manifest of the same repository certainly names it all the while. A manifest: only when
    untagged ones are collected, and unless a tag or a live index certainly holds it (``for_subject``: or it
    refers to a live subject).
    """
    start, end = max(run.start_ns, since.start_ns), min(run.end_ns, until_ns)
    if start > end:
        return False
    graph = references(facts)
    if obj.kind == "blob":
        return not any(
            _holds_blob(facts, obj.repo, user, run, since, start, end) for user in graph.users(obj.digest)
        )
    if not run.untagged:
        return False
    if certainly_tagged(facts, obj, start, end, since):
        return False
    for parent in graph.parents(obj.digest):
        if any(_live(facts, p, start, end, since) for p in _objects(facts, obj.repo, parent)):
            return False
    name = facts.manifests.get(obj.digest)
    subject = graph.parts(name).subject if name is not None and for_subject else None
    return not (subject is not None and _live(facts, Obj("manifest", obj.repo, subject), start, end, since))


def _objects(facts: Facts, repo: str, name: str) -> Iterator[Obj]:
    for digest in references(facts).digests(name):
        yield Obj("manifest", repo, digest)


def _holds_blob(facts: Facts, repo: str, user: str, run: Collect, since: Fact, start: int, end: int) -> bool:
    for holder in _objects(facts, repo, user):
        if _live(facts, holder, start, end, since):
            return True
        if facts.history.promises.collection == "online" and not run.own:
            # Safe beside pushes: whoever puts a manifest while the run lasts must find its blobs, or be
            # refused.
            timeline = facts.timelines.get(holder)
            for put in timeline.writes if timeline else ():
                if put.certain and since.before(put) and put.start_ns <= run.end_ns and put.end_ns <= end:
                    return _undisturbed(facts, timeline, put, end)
    return False


def _live(facts: Facts, holder: Obj, start: int, end: int, since: Fact) -> bool:
    """Whether a manifest is certainly there from before ``start`` (or from the instant at which ``since`` was
    seen, where it is the same exchange) until ``end``."""
    timeline = facts.timelines.get(holder)
    if timeline is None:
        return False
    begun = [f for f in timeline.evidence() if f.end_ns < start or f.index == since.index]
    if not begun:
        return False
    last = max(begun, key=lambda f: f.start_ns)
    return _undisturbed(facts, timeline, last, end)


def _undisturbed(facts: Facts, timeline: Timeline | None, seen: Fact, end: int) -> bool:
    """Whether nothing may have removed a manifest after it was seen, and nobody missed it, until ``end``."""
    assert timeline is not None
    if any(d.end_ns >= seen.start_ns and d.start_ns <= end for d in timeline.deletes):
        return False
    if any(seen.before(a) and a.start_ns <= end for a in timeline.absents):
        return False
    if not facts.history.promises.durable and facts.outages_in(seen.start_ns, end):
        return False
    if facts.damaged(timeline.obj, seen.end_ns, end):
        return False
    if _seen_again(facts, timeline, seen, end):
        return True
    return not any(
        run.untagged and may_remove(facts, timeline.obj, run, seen, end)
        for run in facts.collects_in(seen.start_ns, end)
    )


def _seen_again(facts: Facts, timeline: Timeline, seen: Fact, end: int) -> bool:
    """Whether a manifest that was seen can be read after ``end``, and nobody wrote it meanwhile: then no run
    can have removed it."""
    exchanges = facts.history.exchanges
    later = [
        read
        for read in timeline.presents
        if read.start_ns > end
        and read.index >= 0
        and read.via != "accepted"
        and exchanges[read.index].method == "GET"
    ]
    if not later:
        return False
    until = min(read.end_ns for read in later)
    return not any(write.end_ns > seen.end_ns and write.start_ns < until for write in timeline.writes)


def certainly_tagged(facts: Facts, obj: Obj, start: int, end: int, since: Fact) -> bool:
    """Whether some tag certainly points at a manifest from before ``start`` (or from ``since`` itself) until
    ``end``."""
    value = facts.canonical(obj.digest)
    for (repo, _), ops in facts.tag_ops.items():
        if repo != obj.repo:
            continue
        begun = [
            op
            for op in ops
            if op.value == value
            and op.kind in ("write", "read")
            and not op.optional
            and (op.end_ns < start or op.index == since.index)
        ]
        if begun:
            last = max(begun, key=lambda op: op.start_ns)
            if not any(
                moves(op, value) and op is not last and op.end_ns >= last.start_ns and op.start_ns <= end
                for op in ops
            ):
                return True
    return False


def moves(op: TagOp, value: str | None) -> bool:
    """Whether an operation may take a tag away from a value."""
    if op.kind == "write":
        return op.value != value
    return op.kind in ("delete", "wild") or (op.kind == "delete_if" and op.value == value)


def certainly_garbage(facts: Facts, obj: Obj, run: Collect) -> bool:
    """Whether nothing can possibly have needed an object since before a run began. Blobs: no manifest that
    may be anywhere names it (registries keep content once for all repositories). Manifests: no tag of their
    repository may point at it, no index name it, no subject want it."""
    graph = references(facts)
    if facts.wild_repos:
        return False
    if obj.kind == "blob":
        if obj.digest in facts.manifests:
            return False
        return not any(
            _possible(timeline, run.start_ns)
            for user in graph.users(obj.digest)
            for digest in graph.digests(user)
            for timeline in facts.with_digest(digest)
        )
    name = facts.manifests.get(obj.digest)
    if name is None or obj.digest in facts.blobs:
        return False
    needed = [*graph.parents(obj.digest), *graph.parents(facts.canonical(obj.digest))]
    subject = graph.parts(name).subject
    if any(
        _possible(t, run.start_ns) for n in needed for d in graph.digests(n) for t in facts.with_digest(d)
    ):
        return False
    if subject is not None and any(_possible(t, run.start_ns) for t in facts.with_digest(subject)):
        return False
    value = facts.canonical(obj.digest)
    return not any(
        _possibly_tagged(ops, value, run.start_ns)
        for (repo, _), ops in facts.tag_ops.items()
        if repo == obj.repo
    )


def _possible(timeline: Timeline, at_ns: int) -> bool:
    """Whether an object may be there at ``at_ns`` or later."""
    removed = [d for d in timeline.deletes if d.certain and d.end_ns < at_ns]
    writes = [w for w in timeline.writes if not any(w.before(d) for d in removed)]
    return bool(writes) or any(not any(p.before(d) for d in removed) for p in timeline.presents)


def _possibly_tagged(ops: list[TagOp], value: str, at_ns: int) -> bool:
    for op in ops:
        if op.kind == "wild":
            return True
        if op.value == value and op.kind in ("write", "read"):
            gone = any(
                moves(other, value)
                and not other.optional
                and op.end_ns < other.start_ns
                and other.end_ns < at_ns
                for other in ops
            )
            if not gone:
                return True
    return False


def collect_level(facts: Facts, runs: list[Collect]) -> str:
    """``hazard`` where a run that can be blamed was an offline collector beside other operations."""
    if facts.history.promises.collection in OFFLINE and any(run.beside for run in runs):
        return "hazard"
    return "promise"
