"""The examples in the README are what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from harness.plan.codec import load, needs_of
from harness.targets.description import parse_description
from reference_impl.commands import cli
from reference_impl.configuration import load as load_settings
from reference_impl.setting_keys import KEYS

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_examples_can_be_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    scenario, struck, target, container, settings = blocks
    assert len(load(scenario, "README.md").plan.check()) == 4
    assert needs_of(load(struck, "README.md").plan.check()) == ("collect", "syscall")
    assert parse_description(target, "ours", "README.md").collector is not None
    assert parse_description(container, "boxed", "README.md").container is not None
    file = tmp_path / "registry.toml"
    file.write_text(settings)
    found = load_settings(str(file))
    written = [line.split("=")[0].strip() for line in settings.splitlines() if line[:1].isalpha()]
    keys = [key for key in KEYS if found.source(key) != "default"]
    assert sorted(key.rpartition(".")[2] for key in keys) == sorted(written)


def test_the_commands_can_be_given() -> None:
    """As far as their options go: ``--help`` behind them is as good as running them."""
    commands = re.findall(r"^python -m reference_impl ([^#\n]*)", README.read_text(), re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        assert cli.main([*shlex.split(command), "--help"], standalone_mode=False) == 0


def test_every_scenario_of_the_collection_can_be_read() -> None:
    paths = sorted((README.parent / "scenarios").rglob("*.toml"))
    assert len(paths) >= 12
    for path in paths:
        scenario = load(path.read_text(), path.name)
        assert scenario.plan.check()
        assert scenario.about, path
        assert len(scenario.plan) <= 8, path
