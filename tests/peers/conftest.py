"""Real registries and clients. On a machine where they can be installed they are required
(``SEATRIAL_PEERS=required``): a peer that is missing there fails its tests; elsewhere it skips them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.targets.host import WorkFolder

from .go_programs import go_program
from .registries import Distribution, Reference

GO_PROGRAMS = {
    "crane": ("github.com/google/go-containerregistry/cmd/crane", "v0.22.1"),
    "oras": ("oras.land/oras/cmd/oras", "v1.3.6"),
    "toxiproxy-server": ("github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0"),
}
"""Peers that are built from Go modules where nobody installed them."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program) is not None:
                continue
            if program in GO_PROGRAMS and shutil.which("go") is not None:
                folder = go_program(*GO_PROGRAMS[program], program).parent
                os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
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
