"""What a history says, as typed facts: who may have written, removed or seen which object, and when.

Every checker reads these instead of raw exchanges, so that the meaning of an answer is decided in one place
(`harness.model.reading`). Cost: one pass over the exchanges. Facts carry the interval in which they took
effect: for an answered request from its first byte to its last, for one whose end nobody knows from its first
byte to for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.history import FOREVER_NS, Exchange, History
from harness.model.circumstances import Collect, Damage, Span
from harness.plan.content import Symbols

ObjKind = Literal["blob", "manifest"]
FactKind = Literal["write", "delete", "present", "absent", "broken", "wrong", "refused"]
TagKind = Literal["write", "delete", "delete_if", "read", "wild"]

ANY = "*"
"""The value of a tag read that only says that the tag is there."""


class Obj(NamedTuple):
    """Content in a repository. ``repo`` is symbolic, ``digest`` real."""

    kind: ObjKind
    repo: str
    digest: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about the existence of ``obj`` in one exchange.

    ``certain`` is false for what may or may not have happened. ``via`` says how: ``push``, ``mount``,
    ``put``, ``tag t``, ``alias`` (the same content under another digest), ``accepted`` (a manifest that names
    it was accepted by a registry that looks).
    """

    kind: FactKind
    obj: Obj
    index: int
    op: str
    start_ns: int
    end_ns: int
    certain: bool = True
    via: str = ""

    def before(self, other: Fact | Span | Collect) -> bool:
        return self.end_ns < other.start_ns


@dataclass(frozen=True, slots=True)
class TagOp:
    """An operation on the register (repo, tag). Values are sha256 digests of manifests, `None` for no tag,
    `ANY` for a read that does not say which. ``optional``: may or may not have happened. ``delete_if``
    removes the tag where it points at ``value``; ``wild`` may have done anything."""

    kind: TagKind
    value: str | None
    start_ns: int
    end_ns: int
    optional: bool = False
    index: int = -1
    op: str = ""

    @property
    def absent(self) -> bool:
        """Whether this is a read that found no tag."""
        return self.kind == "read" and self.value is None

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        return self.start_ns <= end_ns and start_ns <= self.end_ns


@dataclass(slots=True)
class Timeline:
    """All facts about one object, each list in order of invocation."""

    obj: Obj
    writes: list[Fact] = field(default_factory=list)
    deletes: list[Fact] = field(default_factory=list)
    presents: list[Fact] = field(default_factory=list)
    absents: list[Fact] = field(default_factory=list)
    broken: list[Fact] = field(default_factory=list)
    wrong: list[Fact] = field(default_factory=list)
    refused: list[Fact] = field(default_factory=list)

    def add(self, fact: Fact) -> None:
        lists: dict[FactKind, list[Fact]] = {
            "write": self.writes,
            "delete": self.deletes,
            "present": self.presents,
            "absent": self.absents,
            "broken": self.broken,
            "wrong": self.wrong,
            "refused": self.refused,
        }
        lists[fact.kind].append(fact)

    def evidence(self) -> list[Fact]:
        """What proves that the object was there at some instant: acknowledged writes and good reads."""
        return [f for f in (*self.writes, *self.presents) if f.certain]


