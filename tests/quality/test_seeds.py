"""The same seed draws the same plans, also in another process with another hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def drawn(seed: int, hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", "plans", "--family", "P6", "--seed", str(seed),
         "--count", "15"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    ).stdout  # fmt: skip


def test_plans_follow_from_the_seed() -> None:
    one = drawn(1, "1")
    assert len(one.splitlines()) >= 15
    assert one == drawn(1, "2")
    assert one != drawn(2, "1")
