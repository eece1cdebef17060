"""P4, tags are registers."""

from __future__ import annotations

from harness.checkers.finding import Finding, Report
from harness.checkers.witness import at, first_each, found
from harness.history import History
from harness.model.facts import Facts
from harness.model.moves import TagTrouble, tag_troubles, verdicts
from harness.model.presence import losses
from harness.model.reading import facts_of


def check(history: History) -> Report:
    """Each read of a tag returns the old or the new value: never torn, never an error, no acknowledged move
    lost, never dangling.

    Claims: there is no order of the moves, removals and reads of a tag that explains all its answers
    (`harness.model.register`, exact; *unknown* over its budget); a tag that resolves while its manifest's
    digest does not; an error from a tag while it moves. Misses: torn bytes (P1), and what a collector, an
    outage or a deletion can have caused (P2, P3, P5). Cost: exponential only in concurrent moves of one tag.
    """
    facts = facts_of(history)
    report = Report()
    report.tried = sum(op.kind == "read" for ops in facts.tag_ops.values() for op in ops)
    for (repo, tag), verdict in verdicts(facts).items():
        if verdict.unknown:
            report.unknown.append("too many concurrent moves of one tag to search every order")
        del repo, tag
    for trouble in tag_troubles(facts):
        finding = _finding(facts, trouble)
        if finding is not None:
            report.findings.append(finding)
    for loss in losses(facts):
        if loss.blame == "dangling" and loss.read.kind == "absent":
            tag = loss.proof.via.removeprefix("tag ")
            report.findings.append(
                found(
                    facts,
                    "P4",
                    "must",
                    "tags.dangling",
                    "row 64",
                    "a tag resolves to a manifest that its digest does not find",
                    f"{at(facts, loss.proof)} showed {facts.subject(loss.obj)} under the tag {tag};"
                    f" by digest: {at(facts, loss.read)}",
                    [loss.origin, loss.proof, loss.read],
                    f"tag {loss.obj.repo}:{tag}",
                )
            )
    report.findings = first_each(report.findings)
    return report


def _finding(facts: Facts, trouble: TagTrouble) -> Finding | None:
    if trouble.blame == "error":
        return found(
            facts,
            "P4",
            "promise",
            "tags.error",
            "promise: tags are registers",
            "reading a tag while it moves gets an error",
            trouble.story(facts),
            trouble.points,
            trouble.subject,
        )
    if trouble.blame != "moved":
        return None
    if trouble.shown is None:
        title = "a tag is missing although nobody removed it"
    elif trouble.forcing is None:
        title = "a tag shows a manifest that nobody gave it"
    elif trouble.forcing.kind == "read":
        title = "a tag shows an old value after a newer one was seen"
    else:
        title = "a tag shows an old value after it was moved"
    return found(
        facts,
        "P4",
        "must",
        "tags.register",
        "row 64",
        title,
        trouble.story(facts),
        trouble.points,
        trouble.subject,
    )
