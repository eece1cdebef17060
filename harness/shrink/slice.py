"""Slicing by the witness: from the operations that prove a finding to those that it takes to see it again.

A dynamic slice (Korel and Laski 1988) over the names in a plan: what an operation reads must have been made,
and what may have spoiled it in between is kept as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.plan.content import Symbols
from harness.plan.operation import Operation, mark_owner
from harness.plan.plan import Plan

Symbol = tuple[str, str, str]
"""(symbol space, repository, name); the repository of an upload is ``""``."""

OPEN = frozenset({"disk.full", "disk.readonly", "disk.slow", "limit", "net", "net.unplug"})
"""What lasts until it is healed."""
ACCIDENTS = frozenset(
    {"collect", "kill", "power", "restart", "pause", "continue", "disk.flip", "disk.cut", *OPEN}
)
"""What concerns everything in the registry."""
HEALS = {"restart": frozenset({"kill", "power"}), "continue": frozenset({"pause"}), "heal": OPEN}
"""What ends an accident, and the accidents that it ends."""
SPOILS = {"blob.delete": "blob", "manifest.delete": "manifest", "tag.delete": "tag"}
_MAKES = {"blob.push": "blob", "blob.mount": "blob", "upload.finish": "blob", "manifest.put": "manifest"}
_STEPS = frozenset({"upload.start", "upload.patch"})


@dataclass(frozen=True, slots=True)
class Touch:
    """What an operation makes, what it needs to have been made, and what it takes away."""

    makes: frozenset[Symbol]
    uses: frozenset[Symbol]
    spoils: frozenset[Symbol]

    @property
    def all(self) -> frozenset[Symbol]:
        return self.makes | self.uses | self.spoils


def touch(plan: Plan, op: Operation) -> Touch:
    repo = op.get("repo", "")
    makes: set[Symbol] = set()
    uses: set[Symbol] = set()
    spoils: set[Symbol] = set()
    own = {space: (space, repo, op[space]) for space in ("blob", "tag") if space in op.args}
    manifest = op.get("manifest", op.id if op.do == "manifest.put" else None)
    if manifest is not None:
        own["manifest"] = ("manifest", repo, manifest)
    if op.do in SPOILS:
        spoils.add(own[SPOILS[op.do]])
    elif op.do in _MAKES:
        makes.add(own[_MAKES[op.do]])
    elif op.do not in _STEPS:
        uses.update(own.values())
    if "upload" in op.args:
        session = ("upload", "", op["upload"])
        (makes if op.do in _STEPS else uses).add(session)
        if op.do == "upload.patch":
            uses.add(session)
    if op.do == "blob.mount" and "from" in op.args:
        uses.add(("blob", op["from"], op["blob"]))
    if op.do == "manifest.put":
        tags = [op["tag"]] if "tag" in op.args else op.get("tags", ())
        makes.update(("tag", repo, tag) for tag in tags)
        put = [manifest, *([op["with"]] if "with" in op.args else [])]
        makes.update(("manifest", repo, name) for name in put)
        for name in put:
            uses.update(_parts(plan, repo, name))
    return Touch(
        frozenset(makes), frozenset(uses - makes if op.do not in _STEPS else uses), frozenset(spoils)
    )


def _parts(plan: Plan, repo: str, manifest: str) -> Iterator[Symbol]:
    spec = Symbols("", "", plan.blobs, plan.manifests).manifest_spec(manifest)
    yield from (("blob", repo, name) for name in spec.blobs)
    yield from (("manifest", repo, name) for name in spec.children)
    if spec.subject is not None:
        yield "manifest", repo, spec.subject


def slices(plan: Plan, witness: Iterable[str]) -> Iterator[frozenset[str]]:
    """Ever larger sets of operations that may be enough: the witness and what it depends on; with what may
    have spoiled that in between; with all that touches the same things; with all in the same repositories.
    No set comes twice, and the whole plan does not come."""
    sliced = _Slice(plan)
    start = {id_ for id_ in witness if id_ in plan}
    # Where the read-back at the end is a witness, everything before it may matter.
    end = max((sliced.at[id_] for id_ in start), default=-1)
    if end < 0 or any(id_ not in plan for id_ in witness):
        end = len(plan) - 1
    seen: set[frozenset[str]] = {frozenset(sliced.at), frozenset()}
    tight = sliced.close(start)
    for found in (
        tight,
        sliced.close(tight | sliced.spoilers(tight, end, last_only=True)),
        spoiled := sliced.close(tight | sliced.spoilers(tight, end)),
        related := sliced.close(spoiled | sliced.related(spoiled, end)),
        sliced.close(related | sliced.neighbours(related, end)),
    ):
        if found not in seen:
            seen.add(found)
            yield found


class _Slice:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.at = {op.id: index for index, op in enumerate(plan)}
        self.touches = {op.id: touch(plan, op) for op in plan}

    def close(self, ids: Iterable[str]) -> frozenset[str]:
        """The operations and all that they depend on."""
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                waiting.extend(self.needs(self.plan[id_]))
        return frozenset(found)

    def needs(self, op: Operation) -> Iterator[str]:
        for symbol in self.touches[op.id].uses:
            yield from self.makers(symbol, self.at[op.id])
        for mark in op.after:
            if mark != mark_owner(mark):
                yield mark_owner(mark)
        if op.hold is not None:
            yield mark_owner(op.hold.until)
        if op.do == "again":
            yield op["of"]
        yield from self.partners(op)

    def makers(self, symbol: Symbol, at: int) -> list[str]:
        """The last operation before that makes it (the first one after, where there is none: lanes), or all
        the steps of an upload session."""
        makers = [op.id for op in self.plan if symbol in self.touches[op.id].makes]
        earlier = [id_ for id_ in makers if self.at[id_] < at]
        if symbol[0] == "upload":
            return earlier
        return earlier[-1:] or [id_ for id_ in makers if self.at[id_] > at][:1]

    def partners(self, op: Operation) -> Iterator[str]:
        """What heals an accident: without it nothing that follows means anything."""
        for later in self.plan.operations[self.at[op.id] + 1 :]:
            if self._accident(op) in HEALS.get(later.do, frozenset()):
                yield later.id
                return

    @staticmethod
    def _accident(op: Operation) -> str:
        return "kill" if op.deadly else op.do

    def spoilers(self, ids: frozenset[str], end: int, *, last_only: bool = False) -> frozenset[str]:
        """Accidents between the first of the operations and the end, and deletions of what they touch."""
        first = min((self.at[id_] for id_ in ids), default=0)
        things = {(space, name) for id_ in ids for space, _, name in self.touches[id_].all}
        found: dict[str, str] = {}
        for op in self.plan.operations[first : end + 1]:
            hit = any((space, name) in things for space, _, name in self.touches[op.id].spoils)
            if op.id not in ids and (op.do in ACCIDENTS or hit):
                found[op.do if last_only else op.id] = op.id
        return frozenset(found.values())

    def related(self, ids: frozenset[str], end: int) -> frozenset[str]:
        """Whatever touches the same things, in any repository."""
        things = {(space, name) for id_ in ids for space, _, name in self.touches[id_].all}
        return frozenset(
            op.id
            for op in self.plan.operations[: end + 1]
            if any((space, name) in things for space, _, name in self.touches[op.id].all)
        )

    def neighbours(self, ids: frozenset[str], end: int) -> frozenset[str]:
        """Whatever is done in the same repositories."""
        repos = {self.plan[id_].get("repo") for id_ in ids} - {None}
        return frozenset(op.id for op in self.plan.operations[: end + 1] if op.get("repo") in repos)
