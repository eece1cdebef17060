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


def every(driver: Driver, after: str = "") -> Iterator[str]:
    """Yield the names of all repositories greater than ``after``, in the order of their bytes.

    Costs no more than the folders between ``after`` and the last name taken.
    """
    for name, entries in _folders(driver, after):
        if not _OF_A_REPOSITORY.isdisjoint(entries):
            yield name


def every_upload(driver: Driver) -> Iterator[tuple[str, str]]:
    """Yield repository and session of all uploads, also where nothing else is stored yet."""
    for name, entries in _folders(driver, ""):
        if _UPLOADS in entries:
            for session in _list(driver, layout.uploads(name)):
                yield name, session


_OF_A_REPOSITORY = {path.rpartition("/")[2] for path in (layout.layers("name"), layout.manifests("name"))}
_UPLOADS = layout.uploads("name").rpartition("/")[2]


def _folders(driver: Driver, after: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and entries of every folder that is or could be a repository's, in the order of names."""
    yield from _below(driver, "", _list(driver, layout.REPOSITORIES), after)


def _below(driver: Driver, prefix: str, entries: list[str], after: str) -> Iterator[tuple[str, list[str]]]:
    # A folder and what is below it are two things to sort: ``a-b`` comes between ``a`` and ``a/b``.
    names = [prefix + entry for entry in entries if not entry.startswith("_")]
    here = [name for name in names if name > after]
    deeper = [f"{name}/" for name in names if f"{name}/" > after or after.startswith(f"{name}/")]
    seen: dict[str, list[str]] = {}
    for name in sorted(here + deeper):
        folder = name.rstrip("/")
        found = seen.pop(folder, None)
        if found is None:
            found = _list(driver, layout.repository(folder))
        if name == folder:
            seen[name] = found
            yield name, found
        else:
            yield from _below(driver, name, found, after)


def _list(driver: Driver, path: str) -> list[str]:
    try:
        return driver.list(path)
    except NotFound:
        return []
