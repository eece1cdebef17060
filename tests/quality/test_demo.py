"""The demo finds what it shows, explains it, and says how to see it again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.demo import SHOWN
from reference_impl.defects import DEFECTS

ROOT = Path(__file__).resolve().parents[2]


def seatrial(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_found_and_replays(name: str, tmp_path: Path) -> None:
    ran = seatrial("demo", name, "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert DEFECTS[name].title in ran.stdout
    assert " ● " in ran.stdout, "the operations that prove it are drawn"
    line = next(line for line in ran.stdout.splitlines() if line.strip().startswith("seatrial replay"))
    again = seatrial(*shlex.split(line)[1:])
    assert again.returncode == 1, again.stdout + again.stderr
    assert re.search(r"reproduced 1 of 1", again.stdout)


def test_one_is_picked_where_none_is_named(tmp_path: Path) -> None:
    ran = seatrial("demo", "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert any(f"{name}: " in ran.stdout for name in SHOWN)


def test_all_are_listed() -> None:
    ran = seatrial("demo", "--list")
    assert ran.returncode == 0
    assert all(name in ran.stdout for name in DEFECTS)


def test_an_unknown_one_is_one_line() -> None:
    ran = seatrial("demo", "tag-link-truncate")
    assert ran.returncode == 4
    assert "did you mean 'tag-link-truncated'?" in ran.stderr
    assert ran.stderr.count("\n") == 1
