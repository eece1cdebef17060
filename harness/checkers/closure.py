"""P2, closure."""

from __future__ import annotations

from typing import cast

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, causes, first_each, found
from harness.history import History
from harness.model.facts import Fact, Facts, Obj
from harness.model.keeping import collect_level, may_remove, references
from harness.model.moves import TagTrouble, tag_troubles
from harness.model.presence import Loss, losses
from harness.model.reading import facts_of


def check(history: History) -> Report:
    """Everything reachable from an accepted manifest can be fetched until a client deletes it.

    Claims: what a collector run removed although a manifest (or a tag, or an index) certainly needed it;
    manifests that a registry accepted although it refuses unknown blobs and no longer had one. Level
    ``hazard`` where the run was an offline collector beside other operations. Misses: content that was lost
    and never asked for, and removals that are legal in some order of concurrent operations. Losses by
    outage, deletion or for no reason are P3 and P5. Cost: for each failed read, the removers since its proof.
    """
    facts = facts_of(history)
    report = Report(tried=_tried(facts))
    for loss in losses(facts):
        if loss.read.kind == "wrong":
            continue
        if _from_memory(facts, loss):
            report.findings.append(_incomplete(facts, loss))
        elif loss.blame == "collected":
            report.findings.append(_collected(facts, loss))
    report.findings.extend(_tag(facts, t) for t in tag_troubles(facts) if t.blame == "collected")
    report.findings.extend(_referrers(facts))
    report.findings = first_each(report.findings)
    return report


def _from_memory(facts: Facts, loss: Loss) -> bool:
    """Whether all that says that a blob was there is that a manifest with it was accepted, and it may have
    been gone by then: nothing removed it since, or a collector ran before."""
    if loss.proof.via != "accepted" or loss.read.kind != "absent":
        return False
    ran = any(run.end_ns < loss.proof.start_ns for run in facts.collects)
    return ran or loss.blame in ("nothing", "deleted")


def _tried(facts: Facts) -> int:
    """Reads of objects that an accepted manifest names."""
    graph = references(facts)
    count = 0
    for timeline in facts.timelines.values():
        obj = timeline.obj
        needed = graph.users(obj.digest) if obj.kind == "blob" else [facts.manifests.get(obj.digest, "")]
        if any(_accepted_by(facts, obj, user) is not None for user in needed if user):
            count += len(timeline.presents) + len(timeline.absents)
    return count


def _accepted_by(facts: Facts, obj: Obj, user: str) -> Fact | None:
    for digest in references(facts).digests(user):
        timeline = facts.known("manifest", obj.repo, digest)
        for put in timeline.writes if timeline else ():
            if put.certain:
                return put
    return None


def holder(facts: Facts, obj: Obj, read: Fact) -> Fact | None:
    """The put that needs an object: of a manifest that names a blob, of an index that names a manifest, or
    the object's own."""
    graph = references(facts)
    users = graph.users(obj.digest) if obj.kind == "blob" else graph.parents(obj.digest)
    puts = [put for user in users if (put := _accepted_by(facts, obj, user)) and put.start_ns <= read.end_ns]
    return max(puts, key=lambda put: put.start_ns) if puts else None


def _collected(facts: Facts, loss: Loss) -> Finding:
    level = cast(Level, collect_level(facts, list(loss.collects)))
    needs = holder(facts, loss.obj, loss.read)
    runs = loss.collects[-2:]
    what = "answers an error" if loss.read.kind == "broken" else "is gone"
    who = f"; {facts.subject(facts_obj(facts, needs))} needs it" if needs is not None else ""
    return found(
        facts,
        "P2",
        level,
        "closure.collected" if loss.read.kind == "absent" else "closure.broken",
        "promise: collection",
        f"the collector removed a {loss.obj.kind} that is in use"
        if loss.read.kind == "absent"
        else f"after a collection a {loss.obj.kind} in use answers an error",
        f"{facts.subject(loss.obj)} was there ({at(facts, loss.proof)}){who}; {causes(loss.collects)};"
        f" then it {what} ({at(facts, loss.read)})",
        [loss.origin, needs, *runs, loss.read],
        facts.subject(loss.obj),
    )


def _tag(facts: Facts, trouble: TagTrouble) -> Finding:
    broken = trouble.read is None
    return found(
        facts,
        "P2",
        cast(Level, collect_level(facts, list(trouble.collects))),
        "closure.tag_broken" if broken else "closure.tag_collected",
        "promise: collection",
        f"after a collection a tag {'answers an error' if broken else 'is gone'}",
        f"{trouble.story(facts)}; {causes(trouble.collects)}",
        [*trouble.points, *trouble.collects[-2:]],
        trouble.subject,
    )


def facts_obj(facts: Facts, fact: Fact) -> Obj:
    """The object of a fact, under the digest of its own algorithm."""
    name = facts.manifests.get(fact.obj.digest)
    digest = facts.symbols.manifest_digest(name) if name is not None else fact.obj.digest
    return Obj(fact.obj.kind, fact.obj.repo, digest)


def _incomplete(facts: Facts, loss: Loss) -> Finding:
    return found(
        facts,
        "P2",
        cast(Level, collect_level(facts, [r for r in facts.collects if r.start_ns <= loss.read.end_ns])),
        "closure.incomplete",
        "promise: collection",
        "a manifest was accepted although one of its blobs was gone",
        f"{facts.subject(loss.obj)} was pushed; the registry refuses manifests with unknown blobs, and"
        f" accepted one that names it ({at(facts, loss.proof)}); then it is gone ({at(facts, loss.read)})",
        [loss.origin, loss.proof, *facts.collects_in(0, loss.proof.start_ns)[-1:], loss.read],
        facts.subject(loss.obj),
    )


def _referrers(facts: Facts) -> list[Finding]:
    """Untagged referrers of a live subject that a collection of untagged manifests removed."""
    results = []
    runs = [run for run in facts.collects if run.untagged and not run.own]
    for timeline in facts.timelines.values() if runs else ():
        name = facts.manifests.get(timeline.obj.digest)
        if timeline.obj.kind != "manifest" or name is None or references(facts).parts(name).subject is None:
            continue
        for read in timeline.absents:
            proof = max(
                (e for e in timeline.evidence() if e.before(read)), key=lambda e: e.start_ns, default=None
            )
            if proof is None or any(d.start_ns <= read.end_ns for d in timeline.deletes):
                continue
            if facts.outages_in(proof.start_ns, read.end_ns):
                continue
            between = [run for run in runs if run.overlaps(proof.start_ns, read.end_ns)]
            allowed = [run for run in between if may_remove(facts, timeline.obj, run, proof, read.end_ns)]
            strict = [
                run
                for run in between
                if may_remove(facts, timeline.obj, run, proof, read.end_ns, for_subject=True)
            ]
            if allowed and not strict:
                results.append(
                    found(
                        facts,
                        "P2",
                        "should",
                        "closure.referrer_collected",
                        "promise: collection",
                        "a collection of untagged manifests removed a referrer of a live subject",
                        f"{facts.subject(timeline.obj)} has a subject that is there; {causes(allowed)};"
                        f" then it is gone ({at(facts, read)})",
                        [proof, *allowed[-1:], read],
                        facts.subject(timeline.obj),
                    )
                )
                break
    return results
