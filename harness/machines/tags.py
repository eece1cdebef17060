"""Tags: registers that move while others read them."""

from __future__ import annotations

from harness.machines.base import PlanMachine, concurrent, steady, step
from harness.machines.manifests import ManifestRules
from harness.plan.operation import Arg


def has_tag(machine: PlanMachine) -> bool:
    return bool(machine.draft.tags)


class TagRules(ManifestRules):
    """Features: ``moves``, ``storms`` (a tag that moves to and fro while others read it), ``duels`` (two
    writers of one tag), ``unknown-tags``."""

    @step("moves", has_tag)
    def move_tag(self) -> None:
        """A tag that exists names something else, old or new; then perhaps a read from another lane."""
        repo, tag = self.dice.recent(list(self.draft.tags))
        moved = self.do("manifest.put", repo=repo, manifest=self.ready_manifest(repo), tag=tag)
        if self.dice.chance(0.5):
            lane = self.lane(self.draft.operation(moved).lane)
            self.do(self.dice.pick(("manifest.get", "manifest.head")), lane, repo=repo, tag=tag)

    @step("storms", concurrent, steady)
    def storm(self) -> None:
        """One lane moves a tag to and fro, the others read it, list it, or delete it."""
        dice, repo, tag = self.dice, self.repo(), self.tag()
        writer = self.lane()
        old, new = self.new_image(repo), self.ready_manifest(repo)
        if new == old:
            new = self.new_image(repo)
        if dice.chance(0.75):
            self.do("manifest.put", writer, race=False, repo=repo, manifest=old, tag=tag)
        before = self.draft.last_in(writer)
        times = dice.number(10, 30)
        moving = self.do(
            "manifest.put", writer, race=False, repo=repo, manifest=new, with_=old, tag=tag, times=times
        )
        ready = (*((before,) if before is not None else ()), *self.draft.operation(moving).after)
        readers = [lane for lane in range(1, self.draft.lanes + 1) if lane != writer]
        for lane in readers:
            self.read_often(lane, repo, tag, ready)

    def read_often(self, lane: int, repo: str, tag: str, ready: tuple[str, ...]) -> None:
        """Something beside a storm: it starts when the storm can start."""
        dice = self.dice
        args: dict[str, Arg | None] = {"repo": repo}
        kind = dice.weighted(
            (
                (4, "manifest.get"),
                (3, "manifest.head"),
                (1.5, "tags.list"),
                (1, "tag.delete" if "tag-delete" in self.features else "manifest.get"),
            )
        )
        if kind != "tags.list":
            args["tag"] = tag
        if kind != "tag.delete":
            args["times"] = dice.number(20, 60)
        self.do(kind, lane, args, race=True, after=ready)

    @step("duels", concurrent, steady)
    def duel(self) -> None:
        """Two lanes put different manifests to one tag, new or old, at the same time; then somebody reads."""
        dice, repo, tag = self.dice, self.repo(), self.tag()
        first, second = dice.some(range(1, self.draft.lanes + 1), 2)
        mine, other = self.new_image(repo), self.new_image(repo)
        times = dice.number(2, 8) if dice.chance(0.5) else None
        puts = [
            self.do("manifest.put", lane, race=False, repo=repo, manifest=manifest, tag=tag, times=times)
            for lane, manifest in ((first, mine), (second, other))
        ]
        self.do("manifest.get", after=puts, repo=repo, tag=tag, race=False)

    @step("unknown-tags")
    def read_unknown_tag(self) -> None:
        """A tag that may not be there, beside those that are: their prefixes and extensions."""
        repo, tag = self.repo(), self.tag()
        self.do(self.dice.pick(("manifest.get", "manifest.head")), repo=repo, tag=tag)
