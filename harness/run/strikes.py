"""Strikes and holds at system calls: an operation's, from its begin to its end."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from harness.faults.syscall import ANY, Armed, Gate, Rule
from harness.plan.operation import Operation
from harness.run.journal import Journal
from harness.run.lives import Lives
from harness.run.marks import Marks

SPARE_S = 5.0
"""The gate lets a held call go so long after we should have."""


@dataclass
class CallStops:
    """Arms what an operation says about system calls. ``gate`` `None`: there is none, and nothing is
    delivered."""

    op: Operation
    journal: Journal
    marks: Marks
    lives: Lives
    gate: Gate | None
    hold_limit_s: float
    struck: int | None = None
    """Which life of the registry the strike ended."""
    _armed: Armed | None = None
    _waiter: threading.Thread | None = None
    _held: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Before the operation's first request."""
        op = self.op
        if self.gate is None:
            return
        if op.strike is not None:
            at = op.strike.at
            wanted = Rule(op.strike.act, at.call, at.path, at.nth, self._by, sticky=op.strike.rest)
            self._armed = self.gate.arm(wanted, self._struck, self._strikes)
        elif op.hold is not None and op.hold.call is not None:
            at = op.hold.call
            wanted = Rule("hold", at.call, at.path, at.nth, self._by, limit_s=self.hold_limit_s + SPARE_S)
            self._armed = self.gate.arm(wanted, self._on_hold)

    @property
    def _by(self) -> str:
        """Whose calls are meant."""
        return "collector" if self.op.do == "collect" else ANY

    def _strikes(self, armed: Armed) -> None:
        """In the gate's thread, right before it happens."""
        act = armed.rule.act
        if self.op.deadly:
            self.struck = self.lives.count
            self.journal.control("power" if act == "power" else "kill", self.op.id, self.op.lane)

    def _struck(self, armed: Armed) -> None:
        act = armed.rule.act
        if self.op.deadly:
            self.journal.control("killed", self.op.id, self.op.lane)
        self.journal.control("fault.delivered", self.op.id, self.op.lane, fault=act, **_place(armed))

    def _on_hold(self, armed: Armed) -> None:
        self.journal.control("op.held", self.op.id, self.op.lane, **_place(armed))
        self.marks.reach(f"{self.op.id}.held")
        self._waiter = threading.Thread(target=self._let_go, args=(armed,), daemon=True)
        self._waiter.start()

    def _let_go(self, armed: Armed) -> None:
        hold = self.op.hold
        assert hold is not None
        missing = self.marks.wait([hold.until], self.hold_limit_s)
        if missing is None:
            self.journal.control("fault.delivered", self.op.id, self.op.lane, fault="hold")
        else:
            why = f"held {self.hold_limit_s:g} s without {missing!r}"
            self.journal.control("limit", self.op.id, self.op.lane, why=why)
        self.journal.control("op.released", self.op.id, self.op.lane)
        armed.release()

    def finish(self) -> None:
        """After the operation; says what was not delivered."""
        op, armed = self.op, self._armed
        strike = op.strike is not None
        if not strike and (op.hold is None or op.hold.call is None):
            return
        if self._waiter is not None:
            self._waiter.join(self.hold_limit_s + SPARE_S)
        if armed is not None:
            # A client may see its connection break before the gate has seen the registry's end.
            if armed.matched >= armed.rule.nth:
                armed.wait(self.hold_limit_s)
            armed.disarm()
        if armed is None or not armed.hit.is_set():
            seen = "there is no gate" if armed is None else f"only {armed.matched} such calls were made"
            fault = op.strike.act if op.strike is not None else "hold"
            self.journal.control("fault.missed", op.id, op.lane, fault=fault, why=seen)
        elif armed.trouble is not None:
            self.journal.control("trouble", op.id, op.lane, why=armed.trouble)


def _place(armed: Armed) -> dict[str, object]:
    """Where it was: the call, and the path below the storage folder."""
    point = armed.point
    return {} if point is None else {"n": point.n, "call": point.call, "path": point.path}
