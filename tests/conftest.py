"""How the tests are dealt out to several processes (``-n auto --dist loadgroup``).

A file of real peers stays together: its tests share servers that took a while to start.  What needs an engine
of its own stays together, too: two engines at once are in each other's way.

Temporary folders are in memory where there is room: thousands of stores are made in them, each of many small
files, and what a power cut leaves is simulated.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.targets.host import SHARED_MEMORY, roomy

PEERS = Path(__file__).parent / "peers"
TOGETHER = {"test_docker": "engine", "test_docker_target": "engine"}


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    if roomy(SHARED_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(PEERS):
            name = TOGETHER.get(item.path.stem, item.path.stem)
            item.add_marker(pytest.mark.xdist_group(name))
