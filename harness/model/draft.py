"""A plan that grows, and what may be there at its end.

While a plan is drawn nothing is known for certain: a push may be refused, a collector may remove what nothing
references, two lanes race. `Draft` keeps what *may* be true after the operations so far, which is what a rule
needs to choose an operation that says something, and keeps the partial order free of circles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec
from harness.plan.operation import Arg, Cut, Hold, Lane, Operation, Strike, mark_owner
from harness.plan.plan import Closing, Plan, is_barrier

Key = tuple[str, str, str]
"""What an operation touches: (``"blob"`` | ``"manifest"`` | ``"tag"``, repository, name)."""

# fmt: off
WORDS: dict[str, str] = {
    "blob.push": "push", "blob.mount": "mount", "blob.pull": "fetch", "blob.head": "check",
    "blob.delete": "drop", "upload.start": "start", "upload.patch": "patch", "upload.status": "status",
    "upload.finish": "finish", "upload.cancel": "cancel", "manifest.put": "put", "manifest.get": "get",
    "manifest.head": "head", "manifest.delete": "delete", "tag.delete": "untag", "image.pull": "pull",
    "tags.list": "tags", "referrers.list": "referrers",
}
# fmt: on
"""The word that an operation's id starts with, where it is not the kind itself."""

WRITES: frozenset[str] = frozenset({"blob.push", "blob.mount", "manifest.put"})
"""Kinds that do not wait for whoever wrote the same thing before: two of them at once is the point."""


@dataclass(slots=True)
class Session:
    """An upload session, as far as the plan knows: ``offset`` bytes of ``blob`` have been sent so far."""

    name: str
    repo: str
    blob: str
    lane: Lane
    start: str
    last: str
    offset: int = 0
    open: bool = True


@dataclass(slots=True)
class Window:
    """An operation that stands still, and those drawn while it does; it closes after ``wanted`` of them."""

    holder: str
    lane: Lane
    wanted: int
    inside: list[str] = field(default_factory=list)
    releases: tuple[str, ...] = ()


