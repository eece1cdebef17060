"""The executor: carries out a plan against a target and writes the history.

Each lane is a thread; marks order what the plan orders; everything else runs as it comes. Every wait has a
limit, and a plan that runs into one still ends with its closing part and a history.
"""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.faults import heal_all
from harness.history import Abilities, History, Promises
from harness.plan.content import Symbols
from harness.plan.operation import Lane, Operation
from harness.plan.plan import Plan, is_barrier, symbols
from harness.run.accidents import Accidents
from harness.run.caller import Caller
from harness.run.journal import Journal
from harness.run.kit import Kit
from harness.run.lives import Lives
from harness.run.marks import Marks
from harness.run.operations import CLIENT_OPERATIONS, Job
from harness.run.readback import Touched, push_again, read_back
from harness.run.shared import Shared, SilentError
from harness.run.stops import OperationStops
from harness.run.strikes import CallStops
from harness.targets.base import Target, TargetError
from harness.targets.controls import CONTROLS
from harness.wire import Client

OPERATOR: Lane = "operator"
BODY_BYTES_SPARE = 32 << 20
"""An answer may be so much larger than twice the plan's largest blob; what goes on after that is endless."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take. ``mark_s``: an operation waits so long for those before it; ``hold_s``: a
    hold; ``pause_s``: a registry stays paused; ``plan_s``: all lanes together; ``closing_s``: reading
    back at a quiet point."""

    mark_s: float = 40.0
    hold_s: float = 20.0
    pause_s: float = 2.0
    plan_s: float = 90.0
    closing_s: float = 60.0


class Executor:
    """Runs plans one at a time. ``clients`` makes a new wire client for a lane, given how many
    bytes the body of an answer may have."""

    def __init__(
        self,
        target: Target,
        abilities: Abilities,
        clients: Callable[[int], Client],
        *,
        namespace: str,
        promises: Promises | None = None,
        limits: Limits | None = None,
        kit: Kit | None = None,
    ) -> None:
        self.kit = kit or Kit()
        self.target, self.abilities, self.clients = target, abilities, clients
        self.namespace = namespace
        self.promises = promises or target.promises
        self.limits = limits or Limits()

    def run(self, plan: Plan, salt: str, *, seed: int = 0, path: Path | None = None) -> History:
        """Carry out a plan. Never raises for anything that the target does."""
        names = symbols(plan, salt, f"{self.namespace}/{salt}")
        journal = Journal(
            plan, names, self.promises, self.abilities, seed=seed, target=self.target.name, path=path
        )
        run = _Run(self, plan, names, journal)
        try:
            run.lanes()
            run.closing()
            journal.control("end")
        finally:
            run.end()
            journal.close()
        return journal.history(complete=not run.cut_short)


