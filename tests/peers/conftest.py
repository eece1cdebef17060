"""Real registries and clients. On a machine where they can be installed they are required
(``SEATRIAL_PEERS=required``): a peer that is missing there fails its tests; elsewhere it skips them."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program) is not None:
                continue
            if os.environ.get("SEATRIAL_PEERS") == "required":
                pytest.fail(f"{program} is required here and is not installed", pytrace=False)
            pytest.skip(f"{program} is not installed")
