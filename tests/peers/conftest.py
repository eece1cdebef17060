"""Real registries and clients. On a machine where they can be installed they are required
(``SEATRIAL_PEERS=required``): a peer that is missing there fails its tests; elsewhere it skips them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.targets.host import WorkFolder

from .registries import Distribution, Reference


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program) is not None:
                continue
            if os.environ.get("SEATRIAL_PEERS") == "required":
                pytest.fail(f"{program} is required here and is not installed", pytrace=False)
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    """A reference registry for a module's tests, each with repositories of its own."""
    yield from _served()


@pytest.fixture(scope="module")
def other_reference() -> Iterator[Reference]:
    yield from _served()


def _served() -> Iterator[Reference]:
    folder = WorkFolder()
    try:
        with Reference(folder.path / "store", folder.path / "log") as served:
            yield served
    finally:
        folder.close()


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder for a store that several registries serve, one after the other."""
    folder = WorkFolder()
    yield folder.path
    folder.close()


@pytest.fixture
def ours(work: Path) -> Iterator[Reference]:
    """The reference over that store; not yet started."""
    served = Reference(work / "store", work / "reference.log")
    yield served
    served.close()


@pytest.fixture
def theirs(work: Path) -> Iterator[Distribution]:
    """Distribution over that store; not yet started."""
    served = Distribution(work / "store", work / "distribution.log")
    yield served
    served.close()
