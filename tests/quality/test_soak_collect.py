"""A short soak: registry and collector as two processes; the long one is ``tests/bench/soak_collect.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.soak_collect import Plan, Soak


@pytest.mark.parametrize("kill_collector", [False, True])
def test_nothing_acknowledged_is_lost(kill_collector: bool, tmp_path: Path) -> None:
    plan = Plan(manifests=200, collections=8, kill_collector=kill_collector, fsync=False, seed=1)
    soak = Soak(plan, tmp_path)
    assert soak.run() == []
    counts = soak.counts()
    seen = ["mounts", "tag moves", "deletes", "verified", "blobs reclaimed", "images promised at the end"]
    seen += ["kills of the collector"] if kill_collector else ["collections"]
    assert [name for name in seen if not counts.get(name)] == []
