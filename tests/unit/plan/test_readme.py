"""The examples in the README are what they say."""

from __future__ import annotations

import re
from pathlib import Path

from harness.plan.codec import load
from harness.targets.description import parse_description

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_examples_can_be_read() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    scenario, target = blocks
    assert len(load(scenario, "README.md").plan.check()) == 4
    assert parse_description(target, "ours", "README.md").collector is not None


def test_every_scenario_of_the_collection_can_be_read() -> None:
    paths = sorted((README.parent / "scenarios").rglob("*.toml"))
    assert len(paths) >= 12
    for path in paths:
        scenario = load(path.read_text(), path.name)
        assert scenario.plan.check()
        assert scenario.about, path
        assert len(scenario.plan) <= 8, path
