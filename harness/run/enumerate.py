"""Every crash point of a plan: run it once to count its changes of the storage, then once for each of them
with a crash right before it, or with an error instead of it; recover, read everything back, judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.checkers.finding import Finding
from harness.faults.syscall.tables import ERRNOS
from harness.history import History
from harness.plan.codec import Expect, Scenario, needs_of
from harness.plan.operation import Act, Call, Operation, Strike
from harness.plan.plan import Plan
from harness.run.trial import Trial
from harness.shrink.order import concurrent
from harness.targets.base import TargetError

ACTS: tuple[Act, ...] = ("kill", "power", "enospc", "eio", "emfile")
CRASHES = frozenset({"kill", "power"})
_NEEDS: dict[Act, str] = {"kill": "kill", "power": "power"}
PROGRESS_EVERY = 25
RETRIES = 2
"""How often a point is tried again when a run does not reach it (its plan made fewer changes this time)."""


class NotEnumerable(ValueError):
    """A plan or a target that has no crash points to go through. Its text is one line."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Right before the ``nth`` change that operation ``op`` makes, a ``call`` at ``path`` (see `brief`), one
    of a ``group`` of calls."""

    op: str
    nth: int
    call: str
    path: str
    group: str = ""


def struck_by(found: list[Spot], act: Act) -> list[Spot]:
    """The spots at which something can happen: an error only where a call can fail with it, counted among
    those calls of its operation."""
    if act in CRASHES:
        return found
    numbers: Counter[str] = Counter()
    made = []
    for spot in found:
        if spot.group in ERRNOS[act].groups:
            numbers[spot.op] += 1
            made.append(replace(spot, nth=numbers[spot.op]))
    return made


@dataclass(frozen=True, slots=True)
class Crash:
    """What came of a crash at a spot. ``missed``: why it was not delivered, ``""`` where it was."""

    spot: Spot
    act: Act
    findings: tuple[Finding, ...]
    scenario: Scenario
    missed: str = ""


def check(trial: Trial, plan: Plan, acts: tuple[Act, ...]) -> None:
    """Raises `NotEnumerable`."""
    for need in ("syscall", "restart", *(_NEEDS[act] for act in acts if act in _NEEDS)):
        if not trial.abilities.can(need):
            why = "; ".join(trial.kit.missing.values()) or "see `seatrial doctor`"
            raise NotEnumerable(f"{trial.target.name}: no crash points without {need!r}: {why}")
    if pair := next(iter(concurrent(plan)), None):
        raise NotEnumerable(
            f"{pair[0]!r} and {pair[1]!r} may overlap: the changes of each could not be told apart;"
            " put them in one lane, or one after the other"
        )
    for op in plan:
        if op.strike is not None or op.cut is not None or op.hold is not None:
            raise NotEnumerable(f"{op.id!r} has a fault already; take it out")


Signatures = frozenset[tuple[str, ...]]


def usual(trial: Trial, plan: Plan) -> Signatures:
    """What is found without any crash, wherever the plan ends: no crash's doing. Raises `TargetError`."""
    ids = [op.id for op in plan]
    calm = [replace(plan, closing="restart").keep(ids[:count]) for count in range(1, len(ids) + 1)]
    return frozenset(one.signature for part in calm for one in trial.findings(part) if one.red)


def spots(trial: Trial, plan: Plan) -> list[Spot]:
    """The changes that a plan makes, in order, by running it once. Raises `TargetError`."""
    gate = trial.kit.gate
    assert gate is not None
    trial.target.restart()  # as it will be for each crash: what a registry remembers, it need not do again
    before = gate.count
    history = trial.run(plan)
    points = {point.n: point for point in gate.points(before)}
    found = []
    for op in plan:
        first, last = (_changes(history, op.id, what) for what in ("op.start", "op.end"))
        for nth, n in enumerate(range(first + 1, last + 1), 1):
            if n in points:
                path = brief(points[n].path, history.symbols.prefix)
                found.append(Spot(op.id, nth, points[n].call, path, points[n].group))
    return found


