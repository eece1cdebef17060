"""Cuts and holds of one operation, turned into stops of its HTTP exchanges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from harness.plan.operation import Operation, Place
from harness.run.journal import Journal
from harness.run.marks import Marks
from harness.wire import Stop

Act = Literal["go", "close", "reset", "half"]


@dataclass
class OperationStops:
    """Counts the exchanges of an operation and hands each the stops that belong to it."""

    op: Operation
    journal: Journal
    marks: Marks
    hold_limit_s: float
    cut_done: str | None = None
    held: bool = False
    inexact: str | None = None
    """Why something may go on although it is held; such a hold does not count as delivered."""
    _methods: Counter[str] = field(default_factory=Counter)
    _lines: int = 0

    def stops(self, method: str, has_body: bool) -> tuple[Stop, ...]:
        """The stops of the next exchange."""
        self._methods[method.lower()] += 1
        if has_body:
            self._methods[""] += 1
        found = []
        if self.op.cut and self.cut_done is None and self._matches(self.op.cut.place, method, has_body):
            place = self.op.cut.place
            found.append(Stop(place.part, place.at_bytes, self._cut))
        if self.op.hold and self.op.hold.place and not self.held:
            place = self.op.hold.place
            if self._matches(place, method, has_body):
                found.append(Stop(place.part, place.at_bytes, self._hold))
        return tuple(found)

    def _matches(self, place: Place, method: str, has_body: bool) -> bool:
        if place.on == "" and not has_body:
            return (
                place.part != "body" and self._methods[""] == 0 and sum(self._methods.values()) == place.nth
            )
        if place.on not in ("", method.lower()):
            return False
        return self._methods[place.on] == place.nth

    def _cut(self) -> Act:
        assert self.op.cut is not None
        self.cut_done = self.op.cut.how
        self.journal.control("fault.delivered", self.op.id, self.op.lane, fault="cut", how=self.op.cut.how)
        return self.op.cut.how

    def _hold(self) -> Act:
        self.hold_here()
        return "go"

    def hold_here(self) -> None:
        """Stand still until the hold's mark is reached, or its limit runs out."""
        hold = self.op.hold
        assert hold is not None
        self.held = True
        self.journal.control("op.held", self.op.id, self.op.lane)
        self.marks.reach(f"{self.op.id}.held")
        missing = self.marks.wait([hold.until], self.hold_limit_s)
        if missing is None and self.inexact is not None:
            self.journal.control("fault.missed", self.op.id, self.op.lane, fault="hold", why=self.inexact)
        elif missing is None:
            self.journal.control("fault.delivered", self.op.id, self.op.lane, fault="hold")
        else:
            self.journal.control(
                "limit", self.op.id, self.op.lane, why=f"held {self.hold_limit_s:g} s without {missing!r}"
            )
        self.journal.control("op.released", self.op.id, self.op.lane)

    def line_gate(self, matches: Callable[[str], bool]) -> Callable[[str], None]:
        """For a collector: writes down each line, and holds at the one that the plan names."""

        def gate(line: str) -> None:
            self.journal.control("collect.line", self.op.id, self.op.lane, text=line)
            if self.op.hold is None or self.held or not matches(line):
                return
            self._lines += 1
            if self._lines == self.op.hold.nth:
                self.hold_here()

        return gate

    def finish(self) -> None:
        """Say which faults were not delivered."""
        if self.op.cut and self.cut_done is None:
            why = f"byte {self.op.cut.place.at_bytes} of the {self.op.cut.place.part} was never reached"
            self.journal.control("fault.missed", self.op.id, self.op.lane, fault="cut", why=why)
        if self.op.hold and self.op.hold.call is None and not self.held:
            why = (
                f"line {self.op.hold.line!r} was never printed" if self.op.hold.line else "byte never reached"
            )
            self.journal.control("fault.missed", self.op.id, self.op.lane, fault="hold", why=why)