@dataclass(frozen=True, slots=True)
class Seen:
    """An exchange with its meaning resolved. ``repo``: where it took effect (a session's home, whatever the
    plan called it). ``excused``: the harness itself broke the registry or the connection meanwhile."""

    exchange: Exchange
    call: str
    about: Mapping[str, Any]
    repo: str
    excused: bool

    @property
    def start_ns(self) -> int:
        return self.exchange.invoked_ns

    @property
    def end_ns(self) -> int:
        """When its effect was over: never, where nobody knows what came of it."""
        return FOREVER_NS if self.exchange.outcome == "info" else self.exchange.completed_ns

    @property
    def status(self) -> int:
        """0 where there was no complete answer."""
        return 0 if self.exchange.error is not None else (self.exchange.status or 0)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Facts:
    """The facts of one history; made by `harness.model.reading.facts_of`."""

    history: History
    seen: list[Seen] = field(default_factory=list)
    outages: tuple[Span, ...] = ()
    pauses: tuple[Span, ...] = ()
    holds: tuple[Span, ...] = ()
    faults: tuple[Span, ...] = ()
    collects: tuple[Collect, ...] = ()
    damages: tuple[Damage, ...] = ()
    timelines: dict[Obj, Timeline] = field(default_factory=dict)
    tag_ops: dict[tuple[str, str], list[TagOp]] = field(default_factory=dict)
    refused_tags: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    removals: list[tuple[Seen, str]] = field(default_factory=list)
    """Client requests that may have removed something: with what they removed, in words."""
    wild_repos: set[str] = field(default_factory=set)
    """Repositories in which requests of the protocol table may have changed things that have no name."""
    manifests: dict[str, str] = field(default_factory=dict)
    """Digest (of either algorithm) → name, for every manifest of the plan or of the history."""
    blobs: dict[str, str] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict)
    """Answers that several checkers ask for."""

    @property
    def symbols(self) -> Symbols:
        return self.history.symbols

    def timeline(self, obj: Obj) -> Timeline:
        if obj not in self.timelines:
            self.timelines[obj] = Timeline(obj)
        return self.timelines[obj]

    def known(self, kind: ObjKind, repo: str, digest: str) -> Timeline | None:
        return self.timelines.get(Obj(kind, repo, digest))

    def with_digest(self, digest: str) -> Iterator[Timeline]:
        """The same content in all repositories, as blob and as manifest."""
        by_digest: dict[str, list[Timeline]] | None = self.memo.get("digests")
        if by_digest is None or len(self.timelines) != self.memo["digests.size"]:
            by_digest = {}
            for timeline in self.timelines.values():
                by_digest.setdefault(timeline.obj.digest, []).append(timeline)
            self.memo["digests"], self.memo["digests.size"] = by_digest, len(self.timelines)
        return iter(by_digest.get(digest, ()))

    def calls(self, *names: str) -> Iterator[Seen]:
        return (seen for seen in self.seen if seen.call in names)

    def name(self, obj: Obj) -> str:
        """The symbolic name of an object, or what stands for it."""
        table = self.blobs if obj.kind == "blob" else self.manifests
        other = self.manifests if obj.kind == "blob" else self.blobs
        return table.get(obj.digest) or other.get(obj.digest) or obj.digest[:19]

    def subject(self, obj: Obj) -> str:
        """How findings name an object: ``blob r1/b3``."""
        return f"{obj.kind} {obj.repo}/{self.name(obj)}"

    def unique(self, obj: Obj) -> bool:
        """Whether nobody else can have made the same bytes."""
        if obj.digest in self.manifests:
            return True
        name = self.blobs.get(obj.digest)
        return (
            name is not None
            and self.symbols.blob_spec(name).unique
            and self.symbols.blob_size_bytes(name) > 2
        )

    def canonical(self, digest: str) -> str:
        """The sha256 digest of a manifest's content, which is a tag's value."""
        name = self.manifests.get(digest)
        return digest if name is None else self.symbols.manifest_digest(name, "sha256")

    def content(self, kind: ObjKind, digest: str) -> str:
        """The sha256 digest of what a digest names: equal for equal bytes, whatever their names."""
        if digest.startswith("sha256:"):
            return digest
        table = self.blobs if kind == "blob" else self.manifests
        name = table.get(digest)
        if name is None:
            return digest
        symbols = self.symbols
        return (
            symbols.blob_digest(name, "sha256") if kind == "blob" else symbols.manifest_digest(name, "sha256")
        )

    def outages_in(self, start_ns: int, end_ns: int) -> list[Span]:
        return [span for span in self.outages if span.overlaps(start_ns, end_ns)]

    def damaged(self, obj: Obj, start_ns: int, end_ns: int) -> bool:
        """Whether what is stored of an object was damaged, and not pushed again before, at any time between.

        A push that began after the damage and was acknowledged, to any repository, has to have healed it.
        """
        if not self.damages:
            return False
        content = self.content(obj.kind, obj.digest)
        for damage in self.damages:
            if damage.digest and damage.at_ns <= end_ns and self._same_content(damage.digest, content):
                healed = min(
                    (
                        write.end_ns
                        for timeline in self.timelines.values()
                        if self.content(timeline.obj.kind, timeline.obj.digest) == content
                        for write in timeline.writes
                        if write.certain and write.via != "mount" and write.start_ns > damage.at_ns
                    ),
                    default=FOREVER_NS,
                )
                if start_ns < healed:
                    return True
        return False

    def _same_content(self, digest: str, content: str) -> bool:
        return content in (digest, self.content("blob", digest), self.content("manifest", digest))

    def collects_in(self, start_ns: int, end_ns: int) -> list[Collect]:
        return [run for run in self.collects if run.overlaps(start_ns, end_ns)]