class Draft:
    """The operations so far, in order, and what may be there: ``placed`` blobs and ``held`` manifests by
    (repository, name), ``tags`` by (repository, tag), ``sessions`` by name. ``missing`` and
    ``missing_manifests``: what was deleted or may have been collected. All in the order of drawing."""

    def __init__(self, lanes: int = 1) -> None:
        self.lanes = lanes
        self.operations: list[Operation] = []
        self.blobs: dict[str, BlobSpec] = {}
        self.manifests: dict[str, ManifestSpec] = {}
        self.placed: dict[tuple[str, str], str] = {}
        self.held: dict[tuple[str, str], str] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self.missing: dict[tuple[str, str], str] = {}
        self.missing_manifests: dict[tuple[str, str], str] = {}
        self.sessions: dict[str, Session] = {}
        self.touched: dict[Key, str] = {}
        self.window: Window | None = None
        self.dead = False
        self._position: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._last_in_lane: dict[Lane, str] = {}
        self._barrier: str | None = None
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.operations)

    def operation(self, id_: str) -> Operation:
        return self.operations[self._position[id_]]

    def last_in(self, lane: Lane) -> str | None:
        return self._last_in_lane.get(lane)

    @property
    def last(self) -> str | None:
        return self.operations[-1].id if self.operations else None

    # --- names ----------------------------------------------------------------------------------------------

    def new_id(self, word: str) -> str:
        """The next unused name with that word: ``push1``, ``push2``, …"""
        self._counts[word] = self._counts.get(word, 0) + 1
        return f"{word}{self._counts[word]}"

    def new_blob(self, spec: BlobSpec) -> str:
        """A name for a blob. Blobs below 16 bytes share one name for each size: their bytes may be equal."""
        if spec.unique:
            name = self.new_id("b")
        else:
            name = f"tiny{spec.size_bytes}{'s' if spec.alg == 'sha512' else ''}"
        self.blobs[name] = spec
        return name

    def new_manifest(self, spec: ManifestSpec) -> str:
        name = self.new_id({"image": "m", "index": "i", "artifact": "a"}[spec.kind])
        self.manifests[name] = spec
        return name

    def blob_size_bytes(self, name: str) -> int | None:
        """The size of a blob; ``None`` for a manifest that is pushed as one."""
        if name == EMPTY_JSON:
            return len(EMPTY_JSON)
        spec = self.blobs[name]
        return None if spec.of else spec.size_bytes

    # --- what may be there ----------------------------------------------------------------------------------

    def needed(self, manifest: str) -> tuple[str, ...]:
        """The blobs that a manifest references itself."""
        spec = self.manifests[manifest]
        return () if spec.kind == "index" else spec.blobs or (EMPTY_JSON,)

    def in_use(self, repo: str) -> dict[str, None]:
        """Blobs that manifests which may be in the repository reference."""
        return {
            blob: None for where, manifest in self.held if where == repo for blob in self.needed(manifest)
        }

    def unused(self) -> list[tuple[str, str]]:
        """Blobs that no manifest of their repository references."""
        used: dict[str, dict[str, None]] = {}
        found = []
        for repo, blob in self.placed:
            if repo not in used:
                used[repo] = self.in_use(repo)
            if blob not in used[repo]:
                found.append((repo, blob))
        return found

    def untagged(self) -> list[tuple[str, str]]:
        """Manifests that no tag names and no index of their repository lists."""
        kept: dict[tuple[str, str], None] = {(repo, name): None for (repo, _), name in self.tags.items()}
        for repo, name in self.held:
            kept.update({(repo, child): None for child in self.manifests[name].children})
        return [key for key in self.held if key not in kept]

    def open_sessions(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.open]

    def tags_of(self, repo: str) -> list[str]:
        return [tag for where, tag in self.tags if where == repo]

    # --- growing --------------------------------------------------------------------------------------------

    def add(
        self,
        do: str,
        lane: Lane,
        args: Mapping[str, Arg] | None = None,
        *,
        after: Iterable[str] = (),
        hold: Hold | None = None,
        cut: Cut | None = None,
        strike: Strike | None = None,
        race: bool = False,
        id: str | None = None,
    ) -> str:
        """Append an operation, and return its id.

        It waits for the marks in ``after`` and, unless it is to ``race``, for the last operations that
        touched what it names. A barrier, or an operation in the lane that stands still, closes the window
        first.
        """
        op = Operation(
            id or self.new_id(WORDS.get(do, do)), lane, do, dict(args or {}), (), hold, cut, strike
        )
        barrier = is_barrier(op)
        if barrier or (self.window is not None and self.window.lane == lane):
            self.close_window()
        marks = list(after)
        wanted = list(self._producers(op, sessions_only=race))
        window = self.window
        if window is not None:
            marks.append(f"{window.holder}.held")
            wanted = [mark for mark in wanted if mark != window.holder]
        op = replace(op, after=self._prune(lane, (*marks, *wanted)))
        self._position[op.id] = len(self.operations)
        self.operations.append(op)
        self._before[op.id] = self._known(op, barrier)
        self._last_in_lane[lane] = op.id
        if barrier:
            self._barrier = op.id
        self._effect(op)
        if op.deadly:
            self._kill(op)
        if window is not None:
            window.inside.append(op.id)
            if len(window.inside) >= window.wanted:
                self.close_window()
        return op.id

    def open_window(self, id_: str, wanted: int, releases: Iterable[str] = ()) -> None:
        """Operation ``id_`` (the last one, with a hold until itself) stands still while the next ``wanted``
        operations are drawn in other lanes. It goes on when the last of them ends, or the last of a kind in
        ``releases`` where there is one."""
        self.close_window()
        self.window = Window(id_, self.operation(id_).lane, wanted, [], tuple(releases))

    def close_window(self) -> None:
        """Say when the held operation goes on; it does not stand still when nothing was drawn meanwhile."""
        window, self.window = self.window, None
        if window is None:
            return
        holder = self.operation(window.holder)
        release: Hold | None = None
        if window.inside and holder.hold is not None:
            fitting = [i for i in window.inside if self.operation(i).do in window.releases]
            release = replace(holder.hold, until=(fitting or window.inside)[-1])
        self.operations[self._position[holder.id]] = replace(holder, hold=release)

    def build(self, closing: Closing = "read") -> Plan:
        """The plan. Raises `PlanError` when it cannot be run (a defect of the drawing)."""
        self.close_window()
        return Plan(tuple(self.operations), dict(self.blobs), dict(self.manifests), closing).check()

    # --- order ----------------------------------------------------------------------------------------------

    def _ended(self, mark: str) -> int:
        """The operations (as bits) that have ended when a mark is reached."""
        owner = mark_owner(mark)
        return self._before[owner] | (0 if mark != owner else 1 << self._position[owner])

    def _known(self, op: Operation, barrier: bool) -> int:
        if barrier:
            return (1 << self._position[op.id]) - 1
        known = 0
        for mark in op.after:
            known |= self._ended(mark)
        for implied in (self._last_in_lane.get(op.lane), self._barrier):
            if implied is not None:
                known |= self._ended(implied)
        return known

    def _prune(self, lane: Lane, marks: Iterable[str]) -> tuple[str, ...]:
        """The marks that neither the lane, a barrier nor another mark implies, in order."""
        marks = list(dict.fromkeys(marks))
        implied = [mark for mark in (self._last_in_lane.get(lane), self._barrier) if mark is not None]
        kept: list[str] = []
        for mark in marks:
            others = [*implied, *(other for other in marks if other != mark)]
            if mark == mark_owner(mark):
                bit = 1 << self._position[mark]
                if any(self._ended(other) & bit for other in implied):
                    continue
                if any(self._ended(other) & bit for other in others):
                    continue
            elif any(mark in self.operation(other).after for other in implied if other == mark_owner(other)):
                continue
            kept.append(mark)
        return tuple(kept)

    # --- what operations need and do ------------------------------------------------------------------------

    def _keys(self, op: Operation) -> Iterator[Key]:
        repo = op.get("repo", "")
        if op.do == "manifest.put":
            manifest = op.get("manifest", op.id)
            spec = self.manifests[manifest]
            for name in dict.fromkeys((manifest, op.get("with", manifest))):
                yield from (("blob", repo, blob) for blob in self.needed(name))
            yield from (("manifest", repo, child) for child in spec.children)
            return
        if op.do == "blob.mount" and op.get("from"):
            yield ("blob", op["from"], op["blob"])
        if op.do in WRITES or op.do.startswith("upload."):
            return
        for kind in ("blob", "manifest", "tag"):
            if op.get(kind):
                yield (kind, repo, op[kind])

    def _producers(self, op: Operation, *, sessions_only: bool) -> Iterator[str]:
        if op.do == "again":
            yield op["of"]
        session = self.sessions.get(op.get("upload", ""))
        if session is not None:
            yield session.start if sessions_only else session.last
        if sessions_only:
            return
        for key in self._keys(op):
            if key in self.touched:
                yield self.touched[key]

    def _effect(self, op: Operation) -> None:
        effect = _EFFECTS.get(op.do)
        if effect is not None:
            effect(self, op)

    def _place(self, repo: str, blob: str, op: str) -> None:
        self.placed[repo, blob] = self.touched["blob", repo, blob] = op
        self.missing.pop((repo, blob), None)

    def _lose(self, repo: str, blob: str, op: str) -> None:
        self.missing[repo, blob] = self.touched["blob", repo, blob] = op
        self.placed.pop((repo, blob), None)

    def _lose_manifest(self, repo: str, manifest: str, op: str) -> None:
        self.missing_manifests[repo, manifest] = self.touched["manifest", repo, manifest] = op
        self.held.pop((repo, manifest), None)
        for tag in [t for t in self.tags if t[0] == repo and self.tags[t] == manifest]:
            del self.tags[tag]
            self.touched["tag", repo, tag[1]] = op

    def _push(self, op: Operation) -> None:
        if op.get("declare") is None:
            self._place(op["repo"], op["blob"], op.id)

    def _drop(self, op: Operation) -> None:
        self._lose(op["repo"], op["blob"], op.id)

    def _start(self, op: Operation) -> None:
        name = op["upload"]
        self.sessions[name] = Session(name, op["repo"], "", op.lane, op.id, op.id)

    def _patch(self, op: Operation) -> None:
        session = self.sessions[op["upload"]]
        session.last = op.id
        session.blob = op["blob"]
        fits = op["first"] == session.offset and op.get("claim", session.offset) == session.offset
        if fits and op.cut is None:
            session.offset += op["size"]

    def _finish(self, op: Operation) -> None:
        session = self.sessions[op["upload"]]
        session.last = op.id
        if op.get("declare") is None and op.get("claim") is None:
            session.open = False
            self._place(op["repo"], op["blob"], op.id)

    def _cancel(self, op: Operation) -> None:
        session = self.sessions[op["upload"]]
        session.last, session.open = op.id, False

    def _look(self, op: Operation) -> None:
        session = self.sessions[op["upload"]]
        session.last = op.id

    def _put(self, op: Operation) -> None:
        repo, manifest = op["repo"], op.get("manifest", op.id)
        moved = op.get("with")
        for name in (manifest, moved) if moved else (manifest,):
            self.held[repo, name] = self.touched["manifest", repo, name] = op.id
            self.missing_manifests.pop((repo, name), None)
        for tag in (op["tag"],) if op.get("tag") else op.get("tags", ()):
            self.tags[repo, tag] = manifest
            self.touched["tag", repo, tag] = op.id

    def _delete(self, op: Operation) -> None:
        self._lose_manifest(op["repo"], op["manifest"], op.id)

    def _untag(self, op: Operation) -> None:
        self.tags.pop((op["repo"], op["tag"]), None)
        self.touched["tag", op["repo"], op["tag"]] = op.id

    def _collect(self, op: Operation) -> None:
        if op.get("untagged"):
            for repo, manifest in self.untagged():
                self._lose_manifest(repo, manifest, op.id)
        for repo, blob in self.unused():
            self._lose(repo, blob, op.id)

    def _kill(self, op: Operation) -> None:
        self.dead = True

    def _revive(self, op: Operation) -> None:
        self.dead = False


_EFFECTS = {
    "blob.push": Draft._push,
    "blob.mount": Draft._push,
    "blob.delete": Draft._drop,
    "upload.start": Draft._start,
    "upload.patch": Draft._patch,
    "upload.finish": Draft._finish,
    "upload.status": Draft._look,
    "upload.cancel": Draft._cancel,
    "manifest.put": Draft._put,
    "manifest.delete": Draft._delete,
    "tag.delete": Draft._untag,
    "collect": Draft._collect,
    "kill": Draft._kill,
    "power": Draft._kill,
    "restart": Draft._revive,
}
