"""Repositories: which there are."""

from __future__ import annotations

from collections.abc import Iterator

from ..drivers.base import Driver, NotFound
from . import layout


def ensure(driver: Driver, name: str) -> None:
    """Make a repository's folders.  Distribution 2 looks for the first, 3 for the others."""
    driver.make_folder(layout.layers(name))
    driver.make_folder(layout.revisions(name))
    driver.make_folder(layout.tags(name))


def exists(driver: Driver, name: str) -> bool:
    for folder in (layout.manifests(name), layout.layers(name)):
        try:
            driver.stat(folder)
        except NotFound:
            continue
        return True
    return False


def every(driver: Driver) -> Iterator[str]:
    """Yield the names of all repositories, a folder before those below it."""
    yield from _below(driver, layout.REPOSITORIES, "")


def every_upload(driver: Driver) -> Iterator[tuple[str, str]]:
    """Yield repository and session of all uploads, also where nothing else is stored yet."""
    for name in _folders(driver, layout.REPOSITORIES, ""):
        try:
            sessions = driver.list(layout.uploads(name))
        except NotFound:
            continue
        for session in sessions:
            yield name, session


def _below(driver: Driver, folder: str, name: str) -> Iterator[str]:
    for below in _folders(driver, folder, name):
        if exists(driver, below):
            yield below


def _folders(driver: Driver, folder: str, name: str) -> Iterator[str]:
    try:
        entries = driver.list(folder)
    except NotFound:
        return
    for entry in entries:
        if entry.startswith("_"):
            continue
        below = f"{name}/{entry}" if name else entry
        yield below
        yield from _folders(driver, f"{folder}/{entry}", below)
