"""What tells findings apart: while they are as they were found, and when they are shrunk."""

from __future__ import annotations

import hashlib

from harness.checkers.finding import Finding
from harness.plan.plan import Plan
from harness.report.findings_json import kinds


def raw_key(plan: Plan, finding: Finding) -> tuple[object, ...]:
    return (*finding.signature, finding.level, tuple(sorted(set(kinds(plan, finding.witness)))))


def finding_id(plan: Plan, finding: Finding) -> str:
    """Short and stable: property, check, and four digits of the shrunk form."""
    form = (*finding.signature, finding.level, tuple(sorted(set(kinds(plan, finding.witness)))))
    check = finding.check.rpartition(".")[2] or finding.check
    return f"{finding.property}-{check}-{hashlib.sha256(repr(form).encode()).hexdigest()[:4]}"
