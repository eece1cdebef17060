"""Single requests of the protocol table."""

from __future__ import annotations

from typing import Any

from harness.checkers.protocol.case import Case
from harness.checkers.protocol.cases import CASES
from harness.machines.base import PlanMachine, step
from harness.machines.requests import available, deal, inputs
from harness.machines.uploads import UploadRules
from harness.plan.operation import Arg


def has_requests(machine: PlanMachine) -> bool:
    return bool(available(machine.scope.abilities))


class RequestRules(UploadRules):
    """Feature: ``requests``."""

    def begin(self) -> None:
        """A plan that is always about requests begins with some that the plans before it had not."""
        super().begin()
        if self.family.features.get("requests") == 1:
            for case in self.dealt(self.dice.number(9, 12)):
                self.send(case.name, inputs(self.dice, case))

    def dealt(self, count: int) -> list[Case]:
        """The next cases of a deck that holds each of them once: no case has to wait for its luck."""
        deck: list[Case] = self.memory.setdefault("deck", [])
        if len(deck) < count:
            deck[:0] = sorted(available(self.scope.abilities), key=lambda _: self.dice.number(0, 1 << 30))
        return [deck.pop() for _ in range(min(count, len(deck)))]

    @step("requests", has_requests)
    def request(self) -> None:
        """Two to five requests of the table, mostly about what is there."""
        cases = available(self.scope.abilities)
        for _ in range(self.dice.number(2, 5)):
            self.send(*deal(self.dice, cases))

    def send(self, name: str, drawn: dict[str, Any]) -> None:
        """A request with the objects that its case speaks of; the session that it needs is opened for it."""
        case = CASES[name]
        fields = case.fields
        repo = self.repo()
        args: dict[str, Arg | None] = {}
        if fields & {"digest", "size"} or case.present == "blob":
            blob = self.placed()
            if blob is None:
                blob = (repo, self.new_blob(64))
                self.push(*blob, race=False)
            repo, args["blob"] = blob
        if fields & {"manifest_digest", "media_type"} or case.present == "manifest":
            held = self.held()
            if held is None:
                held = (repo, self.new_image(repo))
                self.do("manifest.put", repo=repo, manifest=held[1], race=False)
            repo, args["manifest"] = held
        if "tag" in fields:
            tags = self.draft.tags_of(repo)
            args["tag"] = self.dice.pick(tags) if tags and self.dice.chance(0.8) else self.tag()
        lane = self.lane()
        if case.session:
            session = self.start_session(self.new_blob(64), lane, repo)
            session.open = False
            args["upload"] = session.name
        if fields & {"repo", "upload"}:
            args["repo"] = repo
        self.do("request", lane, {**args, **drawn, "case": name}, race=False)
