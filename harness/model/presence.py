"""Existence of content as a set of possibilities over time.

An object (kind, repository, digest) is a register with the values *there* and *gone*. Writers set it,
deleters clear it; a collector run clears it where that is legal (`harness.model.keeping`), and so does an
outage of a registry that promises no durability. What nobody knows (``certain`` false) may have happened
once, at any time in its interval, or never. Two questions are decided for each read:

* *gone* is legal unless something proved it there before, and nothing can have removed it in between;
* *there* is legal unless every writer that can have made it was certainly undone in between.

Both are exact for one read against all writers and removers (compared with brute force in the tests); they do
not ask whether two reads used up the same single possibility. Cost: linear in the facts about the object, for
each read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.model.circumstances import Collect, Span
from harness.model.facts import Fact, Facts, Obj, Seen, Timeline
from harness.model.keeping import may_remove, references

Blame = Literal["memory", "healing", "collected", "outage", "dangling", "deleted", "nothing"]
EVIDENCE_MAX = 4
"""How many proofs of presence are tried, latest first."""


@dataclass(frozen=True, slots=True)
class Loss:
    """``read`` missed (or got an error for) what ``proof`` proved to be there, and nothing removed it."""

    obj: Obj
    read: Fact
    proof: Fact
    origin: Fact | None
    collects: tuple[Collect, ...]
    outages: tuple[Span, ...]
    deletes: tuple[tuple[Seen, str], ...]
    seen_broken: Fact | None
    from_memory: bool = False

    @property
    def blame(self) -> Blame:
        """The nearest cause. What is broken still after a complete push failed to heal, whatever broke it;
        what only a HEAD ever proved was probably never there (``memory``)."""
        if self.from_memory:
            return "memory"
        if self.seen_broken is not None and not self.collects and not self.outages:
            return "healing"
        if self.collects and not self._power_went_before():
            return "collected"
        if self.outages:
            return "outage"
        if self.deletes:
            return "deleted"
        return "dangling" if self.proof.via.startswith("tag ") and self.proof.kind == "present" else "nothing"

    def _power_went_before(self) -> bool:
        """Whether a power cut came before the first collector run: then there may have been nothing left of
        what the run had to keep, or of what told it to."""
        first_ns = min(run.start_ns for run in self.collects)
        return any(outage.kind == "power" and outage.start_ns < first_ns for outage in self.outages)


@dataclass(frozen=True, slots=True)
class Ghost:
    """``read`` saw what cannot be there. ``removal`` is the deletion after which it came back; `None` where
    nobody ever wrote it. ``outages``: restarts since that deletion."""

    obj: Obj
    read: Fact
    removal: Fact | None
    writers: tuple[Fact, ...]
    outages: tuple[Span, ...]


def possible_removal(facts: Facts, timeline: Timeline, since: Fact, until_ns: int) -> bool:
    """Whether anything can legally have removed an object after ``since`` and before ``until_ns``."""
    if any(d.end_ns >= since.start_ns and d.start_ns <= until_ns for d in timeline.deletes):
        return True
    if not facts.history.promises.durable and facts.outages_in(since.start_ns, until_ns):
        return True
    if facts.damaged(timeline.obj, since.end_ns, until_ns):
        return True
    return any(
        may_remove(facts, timeline.obj, run, since, until_ns)
        for run in facts.collects_in(since.start_ns, until_ns)
    )


def proof_against(
    facts: Facts, timeline: Timeline, read: Fact, unfounded: frozenset[int] = frozenset()
) -> Fact | None:
    """What proves that ``read`` cannot legally have missed the object, ``unfounded`` exchanges left out."""
    proofs = [f for f in timeline.evidence() if f.before(read) and f.index not in unfounded]
    proofs.sort(key=lambda f: (f.start_ns, f.kind == "write"), reverse=True)
    for proof in proofs[:EVIDENCE_MAX]:
        if not possible_removal(facts, timeline, proof, read.end_ns):
            return proof
    return None


def source_of(timeline: Timeline, read: Fact, absences: list[Fact]) -> bool:
    """Whether some writer can have made what ``read`` saw, given what certainly removed it."""
    return any(
        w.start_ns <= read.end_ns and not any(w.before(a) and a.before(read) for a in absences)
        for w in timeline.writes
    )


def absences(facts: Facts, timeline: Timeline) -> list[Fact]:
    """Acknowledged deletions, and reads of absence that only an unacknowledged deletion explains."""
    found = [d for d in timeline.deletes if d.certain]
    if timeline.deletes:
        begun = min(d.start_ns for d in timeline.deletes)
        found += [
            a
            for a in timeline.absents
            if begun <= a.end_ns
            and not facts.collects_in(0, a.end_ns)
            and not facts.outages_in(0, a.end_ns)
            and not facts.damaged(timeline.obj, a.start_ns, a.end_ns)
            and any(f.before(a) for f in timeline.evidence())
        ]
    return found


def losses(facts: Facts) -> list[Loss]:
    """Every read that missed, or got an error for, what must be there, in order of the reads."""
    if "losses" not in facts.memo:
        _accepted(facts)
        found = [loss for timeline in list(facts.timelines.values()) for loss in _losses(facts, timeline)]
        facts.memo["losses"] = sorted(found, key=lambda loss: loss.read.index)
    return list(facts.memo["losses"])


def _losses(facts: Facts, timeline: Timeline) -> Iterator[Loss]:
    if not timeline.absents and not timeline.broken and not timeline.wrong:
        return
    unfounded = frozenset(_unfounded(facts, timeline))
    evidence = timeline.evidence()
    failing = sorted((*timeline.absents, *timeline.broken, *timeline.wrong), key=lambda f: f.index)
    for read in failing:
        contradicted = _contradicted(facts, timeline, read) if read.kind != "wrong" else set()
        proof = proof_against(facts, timeline, read, unfounded | contradicted)
        if proof is None:
            continue
        memory = False
        if by_head(facts, proof):
            heads = frozenset(p.index for p in timeline.presents if by_head(facts, p))
            better = proof_against(facts, timeline, read, unfounded | contradicted | heads)
            collected = any(run.start_ns <= proof.end_ns for run in facts.collects)
            by_get = facts.history.exchanges[read.index].method == "GET"
            quiet = not facts.collects_in(proof.start_ns, read.end_ns)
            quiet = quiet and not facts.outages_in(proof.start_ns, read.end_ns)
            memory = better is None and (collected or (by_get and quiet))
            proof = better or proof
        broken = None
        if proof.kind == "write" and proof.via != "mount":
            broken = next(
                (b for b in failing if b.before(proof) and any(e.before(b) for e in evidence)), None
            )
        writes = [w for w in timeline.writes if w.start_ns <= proof.start_ns]
        deletes = tuple(
            (seen, words)
            for seen, words in facts.removals
            if seen.end_ns >= proof.start_ns and seen.start_ns <= read.end_ns
        )
        yield Loss(
            timeline.obj,
            read,
            proof,
            next((w for w in reversed(writes) if w.certain), writes[-1] if writes else None),
            tuple(run for run in facts.collects_in(proof.start_ns, read.end_ns) if not run.own),
            tuple(facts.outages_in(proof.start_ns, read.end_ns)),
            tuple(sorted(deletes, key=lambda d: _related(facts, timeline.obj, d[0]))),
            broken,
            memory,
        )


def _related(facts: Facts, obj: Obj, seen: Seen) -> tuple[int, int]:
    """How near a deletion of something else is to an object: small is near."""
    digest = seen.about.get("digest")
    if digest == obj.digest:
        rank = 0
    elif seen.call == "tag.delete" and obj.kind == "manifest":
        rank = 1
    else:
        rank = 2
    return (rank if seen.repo == obj.repo else rank + (0 if rank == 0 else 2), -seen.exchange.index)


def ghosts(facts: Facts) -> list[Ghost]:
    """Every read that saw what cannot be there, in order of the reads; the first for each object and
    cause."""
    if "ghosts" in facts.memo:
        return list(facts.memo["ghosts"])
    found: list[Ghost] = []
    for timeline in facts.timelines.values():
        gone = absences(facts, timeline)
        reads = sorted((*timeline.presents, *timeline.wrong), key=lambda f: f.index)
        for read in reads:
            if read.via == "accepted" or source_of(timeline, read, gone):
                continue
            before = [a for a in gone if a.before(read)]
            removal = max(before, key=lambda a: (a.kind == "delete", a.start_ns)) if before else None
            outages = tuple(facts.outages_in(removal.start_ns, read.end_ns)) if removal else ()
            if outages and not facts.history.promises.durable:
                continue
            writers = tuple(w for w in timeline.writes if w.start_ns <= read.end_ns)
            found.append(Ghost(timeline.obj, read, removal if writers else None, writers, outages))
            break
    facts.memo["ghosts"] = sorted(found, key=lambda ghost: ghost.read.index)
    return list(facts.memo["ghosts"])


def _unfounded(facts: Facts, timeline: Timeline) -> set[int]:
    """Exchanges that saw what cannot be there: they are findings, and prove nothing."""
    gone = absences(facts, timeline)
    return {
        read.index
        for read in timeline.presents
        if read.via != "accepted" and not source_of(timeline, read, gone)
    }


def by_head(facts: Facts, fact: Fact) -> bool:
    """Whether an object was only seen by HEAD, or by an empty body: both can be answered from memory."""
    exchange = facts.history.exchanges[fact.index]
    empty = exchange.method == "GET" and exchange.body is not None and exchange.body.size_bytes == 0
    return fact.kind == "present" and (exchange.method == "HEAD" or empty)


def _between(write: Fact, one: Fact, other: Fact) -> bool:
    return write.end_ns > min(one.start_ns, other.start_ns) and write.start_ns < max(one.end_ns, other.end_ns)


def _contradicted(facts: Facts, timeline: Timeline, read: Fact) -> set[int]:
    """HEADs that said *there* while a GET, before ``read`` and with no push between the two, found that it
    was not: they prove that a registry answered from memory, and nothing else."""
    failing = [
        f
        for f in (*timeline.wrong, *timeline.broken, *timeline.absents)
        if f.index != read.index and f.before(read) and facts.history.exchanges[f.index].method == "GET"
    ]
    return {
        head.index
        for head in timeline.presents
        if by_head(facts, head)
        and any(not any(w.certain and _between(w, head, f) for w in timeline.writes) for f in failing)
    }


def still_broken(facts: Facts) -> set[int]:
    """Exchanges that failed although the right bytes were pushed again before: they belong to healing."""
    return {loss.read.index for loss in losses(facts) if loss.blame == "healing"}


def _accepted(facts: Facts) -> None:
    """A registry that refuses manifests with unknown blobs saw every blob of those that it accepts first.

    Only counted where the blob was certainly pushed to the repository before and may still be there: another
    repository's copy would satisfy a registry that looks in all of them.
    """
    if not facts.history.abilities.can("missing-blobs-refused"):
        return
    graph = references(facts)
    for timeline in list(facts.timelines.values()):
        name = facts.manifests.get(timeline.obj.digest)
        if timeline.obj.kind != "manifest" or name is None:
            continue
        for put in timeline.writes:
            earlier = any(other is not put and other.start_ns <= put.end_ns for other in timeline.writes)
            if not put.certain or earlier:
                continue
            for digest in graph.parts(name).blobs:
                blob = facts.known("blob", timeline.obj.repo, digest)
                if blob is None or not facts.unique(blob.obj):
                    continue
                gone = [*absences(facts, blob), *blob.absents]
                if any(e.before(put) for e in blob.evidence()) and source_of(blob, put, gone):
                    blob.presents.append(
                        Fact(
                            "present", blob.obj, put.index, put.op, put.start_ns, put.end_ns, True, "accepted"
                        )
                    )
