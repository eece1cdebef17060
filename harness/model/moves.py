"""What is wrong with tags, and what is the nearest cause: the register's verdicts put beside everything else
that happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from harness.history import FOREVER_NS
from harness.model.circumstances import Collect, Span
from harness.model.facts import ANY, Fact, Facts, Seen, TagOp
from harness.model.presence import losses
from harness.model.register import Verdict, Violation
from harness.model.register import check as check_register

Blame = Literal["refused", "foreign", "undeleted", "collected", "outage", "deleted", "moved", "error"]


@dataclass(frozen=True, slots=True)
class TagTrouble:
    """A read of a tag that must not be. ``read`` is `None` where the read got an error (``broken``).
    ``shown``: the manifest's sha256 digest, `None` for a 404. ``forcing``: what makes it impossible."""

    repo: str
    tag: str
    blame: Blame
    read: TagOp | None
    broken: Seen | None
    shown: str | None
    forcing: TagOp | None
    witness: tuple[TagOp, ...]
    collects: tuple[Collect, ...] = ()
    outages: tuple[Span, ...] = ()
    deletes: tuple[tuple[Seen, str], ...] = ()

    @property
    def subject(self) -> str:
        return f"tag {self.repo}:{self.tag}"

    @property
    def points(self) -> list[Fact | TagOp | Seen]:
        return [*self.witness, *((self.broken,) if self.broken is not None else ())]

    def story(self, facts: Facts) -> str:
        words = [_op_words(facts, op) for op in self.witness if op is not self.read]
        if self.broken is not None:
            exchange = self.broken.exchange
            words.append(f"#{exchange.index} by {exchange.op} got {exchange.error or exchange.status}")
        elif self.read is not None:
            words.append(f"but {_op_words(facts, self.read)}")
        return f"{self.subject}: " + "; ".join(words)


def _op_words(facts: Facts, op: TagOp) -> str:
    name = facts.manifests.get(op.value or "", op.value) if op.value not in (None, ANY) else None
    who = f"#{op.index} by {op.op}"
    if op.kind == "write":
        return f"{who} put {name}{' (nobody knows whether it did)' if op.optional else ''}"
    if op.kind == "delete":
        return f"{who} deleted the tag"
    if op.kind == "delete_if":
        return f"{who} deleted the manifest {name}"
    if op.kind == "wild":
        return f"{who} may have done anything to it"
    if op.value is None:
        return f"{who} read 404"
    return f"{who} read {name if name is not None else 'some manifest'}"


def verdicts(facts: Facts) -> dict[tuple[str, str], Verdict]:
    """The register's verdict for each (repository, tag)."""
    if "verdicts" not in facts.memo:
        made = {}
        for key, ops in facts.tag_ops.items():
            if not facts.history.promises.durable:
                ops = [
                    *ops,
                    *(TagOp("wild", None, o.start_ns, o.end_ns, True, -1, o.op) for o in facts.outages),
                ]
            made[key] = check_register(_with_damage(facts, key[0], ops))
        facts.memo["verdicts"] = made
    found = facts.memo["verdicts"]
    assert isinstance(found, dict)
    return found


def damaged(facts: Facts, repo: str, ops: list[TagOp]) -> Iterator[TagOp]:
    """A tag whose link was damaged, or a manifest that it may point at, may answer anything until it is put
    again."""
    for damage in facts.damages:
        if damage.digest and damage.digest not in facts.manifests:
            continue
        if damage.tag and damage.repo != repo:
            continue
        puts = (op.end_ns for op in ops if op.kind == "write" and op.start_ns > damage.at_ns)
        yield TagOp("wild", None, damage.at_ns, min(puts, default=FOREVER_NS), True, -1, damage.op)


def _with_damage(facts: Facts, repo: str, ops: list[TagOp]) -> list[TagOp]:
    """The register may become anything from a damage until the put that ends it begins. A 404 meanwhile says
    nothing: the tag may be there all the while, and shows again, without a move, once the manifest is pushed
    by its digest."""
    for wild in damaged(facts, repo, ops):
        puts = [op for op in ops if op.kind == "write" and not op.optional and op.start_ns > wild.start_ns]
        end_ns = min((op.start_ns - 1 for op in puts if op.end_ns == wild.end_ns), default=wild.end_ns)
        ops = [
            *(op for op in ops if not (op.absent and op.overlaps(wild.start_ns, wild.end_ns))),
            replace(wild, end_ns=end_ns),
        ]
    return ops


