"""Collector runs: while nothing else writes, or held between marking and removing."""

from __future__ import annotations

from harness.machines.base import COLLECTOR, OPERATOR, PlanMachine, steady, step
from harness.machines.blobs import has_blob
from harness.machines.manifests import ManifestRules, can_index
from harness.machines.pools import COLLECTOR_LINES
from harness.plan.content import ManifestSpec
from harness.plan.operation import Act, Call, Hold, Strike

RELEASES = ("manifest.put", "blob.mount", "blob.push", "upload.finish")
"""What had better end before a held collector goes on: whatever makes garbage live again."""


STRUCK = (1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45)
"""Which change of a collector is struck: a blob takes it about five."""


def can_untag(machine: PlanMachine) -> bool:
    return "collect-untagged" in machine.features


def can_hold(machine: PlanMachine) -> bool:
    return machine.can("hold")


def few_collections(machine: PlanMachine) -> bool:
    """Another run of the collector may find something: there are few, and things happened since the last."""
    runs = [at for at, op in enumerate(machine.draft.operations) if op.do == "collect"]
    return not runs or (len(runs) < 4 and len(machine.draft) - runs[-1] > 2)


class CollectionRules(ManifestRules):
    """Features: ``collect`` (alone), ``collect-online`` (beside other operations), ``collect-untagged``,
    ``garbage``, ``strike`` (the collector is killed, or fails), ``odd-stores`` (a collection before anything
    is there), ``quiet``."""

    def begin(self) -> None:
        if "odd-stores" in self.features and "collect" in self.features and self.dice.chance(0.4):
            self.collect_alone()
        super().begin()
        if {"collect", "indexes"} <= self.features and can_index(self) and self.dice.chance(0.35):
            self.around_an_index()
        if "collect-online" in self.features and can_hold(self) and self.dice.chance(0.5):
            if not self.draft.held:
                repo = self.repo()
                self.put(repo, self.new_image(repo))
            self.stand_still_collecting()

    def untagged_flag(self) -> bool | None:
        return True if can_untag(self) and self.dice.chance(0.5) else None

    def collect_alone(self) -> str:
        return self.do("collect", COLLECTOR, untagged=self.untagged_flag(), race=False)

    @step("collect", steady, few_collections)
    def collect(self) -> None:
        """The collector alone; then perhaps everything is read back, or what may be gone comes again."""
        if self.dice.chance(0.35):
            self.leave_garbage()
        draft = self.draft
        before = [*draft.held]
        self.collect_alone()
        if self.dice.chance(0.3):
            self.do("quiet", OPERATOR)
        if before and self.dice.chance(0.3):
            repo, manifest = self.dice.recent(before)
            self.do("image.pull", repo=repo, manifest=manifest)

    @step("collect", steady, few_collections)
    def collect_twice(self) -> None:
        """Push, collect, push the same again, collect again: what came back has to stay."""
        repo = self.repo()
        blob = self.new_blob()
        self.push(repo, blob)
        self.collect_alone()
        self.push(repo, blob)
        if self.dice.chance(0.6):
            image = self.draft.new_manifest(ManifestSpec("image", blob, docker=self.docker()))
            put = self.do("manifest.put", repo=repo, manifest=image, tag=self.tag(), race=False)
            if self.dice.chance(0.5):
                self.collect_alone()
            self.do("image.pull", repo=repo, manifest=image, race=False, after=(put,))

    @step("collect", steady, few_collections, can_index)
    def collect_around_an_index(self) -> None:
        self.around_an_index()

    def around_an_index(self) -> None:
        """Children that nothing but an index names, which another index may name: every run of the collector
        has to keep them."""
        repo, lane = self.repo(), self.lane()
        children = []
        for _ in range(self.dice.number(1, 2)):
            children.append(self.new_image(repo))
            self.do("manifest.put", lane, repo=repo, manifest=children[-1], race=False)
        index = self.draft.new_manifest(ManifestSpec("index", children=tuple(children), docker=self.docker()))
        if "nested" in self.features and self.dice.chance(0.6):
            self.do("manifest.put", lane, repo=repo, manifest=index, race=False)
            index = self.draft.new_manifest(ManifestSpec("index", children=(index,), docker=self.docker()))
        self.do("manifest.put", lane, repo=repo, manifest=index, tag=self.tag(), race=False)
        run = self.do("collect", COLLECTOR, untagged=True if can_untag(self) else None, race=False)
        self.do("image.pull", lane, repo=repo, manifest=index, race=False, after=(run,))

    @step("garbage")
    def garbage(self) -> None:
        self.leave_garbage()

    def leave_garbage(self) -> None:
        """Something that nothing references: a blob, an untagged manifest, a tag that moved away."""
        repo = self.repo()
        how = self.dice.number(0, 2)
        if how == 0:
            self.push(repo, self.new_blob())
        elif how == 1:
            self.do("manifest.put", repo=repo, manifest=self.new_image(repo))
        else:
            lane = self.lane()
            tag = self.tag()
            for _ in range(2):
                self.do("manifest.put", lane, repo=repo, manifest=self.new_image(repo), tag=tag)

    @step("strike", steady, few_collections, lambda machine: "collect" in machine.features)
    def collect_struck(self) -> None:
        """The collector is killed, or a call of it fails, at one of its changes; what is there then is whole;
        then it runs once more."""
        dice, repo = self.dice, self.repo()
        image = self.new_image(repo)
        self.do("manifest.put", repo=repo, manifest=image, race=False)
        act: Act = dice.pick(("kill", "kill", "kill", "enospc", "eio"))
        call = dice.pick(("any", "unlink", "rename")) if act == "kill" else "any"
        at = Call(call, "*", dice.pick(STRUCK))
        if dice.chance(0.75):  # in what is stored of one repository
            at = Call(call, f"*/{repo}/*", dice.pick((1, 1, 1, 2, 3, 5)))
        untagged = True if can_untag(self) and dice.chance(0.8) else None
        run = self.do("collect", COLLECTOR, untagged=untagged, strike=Strike(at, act), race=False)
        if dice.chance(0.7):
            self.do("image.pull", repo=repo, manifest=image, after=(run,), race=False)
        if dice.chance(0.6):
            self.collect_alone()

    @step("collect-online", steady, few_collections, can_hold)
    def collect_held(self) -> None:
        self.stand_still_collecting()

    def stand_still_collecting(self) -> None:
        """The collector stands still between marking and removing while clients go on."""
        dice = self.dice
        repo, lane = self.repo(), self.lane()
        blobs = []
        for _ in range(dice.number(1, 2)):
            blob = self.new_blob()
            self.push(repo, blob, lane, race=False)
            blobs.append(blob)
        lines = [(5.0, "marked"), (1.5, "eligible")]
        lines += [(5.0, "manifest")] if self.draft.held else []
        run = self.draft.new_id("collect")
        self.do(
            "collect",
            COLLECTOR,
            id=run,
            after=self.now(),
            hold=Hold(run, None, COLLECTOR_LINES[dice.weighted(lines)]),
            untagged=self.untagged_flag(),
            race=False,
        )
        self.draft.open_window(run, dice.pick((1, 1, 1, 2, 3, 5)), RELEASES)
        self.revive(run, repo, blobs)

    def keep_open(self, wanted: int) -> None:
        """The collector stands still for at least so many operations."""
        if self.draft.window is not None:
            self.draft.window.wanted = max(self.draft.window.wanted, wanted)

    def revive(self, run: str, repo: str, blobs: list[str]) -> None:
        """Something that makes garbage live again, or is wholly new, while the collector stands still."""
        dice = self.dice
        how = dice.weighted(((3, "put"), (4, "again"), (2, "mount"), (3, "new"), (1, "anything")))
        elsewhere = self.elsewhere(repo)
        if how == "mount" and elsewhere:
            repo, source = dice.pick(elsewhere), repo
            self.keep_open(len(blobs) + 1)
            for blob in blobs:
                self.do("blob.mount", race=False, repo=repo, blob=blob, from_=source)
        elif how == "again":
            self.keep_open(len(blobs) + 1)
            for blob in blobs:
                self.push(repo, blob, race=False)
        elif how == "new":
            self.keep_open(2)
            blobs = [self.new_blob()]
            self.push(repo, blobs[0], race=False)
        elif how == "anything":
            return
        image = self.draft.new_manifest(
            ManifestSpec("image", blobs[0], tuple(blobs[1:]), docker=self.docker())
        )
        self.do("manifest.put", race=False, repo=repo, manifest=image, tag=self.tag())
        if self.draft.window is None and dice.chance(0.85):
            self.do("image.pull", race=False, repo=repo, manifest=image, after=(run,))

    @step("collect-online", steady, few_collections, has_blob)
    def collect_beside(self) -> None:
        """The collector runs beside whatever comes next, without standing still."""
        self.do("collect", COLLECTOR, untagged=self.untagged_flag(), online=True, after=self.now(), race=True)
        for _ in range(self.dice.number(1, 2)):
            repo = self.repo()
            self.put(repo, self.new_image(repo))

    @step("quiet", steady)
    def read_back(self) -> None:
        if self.draft.last is not None and self.draft.operation(self.draft.last).do != "quiet":
            self.do("quiet", OPERATOR)