def brief(path: str, prefix: str) -> str:
    """A path below the storage folder, without what is different in each run."""
    path = path.replace(f"{prefix}/", "").replace(prefix, "‹namespace›").removeprefix("docker/registry/v2/")
    for pattern, short in _BRIEF:
        path = re.sub(pattern, short, path)
    return path


_BRIEF = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "‹session›"),
    (r"(?<=/)[0-9a-f]{32}(?=/|$)", "‹temporary›"),
    (r"/[0-9a-f]{2}/(?=[0-9a-f]{64})", "/"),
    (r"([0-9a-f]{7})[0-9a-f]{25,}", r"\1…"),
)


def _changes(history: History, op: str, what: str) -> int:
    """How many changes the gate had counted by then."""
    control = next(control for control in history.what(what) if control.op == op)
    return int(control.data["changes"])


def struck(plan: Plan, spot: Spot, act: Act) -> Plan:
    """The plan up to a crash at a spot, and the recovery; or up to an error, and the same operation again."""
    kept: list[Operation] = []
    for op in plan:
        if op.id == spot.op:
            kept.append(replace(op, strike=Strike(Call(nth=spot.nth), act)))
            break
        kept.append(op)
    taken = {op.id for op in kept}
    if act in CRASHES:
        kept.append(Operation(_free("restart", taken), "operator", "restart"))
    else:
        again = plan[spot.op]
        if again.do == "manifest.put":  # whose name is that of the operation where none is given
            again = replace(again, args={"manifest": again.id, **again.args})
        kept.append(replace(again, id=_free(f"{spot.op}-again", taken), after=(spot.op,)))
    ids = {op.id for op in kept}
    kept = [replace(op, after=tuple(mark for mark in op.after if mark in ids)) for op in kept]
    return replace(plan, operations=tuple(kept), closing="restart").check()


def _free(name: str, taken: set[str]) -> str:
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, 1000))) if each not in taken)


def crashes(
    trial: Trial,
    plan: Plan,
    found: list[Spot],
    acts: tuple[Act, ...],
    progress: Callable[[str], None],
    left_out: Signatures = frozenset(),
) -> Iterator[Crash]:
    """A crash of each kind at each spot; findings that are ``left_out`` are no crash's doing. Raises
    `TargetError` when the target does not come back."""
    hurt = 0
    for act in acts:
        here = struck_by(found, act)
        for number, spot in enumerate(here, 1):
            crash = _crash(trial, plan, spot, act, left_out)
            hurt += bool(crash.findings)
            yield crash
            if number % PROGRESS_EVERY == 0:
                progress(f"{act}: {number} of {len(here)} points tried; {hurt} violate something so far")


_WORDS: dict[Act, str] = {
    "kill": "kill right before",
    "power": "power cut right before",
    "enospc": "no space left (ENOSPC) for",
    "eio": "an error of the disk (EIO) in",
    "emfile": "too many open files (EMFILE) in",
}


def _crash(trial: Trial, plan: Plan, spot: Spot, act: Act, left_out: Signatures) -> Crash:
    candidate = struck(plan, spot, act)
    missed = ""
    for _ in range(1 + RETRIES):
        history = trial.run(candidate)
        missed = "; ".join(str(c.data.get("why", "")) for c in history.what("fault.missed", "trouble"))
        red = tuple(one for one in trial.found(history) if one.red and one.signature not in left_out)
        if red or not missed:
            break
    first = red[0] if red else None
    title = first.title if first else "nothing is lost"
    scenario = Scenario(
        title=title,
        plan=candidate,
        needs=needs_of(candidate),
        expect=None if first is None else Expect(first.property, first.witness, first.check, first.clause),
        about=f"{_WORDS[act]} {spot.call} of {spot.path},"
        f" change {spot.nth} of {spot.op}, on {trial.target.name}",
    )
    if not trial.target.running():
        raise TargetError(f"{trial.target.name} did not come back after: {scenario.about}")
    return Crash(spot, act, red, scenario, missed)
