"""Replaying a scenario: run it, judge it, say whether what it expects showed again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.checkers.finding import Finding
from harness.history import History
from harness.plan.codec import Scenario, needs_of
from harness.run.trial import Trial
from harness.shrink.racy import misses_needed

RISK = 0.01
"""How likely a replay may miss what is there."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """``findings``: the red ones, and the one expected at any level; ``expected``: whether it is among them;
    ``undelivered``: faults that did not happen, which makes a held scenario inconclusive; ``skipped``: why it
    cannot be carried out against this target, ``""`` where it was."""

    findings: tuple[Finding, ...]
    expected: bool
    undelivered: tuple[str, ...]
    skipped: str
    history: History | None

    def words(self) -> str:
        lines = [f"{f.property} {f.level} ({f.clause}): {f.title}\n{f.explanation}" for f in self.findings]
        return "\n\n".join(lines)


def tries(scenario: Scenario) -> int:
    """How often to replay a scenario to see what it expects, where the defect is present: it is missed with
    `RISK`, if it shows a little less often than the rate in the file, which may have been luck."""
    told = re.fullmatch(r"(\d+) of (\d+)", scenario.rate or "")
    if told is None or not int(told[1]):
        return 1
    return misses_needed(int(told[1]) / (int(told[2]) + 1), RISK)


def lacking(trial: Trial, scenario: Scenario) -> str:
    """Why a scenario cannot be carried out, ``""`` where it can."""
    wanted = dict.fromkeys((*scenario.needs, *needs_of(scenario.plan)))
    missing = [need for need in wanted if not trial.abilities.can(need)]
    return f"{trial.target.name} lacks: {', '.join(missing)}" if missing else ""


def replay(trial: Trial, scenario: Scenario) -> Replayed:
    """One execution."""
    why = lacking(trial, scenario)
    if why:
        return Replayed((), False, (), why, None)
    history = trial.run(scenario.plan)
    findings = trial.found(history)
    expected = [f for f in findings if matches(scenario, f)]
    shown = [f for f in findings if f.red or f in expected]
    missed = tuple(
        str(c.data.get("why", c.data.get("fault", ""))) for c in history.what("fault.missed", "limit")
    )
    return Replayed(tuple(shown), bool(expected), missed, "", history)


def matches(scenario: Scenario, finding: Finding) -> bool:
    """Whether a finding is the one that the scenario stands for."""
    expect = scenario.expect
    if expect is None:
        return finding.red
    return finding.property == expect.property and (not expect.check or finding.check == expect.check)
