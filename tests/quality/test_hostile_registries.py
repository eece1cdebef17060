"""Whatever a registry does, a run ends, says what happened, and keeps its history."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.run.journal import read
from tests.quality import hostile
from tests.quality.hostile import Hostile

ROOT = Path(__file__).resolve().parents[2]


def trials(url: str, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "harness/test_listing.py", "--target", url, "--budget", "4s",
            "--out", str(out), "-q", "-p", "no:cacheprovider", *more,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize(
    "act",
    [hostile.garbage, hostile.endless, hostile.close_at_once, hostile.circles, hostile.half, hostile.hang],
)
def test_a_run_against_a_hostile_registry_ends_with_an_account(
    act: Callable[..., None], tmp_path: Path
) -> None:
    registry = Hostile(act)
    try:
        ran = trials(registry.url, tmp_path)
    finally:
        registry.close()
    assert ran.returncode == 1, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert "Traceback" not in ran.stdout
    document = json.loads((tmp_path / "findings.json").read_text())
    assert document["findings"] or any(p["status"] != "held" for p in document["properties"])
    histories = list((tmp_path / "history").glob("*.jsonl"))
    assert histories
    assert all(read(path).exchanges for path in histories)


def test_a_registry_that_hangs_from_the_start_is_refused_in_one_line(tmp_path: Path) -> None:
    registry = Hostile(hostile.hang, polite=0)
    try:
        ran = trials(registry.url, tmp_path)
    finally:
        registry.close()
    assert ran.returncode == 4
    lines = [line for line in (ran.stdout + ran.stderr).splitlines() if "seatrial: " in line]
    assert len(lines) == 1