def tag_troubles(facts: Facts) -> list[TagTrouble]:
    """Everything that is wrong with any tag, in order of the reads."""
    if "troubles" not in facts.memo:
        missing = {
            (loss.obj.repo, facts.canonical(loss.obj.digest))
            for loss in losses(facts)
            if loss.obj.kind == "manifest"
        }
        found = []
        for (repo, tag), verdict in verdicts(facts).items():
            for violation in verdict.violations:
                trouble = _blame(facts, repo, tag, violation)
                expected = {value for value in violation.expected if value is not None}
                gone = trouble.shown is None and any((repo, value) in missing for value in expected)
                if not (gone and trouble.blame in ("collected", "outage", "deleted")):
                    found.append(trouble)
        found.extend(_broken(facts))
        facts.memo["troubles"] = sorted(found, key=_when)
    made = facts.memo["troubles"]
    assert isinstance(made, list)
    return made


def _when(trouble: TagTrouble) -> int:
    if trouble.read is not None:
        return trouble.read.index
    return trouble.broken.exchange.index if trouble.broken is not None else -1


def _blame(facts: Facts, repo: str, tag: str, violation: Violation) -> TagTrouble:
    read, forcing = violation.read, violation.forcing
    start = min((op.start_ns for op in violation.witness if op is not read), default=read.start_ns)
    if forcing is not None:
        start = forcing.start_ns
    collects = tuple(run for run in facts.collects_in(start, read.end_ns) if not run.own)
    outages = tuple(facts.outages_in(start, read.end_ns))
    deletes = tuple(
        (seen, words)
        for seen, words in facts.removals
        if seen.end_ns >= start
        and seen.start_ns <= read.end_ns
        and not (seen.call == "tag.delete" and seen.repo == repo and seen.about.get("tag") == tag)
    )
    blame: Blame = "moved"
    if forcing is None and read.value is not None:
        tried = facts.refused_tags.get((repo, tag, read.value), ())
        if any(index < read.index for index in tried):
            blame = "refused"
        elif not _in_repo(facts, repo, read.value):
            blame = "foreign"
    elif forcing is not None and forcing.kind in ("delete", "delete_if") and read.value is not None:
        blame = "undeleted"
    elif collects and read.value is None:
        blame = "collected"
    elif outages:
        blame = "outage"
    elif deletes and read.value is None:
        blame = "deleted"
    witness = violation.witness
    if blame == "refused" and read.value is not None:
        index = facts.refused_tags[(repo, tag, read.value)][-1]
        put = facts.history.exchanges[index]
        attempt = TagOp("write", read.value, put.invoked_ns, put.completed_ns, True, index, put.op)
        witness = (attempt, *witness)
    return TagTrouble(repo, tag, blame, read, None, read.value, forcing, witness, collects, outages, deletes)


def _in_repo(facts: Facts, repo: str, value: str) -> bool:
    return any(t.obj.repo == repo and t.writes for t in facts.with_digest(value))


def _broken(facts: Facts) -> Iterator[TagTrouble]:
    """Reads of tags that got an error although nothing excused it."""
    for seen in facts.calls("manifest.get", "manifest.head"):
        tag, exchange = seen.about.get("tag"), seen.exchange
        if not isinstance(tag, str) or seen.excused or not _failed(seen):
            continue
        ops = facts.tag_ops.get((seen.repo, tag), [])
        writes = [op for op in ops if op.kind != "read" and op.start_ns <= exchange.completed_ns]
        moving = [op for op in writes if _ended(facts, op) >= seen.start_ns]
        last = writes[-1:]
        if moving:
            witness = (*last, *moving[-1:])
            yield TagTrouble(seen.repo, tag, "error", None, seen, None, moving[-1], witness)
        elif last:
            collects = tuple(r for r in facts.collects_in(last[0].start_ns, seen.start_ns) if not r.own)
            outages = tuple(facts.outages_in(last[0].start_ns, seen.start_ns))
            if collects or (outages and facts.history.promises.durable):
                yield TagTrouble(
                    seen.repo,
                    tag,
                    "collected" if collects else "outage",
                    None,
                    seen,
                    None,
                    last[0],
                    tuple(last),
                    collects,
                    outages,
                )


def _failed(seen: Seen) -> bool:
    broken = seen.exchange.error in ("closed", "reset", "timeout")
    return broken or (seen.status >= 500 and seen.status != 501)


def _ended(facts: Facts, op: TagOp) -> int:
    """When the exchange was over, whether or not anybody knows what came of it."""
    return facts.history.exchanges[op.index].completed_ns if op.index >= 0 else op.end_ns
