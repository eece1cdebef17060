"""A collection that is killed at any of its steps loses nothing, and the next one puts all in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_impl.collect import sweep
from reference_impl.collect.check import Check
from reference_impl.collect.events import STEPS, Event
from reference_impl.collect.run import Collection, Policy
from reference_impl.drivers.base import Driver
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout
from reference_impl.registry.digests import digest_of
from reference_impl.registry.store import Registry, filesystem_driver

from .collecting import (
    REPO,
    Crash,
    Store,
    assert_pullable,
    at,
    collected,
    crash_at,
    is_stored,
    is_there,
    trashed,
    write_foreign_manifest,
)
from .images import image, store_blob, store_image


@pytest.fixture(params=["filesystem", "memory"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return _driver(request.param, tmp_path)


def _driver(kind: str, folder: Path) -> Driver:
    return MemoryDriver() if kind == "memory" else filesystem_driver(str(folder), fsync=False)


def _steps(batch_max: int) -> Iterator[tuple[str, int]]:
    """Every step that a collection of the store takes."""
    store = Store(Registry(MemoryDriver()))
    seen: list[Event] = []
    policy = Policy(delete_untagged=True)
    Collection(store.registry, policy, seen.append, batch_max=batch_max).run()
    store.assert_kept()
    store.assert_clean()
    yield from ((event.step, event.number) for event in seen)


STEPS_ALONE, STEPS_AT_ONCE = list(_steps(1)), list(_steps(sweep.BATCH_MAX))


def test_the_store_has_something_for_most_steps() -> None:
    rare = {"recovered", "returned", "restored", "spared", "problem", "refused", "upload"}
    assert {step for step, _ in STEPS_ALONE} == set(STEPS) - rare


@pytest.mark.parametrize(
    ("batch_max", "kind"), [(1, "filesystem"), (1, "memory"), (sweep.BATCH_MAX, "memory")]
)
def test_killed_at_every_step(batch_max: int, kind: str, tmp_path: Path) -> None:
    steps = STEPS_ALONE if batch_max == 1 else STEPS_AT_ONCE
    assert len(steps) > 45
    for step, number in steps:
        store = Store(Registry(_driver(kind, tmp_path / f"{step}-{number}")))
        emit = crash_at(step, number)
        with pytest.raises(Crash):
            Collection(store.registry, Policy(delete_untagged=True), emit, batch_max=batch_max).run()
        store.assert_kept()
        assert Check(store.registry.driver).run().number("error") == 0, (step, number)
        summary = collected(store.registry, delete_untagged=True)
        assert (summary.problems, summary.error) == ([], None), (step, number)
        store.assert_kept()
        store.assert_clean()


@pytest.mark.parametrize("second", ["noted", "counted", "linked", "verified", "purged"])
def test_killed_twice(registry: Registry, second: str) -> None:
    store = Store(registry)
    for step in ("condemned", second):
        with pytest.raises(Crash):
            collected(registry, crash_at(step, 1), delete_untagged=True)
    collected(registry, delete_untagged=True)
    store.assert_kept()
    store.assert_clean()


def _set_aside(registry: Registry, *contents: bytes, unlink: bool = True) -> None:
    """As a killed collector leaves it."""
    digests = {digest_of(data) for data in contents}
    found = [one for one in sweep.note(registry.driver, lambda count: None) if one.digest in digests]
    assert len(sweep.set_aside(registry.driver, "1-killed", found)) == len(digests)
    for digest in digests if unlink else ():
        registry.driver.discard(layout.blob_data(digest))


def test_a_manifest_in_the_trash_is_restored_with_all_it_refers_to(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    _set_aside(registry, body, b"layer", b"{}")
    summary = collected(registry, delete_untagged=True)
    assert (summary.problems, summary.blobs_restored) == ([], 3)
    assert_pullable(registry, REPO, body, b"layer", b"{}")
    assert trashed(registry.driver) == []


def test_recovery_never_purges(registry: Registry) -> None:
    """What is in the trash stays until the mark of the same collection was confirmed by a second one."""
    store_blob(registry, REPO, b"garbage")
    _set_aside(registry, b"garbage")
    at_steps: dict[str, int] = {}

    def emit(event: Event) -> None:
        at_steps[event.step] = len(trashed(registry.driver))

    collected(registry, emit)
    assert (at_steps["counted"], at_steps["verified"], at_steps["swept"]) == (1, 1, 0)


def test_both_names_left(registry: Registry) -> None:
    """Killed between the two steps of condemning: the name in the trash goes, the other is judged anew."""
    body = store_image(registry, REPO, "t", b"layer")
    store_blob(registry, REPO, b"garbage")
    _set_aside(registry, b"layer", b"garbage", unlink=False)
    summary = collected(registry)
    assert summary.blobs_restored == 0
    assert_pullable(registry, REPO, body, b"layer")
    assert not is_stored(registry, b"garbage")
    assert trashed(registry.driver) == []


def test_restoring_replaces_what_is_torn(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    _set_aside(registry, b"layer")
    registry.driver.write(layout.blob_data(digest_of(b"layer")), b"")
    collected(registry)
    assert_pullable(registry, REPO, body, b"layer")


FOREIGN = image(b"{}", b"wanted")


@pytest.mark.parametrize("step", ["counted", "eligible", "linked", "condemned"])
def test_another_writer_beside(registry: Registry, step: str) -> None:
    """One that neither locks nor leases refers to content while it is condemned: the second mark sees it."""
    store_blob(registry, REPO, b"{}")
    store_blob(registry, REPO, b"wanted")
    summary = collected(registry, at(step, lambda: write_foreign_manifest(registry, REPO, FOREIGN)))
    assert summary.blobs_restored == 2
    assert_pullable(registry, REPO, FOREIGN, b"{}", b"wanted")


def test_another_writer_after_the_second_mark(registry: Registry) -> None:
    """The purge waits for as long as such a writer needs; the next collection restores."""
    store_blob(registry, REPO, b"{}")
    store_blob(registry, REPO, b"wanted")
    late = at("verified", lambda: write_foreign_manifest(registry, REPO, FOREIGN))
    assert collected(registry, late, purge_delay_s=1000).blobs_purged == 0
    assert len(trashed(registry.driver)) == 2
    assert collected(registry, purge_delay_s=1000).blobs_restored == 2
    assert trashed(registry.driver) == []
    registry.content.find(REPO, digest_of(b"wanted"))
    registry.manifests.get(REPO, digest_of(FOREIGN))


def test_what_nobody_wanted_is_purged_after_the_delay(registry: Registry) -> None:
    store_blob(registry, REPO, b"garbage")
    assert collected(registry, purge_delay_s=1000).blobs_purged == 0
    summary = collected(registry, purge_delay_s=0.0)
    assert (summary.blobs_purged, summary.bytes_purged) == (1, 7)
    assert trashed(registry.driver) == []


@pytest.mark.parametrize("way", ["tag", "index"])
def test_a_manifest_that_something_leads_to_again_is_given_back(registry: Registry, way: str) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    registry.manifests.delete_tag(REPO, "t")
    digest = digest_of(body)

    def lead() -> None:
        if way == "tag":
            registry.driver.write(layout.tag_current_link(REPO, "again"), str(digest).encode())
        else:
            index = b'{"schemaVersion": 2, "manifests": [{"digest": "%s"}]}' % str(digest).encode()
            write_foreign_manifest(registry, REPO, index, "again")

    summary = collected(registry, at("forgotten", lead), delete_untagged=True)
    assert (summary.manifests_removed, summary.manifests_restored) == (1, 1)
    assert_pullable(registry, REPO, body, b"layer")
    assert trashed(registry.driver) == []


def test_a_manifest_set_aside_by_a_killed_collector_is_given_back(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    registry.manifests.delete_tag(REPO, "t")
    with pytest.raises(Crash):
        collected(registry, crash_at("forgotten", 1), delete_untagged=True)
    assert not is_there(registry.driver, layout.revision_link(REPO, digest_of(body)))
    registry.driver.write(layout.tag_current_link(REPO, "again"), str(digest_of(body)).encode())
    assert collected(registry).manifests_restored == 1
    assert_pullable(registry, REPO, body, b"layer")
