"""Clients that vanish or stand still, and registries that are killed, restarted or paused.

Every rule adds the whole story: the fault, what makes sure that it strikes in the middle, and its healing.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.machines.base import OPERATOR, PlanMachine, alive, concurrent, steady, step
from harness.machines.blobs import has_blob
from harness.machines.manifests import ManifestRules
from harness.machines.pools import HELD_SIZES
from harness.machines.uploads import UploadRules, can_patch
from harness.plan.operation import Arg, Cut, Hold, How, Lane, Part, Place

IN_BODY: dict[str, str] = {"put": "put", "post": "post", "chunked": "patch", "stream": "patch"}
"""The method that carries the bytes of a blob, for each way to push it."""

EARLY_BYTES: dict[Part, tuple[int, ...]] = {
    "head": (1, 20, 60),
    "body": (1, 60, 100),
    "answer": (0, 0, 12, 40),
}
"""Bytes that every request with a manifest, and every answer, reaches."""
QUICK: frozenset[str] = frozenset({"restart", "quiet", "collect"})
"""Kinds after which there is nothing that a kill or a restart could hurt."""


def few_kills(machine: PlanMachine) -> bool:
    """A plan with more restarts than that shows nothing but restarts."""
    return sum(op.do == "restart" for op in machine.draft.operations) < 4 and len(machine.draft) > 2


class FaultRules(UploadRules, ManifestRules):
    """Features: ``cut`` (a client vanishes), ``again`` (a retry), ``hold`` (a client stands still while
    others go on), ``kill``, ``restart``, ``pause``."""

    # --- clients that vanish --------------------------------------------------------------------------------

    def cut_in(self, method: str, size: int, nth: int = 1) -> Cut:
        """A cut in the head, the body or the answer of an exchange that carries ``size`` bytes."""
        dice = self.dice
        table: list[tuple[float, Part]] = [(1, "head"), (2, "answer")]
        table += [(5, "body")] if size else []
        part = dice.weighted(table)
        at = self.byte_of(size) if part == "body" else dice.pick(EARLY_BYTES[part])
        hows: tuple[How, ...] = ("close", "reset") if part == "answer" else ("close", "reset", "half")
        return Cut(Place(method, nth, part, at), dice.pick(hows))

    def byte_of(self, size: int) -> int:
        """A byte inside ``size`` bytes: at an edge, at a page, in the middle."""
        places = [at for at in (0, 1, size // 2, size - 1, 4096, 4095, 65536) if 0 <= at < size]
        return self.dice.pick(places)

    def way_for(self, size: int) -> tuple[dict[str, Arg | None], list[tuple[str, int, int]]]:
        """A way to push a blob of ``size`` bytes: arguments, and the exchanges that carry it (method, which
        one with that method, bytes)."""
        ways = [way for way, method in IN_BODY.items() if method != "patch" or self.can("chunked")]
        way = self.dice.pick([way for way in ways if size or way != "chunked"])
        chunks = (self.chunks(size) or ()) if way == "chunked" else ()
        bodies = [(IN_BODY[way], at + 1, chunk) for at, chunk in enumerate(chunks or (size,))]
        if chunks:
            bodies.append(("put", 1, size - sum(chunks)))
        return {"way": way, "chunks": chunks or None}, bodies

    @step("cut", alive)
    def cut_push(self) -> None:
        """A push that is cut; then the client goes on, pushes again, or gives up."""
        dice, repo = self.dice, self.repo()
        blob = self.new_blob(dice.pick((None, *HELD_SIZES)))
        args, bodies = self.way_for(self.draft.blob_size_bytes(blob) or 0)
        method, nth, carried = dice.pick(bodies)
        resumes = method == "patch" and self.can("upload-status") and dice.chance(0.5)
        args.update(repo=repo, blob=blob, recover=True if resumes else None)
        lane = self.lane()
        pushed = self.do("blob.push", lane, args, cut=self.cut_in(method, carried, nth))
        self.after_cut(pushed, lane)
        if dice.chance(0.5):
            self.push(repo, blob, lane, race=False)

    def after_cut(self, cut: str, lane: Lane) -> None:
        """Mostly the same request again, if retries are on; sometimes by another client."""
        if "again" in self.features and self.dice.chance(0.5):
            other = lane if self.dice.chance(0.75) else self.lane(lane)
            self.do("again", other, of=cut, race=False)

    @step("cut", alive)
    def cut_put(self) -> None:
        """A manifest whose client vanishes; then its tag is read."""
        dice, repo = self.dice, self.repo()
        manifest, tag, lane = self.ready_manifest(repo), self.tag(), self.lane()
        put = self.do(
            "manifest.put", lane, repo=repo, manifest=manifest, tag=tag, cut=self.cut_in("put", 120)
        )
        self.after_cut(put, lane)
        if dice.chance(0.6):
            self.do("manifest.get", repo=repo, tag=tag, race=False)

    @step("cut", alive, can_patch)
    def cut_patch(self) -> None:
        """A session whose client vanishes in its first or second PATCH, asks where to resume, and sends from
        there on."""
        dice = self.dice
        session = self.start_session(self.new_blob(dice.pick(HELD_SIZES)))
        size, lane = self.session_size(session), session.lane
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name}
        start = 0
        if dice.chance(0.5):
            start = dice.pick((1, size // 3, 10))
            self.patch(session, start)
        carried = dice.pick((1, (size - start) // 2, size - start - 1, size - start))
        cut = self.cut_in("patch", carried)
        sent: dict[str, Arg | None] = {**names, "blob": session.blob, "first": start, "size": carried}
        patch = self.do("upload.patch", lane, sent, cut=cut, race=False)
        self.after_cut(patch, lane)
        if dice.chance(0.3):  # as clients do that take nothing for arrived
            self.do("upload.patch", lane, sent, race=False)
        reached = cut.place.at_bytes if cut.place.part == "body" else carried
        self.resume_session(names, session.blob, size, start + reached)
        session.open = False

    def resume_session(self, names: dict[str, Arg | None], blob: str, size: int, reached: int) -> None:
        """Ask where to resume; go on at a place that may be right; commit; push it all the same if not."""
        dice = self.dice
        lane = self.draft.sessions[str(names["upload"])].lane
        if self.can("upload-status"):
            self.do("upload.status", lane, names, race=False)
        offset = dice.weighted(((4, reached), (1, 0), (1, min(size, reached + 1)), (1, size)))
        names = {**names, "blob": blob}
        if offset < size and dice.chance(0.5):
            self.do("upload.patch", lane, {**names, "first": offset, "size": size - offset}, race=False)
            offset = size
        tail: dict[str, Arg | None] = {"first": offset, "size": size - offset} if offset < size else {}
        self.do("upload.finish", lane, {**names, **tail}, race=False)
        if dice.chance(0.5):
            self.push(str(names["repo"]), blob, lane, race=False)

    @step("cut", alive, has_blob)
    def cut_read(self) -> None:
        """A reader that vanishes in the middle of the answer."""
        found = self.placed()
        assert found is not None
        size = self.draft.blob_size_bytes(found[1]) or 0
        at = self.byte_of(size) if size else 0
        how: How = self.dice.pick(("close", "reset"))
        cut = Cut(Place("get", 1, "answer", at), how)
        self.do("blob.pull", repo=found[0], blob=found[1], cut=cut, race=False)

    @step("again", lambda machine: bool(retried(machine)))
    def retry(self) -> None:
        """A request once more: mostly one whose client vanished."""
        ids = retried(self)
        cut = [id_ for id_ in ids if self.draft.operation(id_).cut is not None]
        of = self.dice.recent(cut) if cut and self.dice.chance(0.7) else self.dice.recent(ids)
        window = self.draft.window
        lane: Lane | None = self.draft.operation(of).lane
        if self.dice.chance(0.3) or (window is not None and window.lane == lane):
            lane = None
        if window is None or window.holder != of:
            self.do("again", lane, of=of, race=True)

    # --- clients that stand still ---------------------------------------------------------------------------

    def hold_push(self, until: str | None = None) -> tuple[str, str, str]:
        """A push that stands still in its body until ``until`` (or until its window closes): the operation,
        the repository and the blob."""
        dice, repo = self.dice, self.repo()
        blob = self.new_blob(dice.pick(HELD_SIZES))
        args, bodies = self.way_for(self.draft.blob_size_bytes(blob) or 0)
        method, nth, carried = dice.pick(bodies)
        id_ = self.draft.new_id("push")
        hold = Hold(until or id_, Place(method, nth, "body", self.byte_of(carried)))
        pushed = self.do(
            "blob.push", None, {**args, "repo": repo, "blob": blob}, id=id_, hold=hold, race=False
        )
        return pushed, repo, blob

    @step("hold", concurrent, steady)
    def stand_still_pushing(self) -> None:
        """A client stands still in a push while the others do anything: often with the very same blob."""
        pushed, repo, blob = self.hold_push()
        self.draft.open_window(pushed, self.dice.number(1, 4))
        self.meddle(repo, blob)

    def meddle(self, repo: str, blob: str) -> None:
        dice = self.dice
        how = dice.number(0, 4)
        if how == 0:
            self.push(repo, blob, race=True)
        elif how == 1:
            self.push(self.repo(), blob, race=True)
        elif how == 2 and "blob-delete" in self.features:
            self.do("blob.delete", race=True, repo=repo, blob=blob)
        elif how == 3:
            self.do("blob.head", race=True, repo=repo, blob=blob)

    @step("hold", concurrent, steady)
    def stand_still_putting(self) -> None:
        """A client stands still in a manifest while another one deletes what it names, or moves the tag."""
        dice, repo, tag = self.dice, self.repo(), self.tag()
        manifest = self.new_image(repo)
        id_ = self.draft.new_id("put")
        part: Part = dice.pick(("body", "body", "head"))
        hold = Hold(id_, Place("put", 1, part, dice.pick(EARLY_BYTES[part])))
        self.do("manifest.put", id=id_, hold=hold, race=False, repo=repo, manifest=manifest, tag=tag)
        blobs = self.draft.needed(manifest)
        self.draft.open_window(id_, dice.number(1, 3))
        if "blob-delete" in self.features and blobs and dice.chance(0.5):
            self.do("blob.delete", repo=repo, blob=dice.pick(blobs), race=False)
        else:
            other = self.held(repo)
            self.do("manifest.put", repo=repo, manifest=other[1] if other else manifest, tag=tag, race=True)

    @step("hold", concurrent, steady, has_blob)
    def stand_still_reading(self) -> None:
        """A reader stands still in the middle of an answer while the blob is deleted or pushed again."""
        dice = self.dice
        found = self.placed()
        assert found is not None
        repo, blob = found
        size = self.draft.blob_size_bytes(blob) or 0
        id_ = self.draft.new_id("fetch")
        hold = Hold(id_, Place("get", 1, "answer", self.byte_of(size) if size else 0))
        self.do("blob.pull", id=id_, hold=hold, race=False, repo=repo, blob=blob)
        self.draft.open_window(id_, dice.number(1, 3))
        if "blob-delete" in self.features and dice.chance(0.6):
            self.do("blob.delete", repo=repo, blob=blob, race=False)
        else:
            self.push(repo, blob)

    # --- registries that are killed, restarted, paused ------------------------------------------------------

    def kill(self, id_: str, after: Sequence[str], restart: float = 0.8) -> None:
        """Kill, and mostly start again at once; otherwise others meet a dead registry first."""
        self.do("kill", OPERATOR, id=id_, after=after, race=True)
        if self.dice.chance(restart):
            self.do("restart", OPERATOR)

    @step("kill", steady, few_kills, can_patch)
    def kill_in_patch(self) -> None:
        """A kill in the middle of a PATCH; after the restart the client asks where to resume."""
        dice = self.dice
        session = self.start_session(self.new_blob(dice.pick(HELD_SIZES)))
        size, lane = self.session_size(session), session.lane
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name}
        start = 0
        if dice.chance(0.5):
            start = dice.pick((1, size // 3, 4096 if size > 8192 else 10))
            self.patch(session, start)
        kill = self.draft.new_id("kill")
        at = self.byte_of(size - start)
        hold = Hold(kill, Place("patch", 1, "body", at))
        sent: dict[str, Arg | None] = {**names, "blob": session.blob, "first": start, "size": size - start}
        patch = self.do("upload.patch", lane, sent, hold=hold, race=False)
        self.kill(kill, (f"{patch}.held",), 1.0)
        self.resume_session(names, session.blob, size, start + at if dice.chance(0.5) else start)
        session.open = False

    @step("kill", steady, few_kills)
    def kill_in_push(self) -> None:
        """A kill in the middle of a push; then the same blob is pushed again, and pulled."""
        kill = self.draft.new_id("kill")
        pushed, repo, blob = self.hold_push(kill)
        self.kill(kill, (f"{pushed}.held",))
        if self.dice.chance(0.75):
            self.push(repo, blob, race=False)

    @step("kill", steady, few_kills)
    def kill_in_put(self) -> None:
        """A kill in the middle of a manifest, mostly one that moves a tag; then the tag is read."""
        dice, repo, tag = self.dice, self.repo(), self.tag()
        lane = self.lane()
        if dice.chance(0.6):
            self.do("manifest.put", lane, repo=repo, manifest=self.new_image(repo), tag=tag, race=False)
        manifest = self.new_image(repo)
        kill = self.draft.new_id("kill")
        part: Part = dice.pick(("body", "answer", "head"))
        hold = Hold(kill, Place("put", 1, part, dice.pick(EARLY_BYTES[part])))
        put = self.do("manifest.put", lane, hold=hold, race=False, repo=repo, manifest=manifest, tag=tag)
        self.kill(kill, (f"{put}.held",))
        self.do("manifest.get", lane, repo=repo, tag=tag, race=False)
        if "again" in self.features and dice.chance(0.4):
            self.do("again", lane, of=put, race=False)

    @step("kill", steady, few_kills, lambda machine: machine.draft.operations[-1].do not in QUICK)
    def kill_after_answer(self) -> None:
        """A kill right after something was acknowledged, while other lanes may be in the middle."""
        kill = self.draft.new_id("kill")
        self.kill(kill, self.now())
        if self.dice.chance(0.3) and not self.draft.dead:
            self.do("quiet", OPERATOR)

    @step("restart", steady, few_kills, lambda machine: machine.draft.operations[-1].do not in QUICK)
    def restart(self) -> None:
        self.do("restart", OPERATOR)
        if self.dice.chance(0.3):
            self.do("quiet", OPERATOR)

    @step("pause", steady)
    def pause(self) -> None:
        """A pause in the middle of a push; others send a part of a request meanwhile; then it goes on."""
        dice = self.dice
        pause, go_on = self.draft.new_id("pause"), self.draft.new_id("continue")
        pushed, repo, blob = self.hold_push(pause)
        lane = self.draft.operation(pushed).lane
        other = self.lane(lane)
        # What the other client did before has to end first: paused, the registry would not answer it.
        earlier = self.draft.last_in(other) if other != lane else None
        marks = (f"{pushed}.held", *((earlier,) if earlier is not None else ()))
        self.do("pause", OPERATOR, id=pause, after=marks, race=True)
        waiting: list[str] = []
        if other != lane:
            hold = Hold(go_on, Place("get", 1, "head", dice.pick((1, 20, 50))))
            found = self.placed() or (repo, blob)
            read = self.do(
                "blob.pull", other, hold=hold, after=(pause,), race=True, repo=found[0], blob=found[1]
            )
            waiting = [f"{read}.held"]
        self.do("continue", OPERATOR, id=go_on, after=waiting, race=True)
        self.do("blob.head", lane, repo=repo, blob=blob, race=False)


def retried(machine: FaultRules) -> list[str]:
    """Operations whose request can be sent again: writes that are not repeated in themselves."""
    kinds = ("blob.push", "manifest.put", "upload.patch", "upload.finish", "blob.delete", "manifest.delete")
    return [op.id for op in machine.draft.operations if op.do in kinds and op.get("times") is None]
