"""How the tests are dealt out to several processes (``-n auto --dist loadgroup``).

A file of real peers stays together: its tests share servers that took a while to start.  What needs an engine
of its own stays together, too: two engines at once are in each other's way.
"""

from __future__ import annotations

from pathlib import Path

import pytest

PEERS = Path(__file__).parent / "peers"
TOGETHER = {"test_docker": "engine", "test_docker_target": "engine"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(PEERS):
            name = TOGETHER.get(item.path.stem, item.path.stem)
            item.add_marker(pytest.mark.xdist_group(name))
