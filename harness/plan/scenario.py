"""Scenarios: plans that are kept, and what else a file says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.plan.content import BlobSpec
from harness.plan.kinds import KINDS
from harness.plan.plan import Plan

VERSION = 1
"""Of the file format."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What a replay shows where the defect is present: the fields of a finding."""

    property: str
    witness: tuple[str, ...] = ()
    check: str | None = None
    clause: str | None = None


@dataclass(frozen=True)
class Scenario:
    """A plan that is kept. ``needs``: the controls and abilities without which it cannot be replayed.
    ``about``: one line, which real defect it stands for, and the source. ``rate``: how often it failed when
    it was found, ``"10/10"``. ``seed``: of the run that found it."""

    title: str
    plan: Plan
    needs: tuple[str, ...] = ()
    expect: Expect | None = None
    about: str = ""
    rate: str | None = None
    seed: int | None = None


def needs_of(plan: Plan) -> tuple[str, ...]:
    """The controls and abilities that a plan's operations need, in the order in which they come up."""
    needs: dict[str, None] = {}
    for op in plan:
        gated = op.strike is not None or (op.hold is not None and op.hold.call is not None)
        deadly = op.strike.act if op.strike is not None and op.strike.act in ("kill", "power") else ""
        wanted = (KINDS[op.do].needs, "syscall" if gated else "", deadly)
        needs.update(dict.fromkeys(need for need in wanted if need))
    return tuple(needs)


def canonical(plan: Plan) -> Plan:
    """The plan as it comes back from a file: definitions that say no more than the default are left out, and
    so is the count of a hold at a byte (its place counts)."""
    operations = tuple(
        replace(op, hold=replace(op.hold, nth=1)) if op.hold and op.hold.place else op for op in plan
    )
    blobs = {name: spec for name, spec in plan.blobs.items() if spec != BlobSpec()}
    return replace(plan, operations=operations, blobs=blobs)
