"""Accidents of machine and network: power cuts, disks that are full or read-only, calls that fail, bits that
rot, limits, and weather on the wire.

Every rule adds the whole story: the accident, what clients do meanwhile, its end, and what shows whether
everything is well again.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.machines.base import COLLECTOR, OPERATOR, alive, steady, step
from harness.machines.blobs import has_blob, has_manifest
from harness.machines.faults import QUICK, FaultRules, few_kills
from harness.machines.pools import HELD_SIZES
from harness.machines.uploads import can_patch
from harness.plan.operation import Act, Arg, Call, Strike

NTHS = (1, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27)
"""Which change is struck: a push of a registry on a file system makes some ten to sixty."""
FREE_BYTES = (0, 4096, 70_000, 1 << 20)
FEW = (1, 1, 2, 2, 3, 4, 5, 6)
CALLS: dict[Act, tuple[str, ...]] = {
    "kill": ("write", "write", "rename", "sync", "mkdir"),
    "power": ("write", "rename", "sync"),
    "enospc": ("write", "create"),
    "eio": ("write", "rename", "sync"),
    "emfile": ("create",),
}
"""Kinds of changes of which a push makes a few, between which most can go wrong."""
ERRORS: tuple[Act, ...] = ("enospc", "enospc", "eio", "emfile")
TOXICS: dict[str, tuple[int, ...]] = {
    "latency": (5, 40),
    "bandwidth": (64, 1024),
    "slow_close": (30,),
    "timeout": (60,),
    "reset_peer": (0, 20),
    "slicer": (64, 1000),
    "limit_data": (50, 1000, 9000),
    "down": (0,),
}
"""Toxics, and their values; what the numbers are is in the table of operations."""


class AccidentRules(FaultRules):
    """Features: ``power``, ``strike`` (a kill, or an error, at a system call), ``disk`` (full, read-only,
    slow), ``damage`` (bits flipped, files cut), ``limits`` (files, memory), ``weather`` (toxics)."""

    @step("power", steady, few_kills, lambda machine: machine.draft.operations[-1].do not in QUICK)
    def cut_power(self) -> None:
        self.power_off()

    def power_off(self) -> None:
        """The power goes right after something was acknowledged; then everything is read."""
        self.do("power", OPERATOR, after=self.now(), race=True)
        self.do("restart", OPERATOR)
        if self.dice.chance(0.4):
            self.do("quiet", OPERATOR)

    @step("power", steady, few_kills, lambda machine: bool(machine.draft.placed))
    def cut_power_after_deletion(self) -> None:
        """The power goes right after a deletion was acknowledged: what is gone stays gone."""
        dice, features = self.dice, self.features
        repo, blob = self.dice.recent(list(self.draft.placed))
        held, tags = self.held(repo), self.draft.tags_of(repo)
        kinds: list[tuple[str, dict[str, Arg | None]]] = []
        if "blob-delete" in features:
            kinds.append(("blob.delete", {"blob": blob}))
        if "manifest-delete" in features and held is not None:
            kinds.append(("manifest.delete", {"manifest": held[1]}))
        if "tag-delete" in features and tags:
            kinds.append(("tag.delete", {"tag": dice.pick(tags)}))
        if kinds:
            kind, which = dice.pick(kinds)
            self.do(kind, None, {"repo": repo, **which}, race=False)
        self.power_off()

    # --- at a system call -----------------------------------------------------------------------------------

    def strike(self, act: Act) -> Strike:
        """Right before the n-th change of any kind, or of one kind of which there are only a few."""
        dice = self.dice
        if dice.chance(0.5):
            return Strike(Call("any", "*", dice.pick(NTHS)), act)
        return Strike(Call(dice.pick(CALLS[act]), "*", dice.pick(FEW)), act)

    def later_and_later(self, first: int) -> Iterator[int]:
        """Two or three changes one after the other, each to be struck in its turn; fewer in a full plan."""
        for nth in range(first, first + self.dice.number(2, 3)):
            if self.is_full:
                return
            yield nth

    def struck(self, strike: Strike) -> None:
        """A push, a manifest or a deletion that is struck; then perhaps a collector meets what a crash left;
        then the same once more."""
        dice, repo, tag, lane = self.dice, self.repo(), self.tag(), self.lane()
        held, known, tags = self.held(repo), self.placed(repo), self.draft.tags_of(repo)
        if tags and dice.chance(0.6):
            tag = dice.pick(tags)
        how = dice.weighted(((4, "push"), (4, "put"), (1, "delete")))
        if how == "delete" and held is not None and "manifest-delete" in self.features:
            args: dict[str, Arg | None] = {"repo": repo, "manifest": held[1]}
            kind = "manifest.delete"
        elif how == "push":
            blob = known[1] if known is not None and dice.chance(0.3) else self.new_blob()
            kind, args = "blob.push", {"repo": repo, "blob": blob, **self.way(blob)}
        else:
            kind, args = "manifest.put", {"repo": repo, "manifest": self.new_image(repo), "tag": tag}
        self.do(kind, lane, args, strike=strike, race=False)
        if strike.act in ("kill", "power"):
            self.do("restart", OPERATOR)
            if "collect" in self.features and dice.chance(0.4):
                self.do("collect", COLLECTOR, after=self.now(), race=False)
        if dice.chance(0.6):
            self.do(kind, lane, args, race=False)
        if kind == "manifest.put":
            self.do("image.pull", lane, repo=repo, tag=tag, race=False)

    @step("strike", steady, few_kills)
    def killed_at_a_call(self) -> None:
        power = self.can("power") and self.dice.chance(0.4)
        self.struck(self.strike("power" if power else "kill"))

    @step("strike", steady, few_kills)
    def strikes_while_a_tag_moves(self) -> None:
        """A tag moves a few times, each time struck a little later in what is stored under the tag's name; it
        has its old value or its new one after each."""
        dice, repo, lane, tag = self.dice, self.repo(), self.lane(), self.tag()
        self.do("manifest.put", lane, repo=repo, manifest=self.new_image(repo), tag=tag, race=False)
        deadly = dice.chance(0.6)
        call, first = dice.weighted(((3, "write"), (1, "rename"), (1, "any"))), dice.pick((1, 1, 2, 5))
        for nth in self.later_and_later(first):
            act: Act = "kill" if deadly else dice.pick(("enospc", "eio"))
            strike = Strike(Call(call, f"*/{tag}/*", nth), act)
            image = self.new_image(repo)
            self.do("manifest.put", lane, repo=repo, manifest=image, tag=tag, strike=strike, race=False)
            if deadly:
                self.do("restart", OPERATOR)
            self.do("manifest.get", lane, repo=repo, tag=tag, race=False)

    @step("strike", steady, few_kills)
    def strikes_while_a_blob_comes_again(self) -> None:
        """A blob that is there is pushed a few times more, each push struck a little later; it stays."""
        dice, repo, lane = self.dice, self.repo(), self.lane()
        blob = self.new_blob()
        self.push(repo, blob, lane, race=False)
        act: Act = "kill" if dice.chance(0.6) else dice.pick(("enospc", "eio"))
        call, first = dice.weighted(((3, "write"), (1, "rename"), (1, "sync"))), dice.pick((1, 2, 3))
        for nth in self.later_and_later(first):
            self.push(repo, blob, lane, strike=Strike(Call(call, "*", nth), act), race=False)
            if act == "kill":
                self.do("restart", OPERATOR)
            self.do("blob.pull", lane, repo=repo, blob=blob, race=False)

    @step("strike", steady, few_kills, lambda machine: "collect" in machine.features)
    def kills_before_collections(self) -> None:
        """Something is pushed a few times, each time killed a little later; a collector meets what that left
        behind, before anybody pushes it again."""
        dice, repo, lane = self.dice, self.repo(), self.lane()
        self.push(repo, self.new_blob(), lane, race=False)
        call, first = dice.weighted(((3, "write"), (1, "rename"), (1, "any"))), dice.pick((1, 2, 4, 6))
        image = self.new_image(repo) if dice.chance(0.5) else None
        for nth in self.later_and_later(first):
            strike = Strike(Call(call, "*", nth), "kill")
            if image is not None:
                self.do("manifest.put", lane, repo=repo, manifest=image, strike=strike, race=False)
            else:
                self.push(repo, self.new_blob(), lane, strike=strike, race=False)
            self.do("restart", OPERATOR)
            self.do("collect", COLLECTOR, after=self.now(), race=False)

    @step("strike", steady)
    def fails_at_a_call(self) -> None:
        strike = self.strike(self.dice.pick(ERRORS))
        self.struck(Strike(strike.at, strike.act, self.dice.chance(0.4)))

    # --- disks ----------------------------------------------------------------------------------------------

    def meanwhile(self) -> None:
        """What clients do while something is wrong, and again when it is over."""
        repo, tag, begun = self.repo(), self.tag(), self.now()
        blob = self.new_blob()
        tried = [self.push(repo, blob, after=begun, race=False)]
        found = self.placed()
        if found is not None and self.dice.chance(0.6):
            tried.append(self.do("blob.pull", after=begun, repo=found[0], blob=found[1], race=False))
        held = self.held()
        if held is not None and self.dice.chance(0.5):
            args: dict[str, Arg | None] = {"repo": held[0], "manifest": held[1], "tag": tag}
            tried.append(self.do("manifest.put", None, args, after=begun, race=False))
        self.do("heal", OPERATOR, after=tried)
        self.push(repo, blob, after=self.now(), race=False)

    @step("disk", steady)
    def full(self) -> None:
        self.do("disk.full", OPERATOR, after=self.now(), free=self.dice.pick(FREE_BYTES))
        self.meanwhile()

    @step("disk", steady)
    def read_only(self) -> None:
        self.do("disk.readonly", OPERATOR, after=self.now())
        self.meanwhile()

    @step("damage", steady, has_blob)
    def damage(self) -> None:
        """What is stored of a blob, or of a tag, is damaged; a push of the right bytes has to heal it."""
        dice = self.dice
        found = self.placed()
        assert found is not None
        repo, blob = found
        if (self.draft.blob_size_bytes(blob) or 0) == 0:
            return
        if dice.chance(0.5):
            self.do("disk.flip", OPERATOR, after=self.now(), blob=blob, at=0)
        else:
            self.do("disk.cut", OPERATOR, after=self.now(), blob=blob, size=0)
        if dice.chance(0.5):
            self.do("blob.pull", after=self.now(), repo=repo, blob=blob, race=False)
        self.push(repo, blob, after=self.now(), race=False)
        self.do("blob.pull", repo=repo, blob=blob, race=False)

    @step("damage", steady, has_manifest)
    def damage_manifest(self) -> None:
        """What is stored of a manifest is damaged; a collection spares all others, and a push heals it."""
        dice = self.dice
        found = self.held()
        assert found is not None
        repo, manifest = found
        if dice.chance(0.6):
            other = self.new_image(repo)
            self.do("manifest.put", repo=repo, manifest=other, tag=self.tag(), race=False)
        if dice.chance(0.5):
            self.do("disk.flip", OPERATOR, after=self.now(), manifest=manifest, at=0)
        else:
            self.do("disk.cut", OPERATOR, after=self.now(), manifest=manifest, size=0)
        if "collect" in self.features and dice.chance(0.7):
            self.do("collect", COLLECTOR, after=self.now(), race=False)
        self.do("manifest.put", after=self.now(), repo=repo, manifest=manifest, race=False)
        self.do("image.pull", repo=repo, manifest=manifest, race=False)

    # --- limits and weather ---------------------------------------------------------------------------------

    @step("limits", steady)
    def few_files(self) -> None:
        self.do("limit", OPERATOR, after=self.now(), what="files", value=self.dice.pick((0, 3, 12, 24)))
        self.meanwhile()

    @step("limits", steady)
    def little_memory(self) -> None:
        self.do("limit", OPERATOR, after=self.now(), what="memory", value=self.dice.pick((0, 16, 128)))
        self.meanwhile()

    @step("slow", steady)
    def slow_disk(self) -> None:
        self.do("disk.slow", OPERATOR, after=self.now(), ms=self.dice.pick((1, 10)))
        self.meanwhile()

    @step("pause", alive, steady, lambda machine: machine.can("unplug"))
    def unplugged(self) -> None:
        """The network is disconnected for a while."""
        self.do("net.unplug", OPERATOR, after=self.now())
        self.meanwhile()

    @step("weather", alive, steady)
    def weather(self) -> None:
        """A toxic on the wire for a while."""
        dice = self.dice
        toxic = dice.pick(tuple(TOXICS))
        side = "backend" if self.can("net.backend") and dice.chance(0.75) else None
        stream = dice.pick((None, "up", "down"))
        args: dict[str, Arg | None] = {"toxic": toxic, "value": dice.pick(TOXICS[toxic]), "side": side}
        if can_patch(self) and dice.chance(0.7 if "sessions" in self.features else 0.4):
            self.upload_through({**args, "stream": stream})
        else:
            self.do("net", OPERATOR, {**args, "stream": stream}, after=self.now())
            self.meanwhile()

    def upload_through(self, net: dict[str, Arg | None]) -> None:
        """An upload that begins before the weather, goes on in it, and ends after it: where it is then, it
        says itself.  Half of the time the weather ends a connection in the middle of the bytes."""
        dice = self.dice
        session = self.start_session(self.new_blob(dice.pick(HELD_SIZES)))
        size = self.session_size(session)
        first = dice.pick((0, 1, size // 3))
        if dice.chance(0.5):
            net = {**net, "toxic": "limit_data", "value": size // dice.pick((2, 3, 4)), "stream": "up"}
        if first:
            self.patch(session, first)
        self.do("net", OPERATOR, net, after=self.now())
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name}
        sent: dict[str, Arg | None] = {**names, "blob": session.blob, "first": first, "size": size - first}
        wet = self.do("upload.patch", session.lane, sent, after=self.now(), race=False)
        self.do("heal", OPERATOR, after=[wet])
        self.resume_session(names, session.blob, size, dice.pick((size, first)))
        session.open = False
