"""Single requests of the protocol table."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from harness.machines.base import LIMIT, ROLLS, PlanMachine


class RequestRules(PlanMachine):
    """Feature: ``requests``."""

    @precondition(lambda machine: "requests" in machine.features and machine.cases() is not None)
    @rule(roll=ROLLS, data=st.data())
    def request(self, roll: int, data: st.DataObject) -> None:
        """One to three requests of the table, about what is there."""
        self.dice.feed(roll)
        cases = self.cases()
        if cases is None or len(self.draft) >= LIMIT:
            return
        for _ in range(self.dice.number(1, 3)):
            case, args = data.draw(cases)
            self.do("request", None, {**args, "case": case, **self.objects(args)}, race=False)

    def cases(self) -> st.SearchStrategy[tuple[str, dict[str, Any]]] | None:
        return None
