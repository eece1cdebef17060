"""10 000 hostile requests: no 5xx, no hang, nothing outside the root is touched, nothing is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .hostile_input import run, served, surroundings

WARM_UP = 5_000
CASES = 10_000
GROWTH_MAX_BYTES = 12 << 20
"""What the process may have more in memory after the second half than after the first: caches that are still
filling, and the allocator's own."""
SHAPES_LEAST = 10


@pytest.mark.parametrize(("driver", "seed"), [("filesystem", 1), ("memory", 2)])
def test_nothing_comes_of_them(driver: str, seed: int, tmp_path: Path) -> None:
    parent = tmp_path / "around"
    parent.mkdir()
    root = surroundings.make(parent)
    before = surroundings.seen(parent, root)
    log = tmp_path / "log"
    server = served.Served(["--driver", driver, "--root", str(root), "--unsafe-no-fsync"], log)
    try:
        idle = server.usage()
        first = run.send(server.port, seed, range(WARM_UP))
        warm = server.quiet_usage(idle.files)
        second = run.send(server.port, seed, range(WARM_UP, CASES))
        end = server.quiet_usage(idle.files)
    finally:
        code = server.stop()
    for outcome in (first, second):
        told = [f"{f.case.shape} {f.flaws}: {list(f.segments)!r}" for f in outcome.failures[:3]]
        assert not outcome.failures, told
        assert not [status for status in outcome.statuses if status >= 500]
    assert first.sent + second.sent == CASES
    assert len(second.shapes) >= SHAPES_LEAST
    assert surroundings.seen(parent, root) == before
    assert not surroundings.foreign(root)
    assert end.files <= warm.files
    assert driver == "memory" or end.resident_bytes - warm.resident_bytes < GROWTH_MAX_BYTES
    assert code == 0
    assert "Traceback" not in log.read_text()
