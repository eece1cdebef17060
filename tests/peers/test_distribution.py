"""CNCF Distribution 2.8: its known defects show, by replay and with nothing known in advance."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.plan.codec import load
from harness.run.options import Options
from harness.run.replay import replay
from harness.run.trial import Trial, open_trial

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"
pytestmark = pytest.mark.peer("docker-registry")

CERTAIN = sorted(
    path.relative_to(SCENARIOS).as_posix()
    for path in SCENARIOS.rglob("*.toml")
    if (scenario := load(path.read_text(), str(path))).rate == "20 of 20"
    and "distribution 2.8" in scenario.about
)


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    opened = open_trial(Options(target_file="distribution-2.8"))
    yield opened
    opened.close()


def test_there_are_scenarios_to_replay() -> None:
    assert len(CERTAIN) >= 6


@pytest.mark.parametrize("name", CERTAIN)
def test_a_certain_scenario_shows_its_finding(trial: Trial, name: str) -> None:
    """Each time; but where a client vanishes, a machine with much else to do may spoil one of five, as its
    end can be noticed late."""
    path = SCENARIOS / name
    scenario = load(path.read_text(), name)
    played = [replay(trial, scenario) for _ in range(5)]
    assert not any(one.skipped for one in played)
    spare = any(op.cut for op in scenario.plan)
    assert sum(one.expected for one in played) >= 5 - spare, name


def test_a_run_with_nothing_known_in_advance_is_red(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "harness", "--target-file", "distribution-2.8",
            "--profile", "quick", "--budget", "10s", "--out", str(tmp_path), "-p", "no:cacheprovider", "-q",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    found = json.loads((tmp_path / "findings.json").read_text())
    red = {f["property"] for f in found["findings"] if f["level"] in ("must", "promise")}
    assert ran.returncode == 1, ran.stdout[-2000:]
    assert {"P1", "P6", "P7"} <= red
    for finding in found["findings"]:
        assert load(Path(finding["scenario"]).read_text(), finding["scenario"]).expect is not None
