"""The walk over all repositories: in order of names, whatever that of folders, and no farther than needed."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_impl.drivers.base import Driver
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout, names, repositories

PARTS = st.sampled_from(["a", "a-b", "a.b", "a0", "a_b", "a__b", "b", "ab", "0", "z"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def make(driver: Driver, found: set[str], uploads: set[str]) -> None:
    for name in found:
        driver.make_folder(layout.layers(name))
    for name in uploads:
        driver.write(layout.session_data(name, "s"), b"")


@given(st.sets(NAMES, max_size=30), st.sets(NAMES, max_size=5), st.one_of(st.just(""), NAMES))
def test_order(found: set[str], uploads: set[str], after: str) -> None:
    driver = MemoryDriver()
    make(driver, found, uploads)
    assert list(repositories.every(driver, after)) == sorted(name for name in found if name > after)
    assert sorted(repositories.every_upload(driver)) == [(name, "s") for name in sorted(uploads)]


@given(st.sets(NAMES, max_size=20), st.text("ab/-.0_", max_size=8))
def test_any_text_to_begin_after(found: set[str], after: str) -> None:
    """``last`` comes from a client, and need not be a name."""
    driver = MemoryDriver()
    make(driver, found, set())
    assert list(repositories.every(driver, after)) == sorted(name for name in found if name > after)


@pytest.mark.parametrize("folder", [layout.layers("a"), layout.manifests("a")])
def test_either_folder_makes_a_repository(driver: Driver, folder: str) -> None:
    driver.write(f"{folder}/x", b"")
    driver.write(layout.session_data("b", "s"), b"")
    assert list(repositories.every(driver)) == ["a"]


class Counting(MemoryDriver):
    lists = 0

    def list(self, path: str) -> list[str]:
        self.lists += 1
        return super().list(path)


def test_a_page_costs_a_page() -> None:
    driver = Counting()
    every = {f"team-{team:02d}/app-{app:02d}" for team in range(50) for app in range(50)}
    make(driver, every, set())
    last, seen = "", []
    for _ in range(50):
        driver.lists = 0
        page = list(islice(repositories.every(driver, last), 50))
        seen += page
        last = page[-1]
        assert driver.lists <= 2 * (50 + 3)
    assert seen == sorted(every)


def test_what_nobody_can_ask_for_is_walked_and_not_listed() -> None:
    """A collector has to see it; in the catalog it would lead nowhere."""
    driver = MemoryDriver()
    make(driver, {"Upper", "ok", "sp ace/below"}, set())
    assert list(repositories.every(driver)) == ["Upper", "ok", "sp ace/below"]
    assert [name for name in repositories.every(driver) if names.is_repository(name)] == ["ok"]
