"""Single requests of the protocol table."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from hypothesis.strategies import DataObject, SearchStrategy, data

from harness.checkers.protocol.cases import CASES
from harness.history import Abilities
from harness.machines.base import PlanMachine, step
from harness.machines.uploads import UploadRules
from harness.plan.operation import Arg

Requests = SearchStrategy[tuple[str, dict[str, Any]]]


@cache
def requests_for(abilities: Abilities) -> Requests | None:
    """Names of cases with the inputs that they take; ``None`` where there is no such table."""
    try:
        module = import_module("harness.machines.requests")
    except ImportError:
        return None
    found: Requests = module.requests(abilities)
    return found


def has_requests(machine: PlanMachine) -> bool:
    return requests_for(machine.scope.abilities) is not None


class RequestRules(UploadRules):
    """Feature: ``requests``."""

    @step("requests", has_requests, draws=data())
    def request(self, draws: DataObject) -> None:
        """One or two requests of the table, mostly about what is there."""
        cases = requests_for(self.scope.abilities)
        assert cases is not None
        for _ in range(self.dice.number(1, 2)):
            name, args = draws.draw(cases)
            self.send(name, args)

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