class _Run:
    def __init__(self, executor: Executor, plan: Plan, names: Symbols, journal: Journal) -> None:
        self.executor, self.plan, self.names, self.journal = executor, plan, names, journal
        self.target, self.limits = executor.target, executor.limits
        self.marks, self.shared = Marks(), Shared()
        self.accidents = Accidents(executor.kit, executor.target, journal, names)
        self.lives = Lives(executor.target)
        self.clients: list[Client] = []
        largest = max((names.blob_size_bytes(name) for name in names.blobs), default=0)
        self.body_bytes_max = 2 * largest + BODY_BYTES_SPARE
        self.cut_short = False

    # --- lanes ---------------------------------------------------------------------------------------------

    def lanes(self) -> None:
        threads = []
        for lane in self.plan.lanes:
            ops = [op for op in self.plan if op.lane == lane]
            thread = threading.Thread(target=self._lane, args=(ops,), name=f"lane {lane}", daemon=True)
            threads.append(thread)
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self.limits.plan_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self.journal.control("limit", why=f"the lanes did not end within {self.limits.plan_s:g} s")
            self.cut_short = True
            self.marks.give_up()
            for client in list(self.clients):
                client.close()
            for thread in threads:
                thread.join(5.0)

    def _lane(self, ops: list[Operation]) -> None:
        client = self._client()
        for op in ops:
            # What a paused registry keeps from happening must not keep it paused.
            heals = op.do == "continue"
            missing = self.marks.wait(
                self.plan.waits[op.id], self.limits.pause_s if heals else self.limits.mark_s
            )
            if missing is not None:
                why = f"{'early' if heals else 'not started'}: {missing!r} was not reached in time"
                self.journal.control("limit", op.id, op.lane, why=why)
            if missing is not None and not heals:
                self.marks.reach(op.id, f"{op.id}.held")
                continue
            stops = OperationStops(op, self.journal, self.marks, self.limits.hold_s)
            gate = self.executor.kit.gate
            calls = CallStops(op, self.journal, self.marks, self.lives, gate, self.limits.hold_s)
            calls.start()
            self.journal.control("op.start", op.id, op.lane, **self._changes())
            done = False
            try:
                done = self._perform(op, client, stops)
            except SilentError as error:
                self.journal.control("limit", op.id, op.lane, why=str(error))
                self.cut_short = True
            except TargetError as error:
                self.journal.control("trouble", op.id, op.lane, why=str(error))
            except Exception:
                self.journal.control("trouble", op.id, op.lane, why=traceback.format_exc(limit=-4))
            stops.finish()
            calls.finish()
            if calls.struck is not None:
                self._bury(op, calls.struck)
            self.journal.control("op.end", op.id, op.lane, ok=done, **self._changes())
            self.marks.reach(f"{op.id}.held", op.id)

    def _changes(self) -> dict[str, int]:
        """How many changes of the storage the gate has seen, where there is one."""
        gate = self.executor.kit.gate
        return {} if gate is None else {"changes": gate.count}

    def _client(self) -> Client:
        client = self.executor.clients(self.body_bytes_max)
        self.clients.append(client)
        return client

    def _caller(self, op: str, lane: Lane, client: Client, stops: OperationStops | None = None) -> Caller:
        return Caller(
            op, lane, client, self.journal, self.names, self.shared, self.target.url.rstrip("/"), stops
        )

    def _perform(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        if op.do in CLIENT_OPERATIONS:
            call = self._caller(op.id, op.lane, client, stops)
            job = Job(op, call, self.names, self.shared, self.executor.abilities)
            return CLIENT_OPERATIONS[op.do](job)
        if op.do in self.accidents.doers:
            return self.accidents.do(op)
        return getattr(self, f"_{op.do}")(op, client, stops)  # type: ignore[no-any-return]

    # --- what the operator and accidents do ----------------------------------------------------------------

    def _quiet(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        self.journal.control("quiet", op.id, op.lane)
        self._read_back(self._caller(op.id, op.lane, client))
        return True

    def _kill(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        self.journal.control("kill", op.id, op.lane)
        self.target.kill()
        self.journal.control("killed", op.id, op.lane)
        self.journal.control("fault.delivered", op.id, op.lane, fault="kill")
        return True

    def _bury(self, op: Operation, life: int) -> None:
        """See the end of a registry that was struck dead."""
        try:
            self.lives.bury(life)
        except TargetError as error:
            self.journal.control("trouble", op.id, op.lane, why=str(error))

    def _heal(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        trouble = self.accidents.heal()
        for why in trouble:
            self.journal.control("trouble", op.id, op.lane, why=why)
        with self.lives.lock:
            if not self.target.running():
                self.journal.control("killed", op.id, op.lane)
                self.lives.start()
                self.journal.control("started", op.id, op.lane)
        return not trouble

    def _restart(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        return self.restart(op.id, op.lane)

    def restart(self, op: str, lane: Lane) -> bool:
        with self.lives.lock:
            running = self.target.running()
            self.journal.control("stop" if running else "start", op, lane)
            if running:
                self.lives.restart()
                self.journal.control("stopped", op, lane)
            else:
                self.lives.start()
            self.journal.control("started", op, lane)
        return True

    def _pause(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        self.journal.control("pause", op.id, op.lane)
        self.target.pause()
        self.journal.control("fault.delivered", op.id, op.lane, fault="pause")
        return True

    def _continue(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        self.target.resume()
        self.journal.control("continue", op.id, op.lane)
        return True

    def _collect(self, op: Operation, client: Client, stops: OperationStops) -> bool:
        pattern = re.compile(op.hold.line) if op.hold and op.hold.line else None
        if pattern is not None and "hold" not in self.target.controls:
            stops.inexact = f"{self.target.name}: {CONTROLS['hold'].how}"
        gate = stops.line_gate(lambda line: pattern is not None and pattern.search(line) is not None)
        untagged = bool(op.get("untagged", False))
        online = not is_barrier(op)
        self.journal.control("collect.start", op.id, op.lane, untagged=untagged, online=online)
        try:
            ended = self.target.collect(untagged=untagged, gate=gate)
        except TargetError as error:
            self.journal.control("collect.end", op.id, op.lane, code=None, why=str(error))
            raise
        self.journal.control(
            "collect.end",
            op.id,
            op.lane,
            code=ended.code,
            removed=ended.removed,
            lines=list(ended.lines[-6:]),
        )
        return ended.code == 0

    # --- reading back --------------------------------------------------------------------------------------

    def _read_back(self, call: Caller) -> None:
        exchanges, _ = self.journal.snapshot()
        deadline = time.monotonic() + self.limits.closing_s
        read_back(
            call,
            self.names,
            Touched.by(exchanges, self.names),
            referrers=self.executor.abilities.can("referrers"),
            go_on=lambda: time.monotonic() < deadline,
        )

    def closing(self) -> None:
        """Heal all faults, read everything back; restart where asked, read again; push what is missing."""
        try:
            self._heal_all()
            client = self._client()
            self.journal.control("closing", "closing.read", OPERATOR, part="read")
            self._read_back(self._caller("closing.read", OPERATOR, client))
            if self.plan.closing == "restart" and "restart" in self.target.controls:
                self.journal.control("closing", "closing.restart", OPERATOR, part="restart")
                self.restart("closing.restart", OPERATOR)
                self._read_back(self._caller("closing.restart", OPERATOR, client))
            exchanges, _ = self.journal.snapshot()
            touched = Touched.by(exchanges, self.names)
            self.journal.control("closing", "closing.repush", OPERATOR, part="repush")
            push_again(self._caller("closing.repush", OPERATOR, client), self.names, touched, exchanges)
        except SilentError as error:
            self.journal.control("limit", "closing", OPERATOR, why=str(error))
            self.cut_short = True
        except TargetError as error:
            self.journal.control("trouble", "closing", OPERATOR, why=str(error))
            self.cut_short = True

    def _heal_all(self) -> None:
        dead = not self.target.running()
        for why in (*self.accidents.heal(), *heal_all(self.target)):
            self.journal.control("trouble", "closing", OPERATOR, why=why)
        last = [c.what for c in self.journal.snapshot()[1] if c.what in ("pause", "continue")][-1:]
        if last == ["pause"]:
            self.journal.control("continue", "closing", OPERATOR)
        if dead:
            self.journal.control("started", "closing", OPERATOR)

    def end(self) -> None:
        self.marks.give_up()
        for client in self.clients:
            client.close()
