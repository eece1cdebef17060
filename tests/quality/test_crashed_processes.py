"""The reference in a process of its own, unmodified, killed right before its system calls take effect.

``seatrial enumerate`` does this at every one of them, and cuts the power there; here it is a sample, spread
evenly over each plan, and every one with ``SEATRIAL_CRASH_POINTS=all``. The harness' own checkers judge what
is there afterwards. All steps, one by one, are gone through in test_crash_points.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import scenarios
from harness.plan.codec import load
from harness.run.enumerate import NotEnumerable, check, crashes, spots
from harness.run.options import Options
from harness.run.trial import Trial, open_trial

PLANS = sorted((Path(scenarios.__file__).parent / "crash").glob("*.toml"))
SAMPLE = 12


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    opened = open_trial(Options(target_file="reference"))
    yield opened
    opened.close()


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_killed_process(trial: Trial, plan: Path, record_property: Callable[[str, object], None]) -> None:
    scenario = load(plan.read_text(), str(plan))
    try:
        check(trial, scenario.plan, ("kill",))
    except NotEnumerable as reason:
        pytest.skip(str(reason))
    points = spots(trial, scenario.plan)
    if os.environ.get("SEATRIAL_CRASH_POINTS") != "all":
        points = points[:: max(1, len(points) // SAMPLE)]
    found = list(crashes(trial, scenario.plan, points, ("kill",), lambda line: None))
    record_property("points", len(points))
    missed = [crash for crash in found if crash.missed]
    assert len(found) == len(points) > 0
    assert len(missed) * 4 < len(found), missed[0].missed
    for crash in found:
        told = [f"{one.property} {one.title}: {one.explanation}" for one in crash.findings]
        assert told == [], crash.scenario.about
