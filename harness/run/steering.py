"""Steering away from what is known, so that one loud defect does not hide ten quiet ones.

What is drawn stays a pure function of the seed; a drawn plan is trimmed before it runs: where a plan has an
operation that is like the last one of a known finding's witness, that operation is left out of three plans
in four. The fourth keeps it, for what else it may show. What is only advised is not steered around: it would
hide what is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.checkers.finding import LOUD, Finding
from harness.plan.operation import Operation
from harness.plan.plan import Plan

STEERABLE = frozenset(
    {
        "upload.patch",
        "upload.finish",
        "upload.status",
        "tags.list",
        "referrers.list",
        "collect",
        "request",
        "manifest.delete",
        "blob.delete",
        "tag.delete",
    }
)
"""Kinds that can be left out of a plan without making the rest of it pointless."""


def features(op: Operation) -> frozenset[str]:
    """What is special about an operation: its kind and the names of its arguments, its case, its faults."""
    found = {op.do, *(f"{op.do}:{name}" for name in op.args)}
    if "case" in op.args:
        found.add(f"case={op['case']}")
    if op.cut:
        found.add("cut")
    if op.hold:
        found.add("hold")
    if op.strike:
        found.add(f"strike={op.strike.act}")
    if op.get("untagged"):
        found.add("untagged")
    return frozenset(found)


@dataclass
class Steering:
    """``known``: features of operations that ended a known finding's witness."""

    known: set[frozenset[str]] = field(default_factory=set)

    def learn(self, plan: Plan, finding: Finding) -> None:
        if finding.level not in LOUD:
            return
        ids = [id_ for id_ in finding.witness if id_ in plan and plan[id_].do in STEERABLE]
        if ids:
            self.known.add(features(plan[ids[-1]]))

    def trim(self, plan: Plan) -> Plan:
        """The plan without what is known, or as it is in one plan of four (by its digest)."""
        if not self.known or int(plan.digest[:2], 16) % 4 == 0:
            return plan
        gone = {op.id for op in plan if op.do in STEERABLE and features(op) in self.known}
        if not gone or len(gone) > len(plan) // 2:
            return plan
        return plan.keep(op.id for op in plan if op.id not in gone)
