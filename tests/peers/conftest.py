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


NEED_ROOT = {"dockerd"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            missing = why_missing(program)
            if missing and os.environ.get("SEATRIAL_PEERS") == "required":
                pytest.fail(f"{program} is required here and {missing}", pytrace=False)
            if missing:
                pytest.skip(f"{program} {missing}")


def why_missing(program: str) -> str | None:
    """Why a program cannot be run here; what Go can build is built, and found from then on."""
    if shutil.which(program) is None:
        if program not in GO_PROGRAMS or shutil.which("go") is None:
            return "is not installed"
        folder = go_program(*GO_PROGRAMS[program], name=program).parent
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return "needs root" if program in NEED_ROOT and os.geteuid() != 0 else None


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
