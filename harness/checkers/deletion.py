"""P5, deletion."""

from __future__ import annotations

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, causes, first_each, found
from harness.history import History
from harness.model.facts import Facts
from harness.model.keeping import references
from harness.model.moves import TagTrouble, tag_troubles
from harness.model.presence import Ghost, Loss, ghosts, losses
from harness.model.reading import facts_of

DELETES = ("blob.delete", "manifest.delete", "tag.delete")


def check(history: History) -> Report:
    """What was deleted stays 404 until it is pushed again, also after a restart; only what was named is gone.

    Claims: content or a tag that is there after an acknowledged deletion and nobody can have written since;
    content or a tag that vanished where nothing but the deletion of something else lies between. A deletion
    that is refused (4xx) is legal. Misses: deletions whose fate nobody knows, unless a 404 showed that they
    happened. Cost: for each read, the writers and deletions of its object.
    """
    facts = facts_of(history)
    report = Report(tried=sum(1 for seen in facts.calls(*DELETES) if seen.ok))
    report.findings.extend(_back(facts, ghost) for ghost in ghosts(facts) if ghost.removal is not None)
    report.findings.extend(
        _too_much(facts, loss) for loss in losses(facts) if loss.blame == "deleted" and _counts(loss)
    )
    for trouble in tag_troubles(facts):
        if trouble.blame == "undeleted":
            report.findings.append(_tag_back(facts, trouble))
        elif trouble.blame == "deleted":
            report.findings.append(_tag_gone(facts, trouble))
    report.findings = first_each(report.findings)
    return report


def _counts(loss: Loss) -> bool:
    return loss.read.kind == "absent" and loss.proof.via != "accepted"


def _back(facts: Facts, ghost: Ghost) -> Finding:
    removal = ghost.removal
    assert removal is not None
    kind, subject = ghost.obj.kind, facts.subject(ghost.obj)
    clause = "row 88" if kind == "blob" else "row 87"
    level: Level = "must"
    title = f"a deleted {kind} is still there"
    if ghost.outages:
        level, clause, title = "promise", "promise: durable", f"a deleted {kind} is back after a restart"
    between = f"; {causes(ghost.outages)}" if ghost.outages else ""
    return found(
        facts,
        "P5",
        level,
        "deletion.back",
        clause,
        title,
        f"{subject} was deleted ({at(facts, removal)}){between}, nobody wrote it again,"
        f" and it is there ({at(facts, ghost.read)})",
        [*ghost.writers[-1:], removal, *ghost.outages[-1:], ghost.read],
        subject,
    )


def _too_much(facts: Facts, loss: Loss) -> Finding:
    seen, words = loss.deletes[0]
    subject = facts.subject(loss.obj)
    level: Level = "must"
    name = facts.manifests.get(loss.obj.digest) if loss.obj.kind == "manifest" else None
    subject_digest = references(facts).parts(name).subject if name is not None else None
    if subject_digest is not None and seen.about.get("digest") == subject_digest:
        level = "should"  # registries that keep signatures and such with their subject remove them with it
    return found(
        facts,
        "P5",
        level,
        "deletion.too_much",
        "row 84" if seen.call == "tag.delete" else "row 89",
        f"deleting {_noun(seen.call)} removed a {loss.obj.kind} that was not named",
        f"{subject} was there ({at(facts, loss.proof)}); {seen.exchange.op} deleted {words};"
        f" then {at(facts, loss.read)}",
        [loss.origin, seen, loss.read],
        subject,
    )


def _tag_back(facts: Facts, trouble: TagTrouble) -> Finding:
    forcing = trouble.forcing
    assert forcing is not None
    by_tag = forcing.kind == "delete"
    level: Level = "must"
    clause = "row 85" if by_tag else "row 87"
    title = (
        "a deleted tag still resolves" if by_tag else "a tag still resolves after its manifest was deleted"
    )
    if trouble.outages:
        level, clause = "promise", "promise: durable"
        title = "a deleted tag is back after a restart"
    return found(
        facts,
        "P5",
        level,
        "deletion.tag_back",
        clause,
        title,
        trouble.story(facts),
        [*trouble.points, *trouble.outages[-1:]],
        trouble.subject,
    )


def _tag_gone(facts: Facts, trouble: TagTrouble) -> Finding:
    near = [d for d in trouble.deletes if d[0].repo == trouble.repo] or list(trouble.deletes)
    seen, words = near[-1]
    return found(
        facts,
        "P5",
        "must",
        "deletion.too_much",
        "row 84" if seen.call == "tag.delete" else "row 89",
        f"deleting {_noun(seen.call)} removed a tag that was not named",
        f"{trouble.story(facts)}; {seen.exchange.op} deleted {words}",
        [*trouble.points, seen],
        trouble.subject,
    )


def _noun(call: str) -> str:
    return {"tag.delete": "a tag", "blob.delete": "a blob"}.get(call, "a manifest")
