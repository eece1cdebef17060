"""What is broken, torn or cannot be read: nothing is lost by it, and nobody else pays for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reference_impl.collect import run, sweep
from reference_impl.collect.events import Event
from reference_impl.collect.run import Policy, Summary, collect
from reference_impl.drivers.base import Driver, DriverError, Stat, Unavailable
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import documents, layout, locks
from reference_impl.registry.digests import CANONICAL, Digest, digest_of
from reference_impl.registry.store import Registry, filesystem_driver

from .collecting import (
    REPO,
    Store,
    assert_pullable,
    at,
    collected,
    is_stored,
    is_there,
    json_manifest,
    tear,
    write_foreign_manifest,
)
from .images import IMAGE, descriptor, image, index, sha, store_blob, store_image, store_manifest


@pytest.fixture(params=["filesystem", "memory"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return MemoryDriver() if request.param == "memory" else filesystem_driver(str(tmp_path), fsync=False)


# -- broken manifests ------------------------------------------------------------------------


def _break(driver: Driver, body: bytes, how: str) -> None:
    path = layout.blob_data(digest_of(body))
    if how == "missing":
        driver.delete(path)
    else:
        driver.write(path, {"torn": b"", "other JSON": b'{"schemaVersion": 2}'}[how])


@pytest.mark.parametrize("how", ["missing", "torn", "other JSON"])
@pytest.mark.parametrize("delete_untagged", [False, True])
def test_a_broken_manifest_costs_only_its_repository(
    registry: Registry, how: str, delete_untagged: bool
) -> None:
    child = store_image(registry, REPO, None, b"child layer")
    body = index(child)
    store_manifest(registry, REPO, "t", body)
    loose = store_image(registry, REPO, None, b"loose layer")
    store_blob(registry, REPO, b"garbage here")
    store_blob(registry, "other", b"garbage there")
    _break(registry.driver, body, how)
    for _ in range(2):
        summary = collected(registry, delete_untagged=delete_untagged)
        assert [REPO in problem for problem in summary.problems] == [True]
        assert not is_stored(registry, b"garbage there")
        assert is_stored(registry, b"garbage here")
        assert_pullable(registry, REPO, child, b"child layer")
        assert_pullable(registry, REPO, loose, b"loose layer")
    store_manifest(registry, REPO, "t", body)
    assert collected(registry, delete_untagged=delete_untagged).problems == []
    assert not is_stored(registry, b"garbage here")
    assert_pullable(registry, REPO, child, b"child layer")


def test_a_sha512_name_in_a_repository_with_a_broken_manifest(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    store_blob(registry, REPO, b"named", "sha512")
    registry.driver.delete(layout.layer_folder(REPO, digest_of(b"named")))
    _break(registry.driver, body, "torn")
    collected(registry)
    assert is_stored(registry, b"named")


def test_a_torn_manifest_with_nothing_behind_it_is_none(registry: Registry) -> None:
    """Killed between the bytes and the link, and the bytes were collected: as if it had never been."""
    body = store_image(registry, REPO, "t", b"layer")
    tear(registry.driver, layout.revision_link(REPO, digest_of(body)))
    registry.driver.delete(layout.blob_data(digest_of(body)))
    assert collected(registry).problems == []
    assert not is_stored(registry, b"layer")


# -- torn links ------------------------------------------------------------------------------


def test_a_torn_index_still_leads_to_its_children(registry: Registry) -> None:
    child = store_image(registry, REPO, None, b"layer")
    body = index(child)
    store_manifest(registry, REPO, "t", body)
    tear(registry.driver, layout.revision_link(REPO, digest_of(body)))
    summary = collected(registry, delete_untagged=True)
    assert (summary.problems, summary.manifests_removed) == ([], 0)
    assert_pullable(registry, REPO, child, b"layer")


def test_a_torn_tag_still_leads_to_all_it_ever_pointed_to(registry: Registry) -> None:
    first = store_image(registry, REPO, "t", b"first")
    second = store_image(registry, REPO, "t", b"second")
    loose = store_image(registry, REPO, None, b"loose")
    tear(registry.driver, layout.tag_current_link(REPO, "t"))
    assert collected(registry, delete_untagged=True).problems == []
    assert_pullable(registry, REPO, first, b"first")
    assert_pullable(registry, REPO, second, b"second")
    assert not is_stored(registry, loose)


def test_a_ghost_tag_leads_to_nothing(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    registry.driver.delete(f"{layout.tag_folder(REPO, 't')}/current")
    collected(registry, delete_untagged=True)
    assert not is_stored(registry, body)


def test_a_tag_by_another_digest(registry: Registry) -> None:
    body = image(b"{}", b"layer")
    for data in (b"{}", b"layer"):
        store_blob(registry, REPO, data)
    store_manifest(registry, REPO, sha(body, "sha512"), body)
    registry.driver.write(layout.tag_current_link(REPO, "t"), sha(body, "sha512").encode())
    assert collected(registry, delete_untagged=True).manifests_removed == 0
    assert_pullable(registry, REPO, body, b"layer")


def test_a_torn_sha512_name_of_a_manifest_still_means_it(registry: Registry) -> None:
    child = image(b"{}", b"layer")
    for data in (b"{}", b"layer"):
        store_blob(registry, REPO, data)
    name = store_manifest(registry, REPO, sha(child, "sha512"), child)
    store_manifest(registry, REPO, "t", json_manifest(manifests=[descriptor(child, IMAGE, "sha512")]))
    tear(registry.driver, layout.revision_link(REPO, name))
    assert collected(registry, delete_untagged=True).manifests_removed == 0
    assert_pullable(registry, REPO, child, b"layer")


def test_a_torn_sha512_name_of_a_blob_keeps_what_hashes_to_it(registry: Registry) -> None:
    name = store_blob(registry, REPO, b"named", "sha512")
    store_blob(registry, REPO, b"garbage")
    store_blob(registry, REPO, b"{}")
    body = json_manifest(config=descriptor(b"{}"), layers=[descriptor(b"named", algorithm="sha512")])
    store_manifest(registry, REPO, "t", body)
    tear(registry.driver, layout.layer_link(REPO, name))
    assert collected(registry).problems == []
    assert is_stored(registry, b"named")
    assert not is_stored(registry, b"garbage")


def test_a_torn_link_to_a_blob_that_is_gone_goes_too(registry: Registry) -> None:
    digest = store_blob(registry, REPO, b"garbage")
    tear(registry.driver, layout.layer_link(REPO, digest))
    assert collected(registry).links_removed == 1
    assert not is_there(registry.driver, layout.layer_folder(REPO, digest))


# -- what others wrote -----------------------------------------------------------------------


def _adopt(registry: Registry, body: bytes, *blobs: bytes) -> None:
    for data in blobs:
        store_blob(registry, REPO, data)
    write_foreign_manifest(registry, REPO, body, "t")


FOREIGN: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "Docker's schema 1": (
        json.dumps(
            {
                "schemaVersion": 1,
                "name": REPO,
                "fsLayers": [{"blobSum": sha(b"one")}, {"blobSum": sha(b"two")}],
            }
        ).encode(),
        (b"one", b"two"),
    ),
    "a type unknown to us": (
        json_manifest(mediaType="application/vnd.example+json", parts={"a": [sha(b"one")], "b": sha(b"two")}),
        (b"one", b"two"),
    ),
    "deep below": (
        b'{"schemaVersion": 2, "a": ' + b"[" * 90 + json.dumps(sha(b"one")).encode() + b"]" * 90 + b"}",
        (b"one",),
    ),
    "a subject that is not at the top": (
        json_manifest(parts=[{"subject": {"digest": sha(b"one")}}]),
        (b"one",),
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_every_digest_in_a_manifest_counts(registry: Registry, what: str) -> None:
    body, blobs = FOREIGN[what]
    _adopt(registry, body, *blobs)
    store_blob(registry, REPO, b"garbage")
    assert collected(registry).problems == []
    assert_pullable(registry, REPO, body, *blobs)
    assert not is_stored(registry, b"garbage")


@pytest.mark.parametrize("odd", [[], {}, 1, None])
def test_a_media_type_that_is_none_stops_nothing(registry: Registry, odd: object) -> None:
    """Manifests of unknown types may say anything in any field."""
    store_blob(registry, REPO, b"layer")
    fields = {"mediaType": "a/b", "x": {"digest": sha(b"layer"), "mediaType": odd}}
    store_manifest(registry, REPO, "t", json.dumps(fields).encode())
    assert collected(registry).problems == []
    assert is_stored(registry, b"layer")


def test_content_counts_also_without_a_link_in_the_repository(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    registry.content.delete(REPO, digest_of(b"layer"))
    collected(registry)
    assert is_stored(registry, b"layer")
    assert is_stored(registry, body)


def test_a_subject_keeps_nothing(registry: Registry) -> None:
    """What is attached to something that is not there, or no more, is a manifest like any other."""
    subject = store_image(registry, REPO, None, b"subject")
    note = store_image(registry, REPO, "note", b"note", subject=descriptor(subject))
    early = store_image(registry, REPO, "early", b"early", subject=descriptor(b"never pushed"))
    collected(registry, delete_untagged=True)
    assert not is_stored(registry, subject)
    assert_pullable(registry, REPO, note, b"note")
    assert_pullable(registry, REPO, early, b"early")
    registry.manifests.delete_tag(REPO, "early")
    collected(registry, delete_untagged=True)
    assert not is_stored(registry, b"early")


@pytest.mark.parametrize("delete_untagged", [False, True])
def test_manifests_that_were_pushed_as_blobs(registry: Registry, delete_untagged: bool) -> None:
    """An index refers to an index and that to an image, both of which are in the repository as blobs only."""
    leaf = image(b"{}", b"layer")
    inner = index(leaf)
    untagged = store_image(registry, REPO, None, b"tagged by a blob")
    other = index(untagged)
    for data in (b"{}", b"layer", leaf, inner, other):
        store_blob(registry, REPO, data)
    outer = index(inner, other)
    store_manifest(registry, REPO, "t", outer)
    for data in (b"{}", b"layer"):
        registry.content.find(REPO, digest_of(data))
    summary = collected(registry, delete_untagged=delete_untagged)
    assert (summary.blobs_purged, summary.manifests_removed) == (0, 0)
    assert is_stored(registry, b"layer")
    assert_pullable(registry, REPO, untagged, b"tagged by a blob")


def test_a_large_blob_called_a_manifest_is_kept_and_not_read(registry: Registry) -> None:
    large = b"x" * (documents.SIZE_MAX_BYTES + 1)
    store_blob(registry, REPO, large)
    store_manifest(registry, REPO, "t", index(large))
    read: list[int] = []

    class Watched(_Wrapped):
        def open(self, path: str) -> Any:
            reader: Any = self.inner.open(path)
            if reader.size_bytes == len(large):
                read.append(reader.size_bytes)
                reader.read_at = lambda *where: pytest.fail("it was read")
            return reader

    collected(Registry(Watched(registry.driver)))
    assert read
    assert is_stored(registry, large)


def test_what_is_not_ours_to_judge_is_left_alone(registry: Registry) -> None:
    store_blob(registry, REPO, b"garbage")
    encoded = "ab" * 64
    strange = [
        f"blobs/sha512/ab/{encoded}/data",
        f"blobs/blake3/ab/{'ab' * 32}/data",
        f"blobs/sha256/ab/{'AB' * 32}/data",
        f"blobs/sha256/ab/{'cd' * 32}/data",
        "blobs/sha256/ab/short/data",
        f"blobs/sha256/ab/{'ab' * 32}/lease",
        f"{layout.layers(REPO)}/sha256/odd/link",
    ]
    for path in strange:
        registry.driver.write(path, b"x")
    collected(registry)
    assert [path for path in strange if not is_there(registry.driver, path)] == []
    assert not is_stored(registry, b"garbage")


def test_a_repository_that_goes_away_meanwhile(registry: Registry) -> None:
    store_image(registry, "a", "t", b"gone")
    body = store_image(registry, REPO, "t", b"layer")
    store_blob(registry, REPO, b"garbage")
    summary = collected(registry, at("repository", lambda: registry.driver.delete(layout.repository("a")), 1))
    assert summary.problems == []
    assert_pullable(registry, REPO, body, b"layer")
    assert not is_stored(registry, b"garbage")


# -- what cannot be read ---------------------------------------------------------------------


class _Wrapped:
    """A driver behind another."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Failing(_Wrapped):
    """Reads fail, from the n-th on, for good or once."""

    def __init__(self, inner: Driver, number: int, error: Exception, *, once: bool) -> None:
        super().__init__(inner)
        self.calls = 0
        self._number = number
        self._error = error
        self._once = once

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self._number or (self.calls > self._number and not self._once):
            raise self._error

    def read(self, path: str) -> bytes:
        self._count()
        return self.inner.read(path)

    def open(self, path: str) -> Any:
        self._count()
        return self.inner.open(path)

    def stat(self, path: str) -> Stat:
        self._count()
        return self.inner.stat(path)

    def list(self, path: str) -> Any:
        self._count()
        return self.inner.list(path)

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        for found in self.inner.walk(path):
            self._count()
            yield found


ERRORS: list[Callable[[], Exception]] = [
    lambda: OSError(5, "Input/output error"),
    lambda: Unavailable("the backend does not answer"),
    lambda: DriverError("odd"),
]


def _run(driver: Any, seen: list[Event]) -> Summary:
    return collect(Registry(driver), Policy(delete_untagged=True), seen.append)


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("error", ERRORS)
def test_no_failed_read_leads_to_a_loss(error: Callable[[], Exception], once: bool) -> None:
    """Whichever read fails: what must stay stays, and a mark that is not complete is followed by no sweep."""
    counting = _Failing(MemoryDriver(), 10**9, error(), once=once)
    _run(_filled(counting), [])
    swept = before = 0
    for number in range(1, counting.calls + 1):
        failing = _Failing(MemoryDriver(), 10**9, error(), once=once)
        store = Store(Registry(failing.inner))
        failing._number = number
        seen: list[Event] = []
        summary = _run(failing, seen)
        store.assert_kept()
        steps = [event.step for event in seen]
        if "refused" in steps and "linked" not in steps:
            before += 1
            assert summary.problems
            assert all(is_stored(store.registry, data) for data in store.garbage), number
        else:
            swept += 1
            assert summary.problems or summary.error, number
        again = collected(store.registry, delete_untagged=True)
        assert (again.problems, again.error) == ([], None), number
        store.assert_kept()
        store.assert_clean()
    assert before > 50
    assert swept > 50


def _filled(driver: _Failing) -> _Failing:
    Store(Registry(driver.inner))
    return driver


def test_one_that_cannot_be_read_does_not_hide_the_others(registry: Registry) -> None:
    """All that cannot be read is told, not only the first of it; and nothing is swept."""
    bodies = [store_image(registry, name, "t", name.encode()) for name in ("a", "b")]
    store_blob(registry, "c", b"garbage")
    bad = {layout.blob_data(digest_of(body)) for body in bodies}

    class Spoiled(_Wrapped):
        def open(self, path: str) -> Any:
            if path in bad:
                raise OSError(5, "Input/output error")
            return self.inner.open(path)

    summary = collect(Registry(Spoiled(registry.driver)), Policy(), lambda event: None)
    assert len(summary.problems) == 2
    assert is_stored(registry, b"garbage")


# -- locks that others hold ------------------------------------------------------------------


def _holding(driver: Driver, digest: Digest) -> tuple[threading.Thread, threading.Event]:
    """A publisher that is at work until it is told to end."""
    inside, end = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.publishing(driver, [digest]):
            inside.set()
            assert end.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)
    return thread, end


def test_a_publisher_that_never_ends_is_waited_for_only_so_long(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_PUBLISHERS_LIMIT_S", 0.01)
    digest = store_blob(registry, REPO, b"garbage")
    thread, end = _holding(registry.driver, digest)
    summary = collected(registry)
    assert "a push is at work" in summary.problems[0]
    assert is_stored(registry, b"garbage")
    end.set()
    thread.join(20)
    assert collected(registry).blobs_purged == 1


def test_who_publishes_is_not_kept_waiting(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_CONDEMN_WAIT_S", 0.01)
    digest = store_blob(registry, REPO, b"garbage")
    held: list[tuple[threading.Thread, threading.Event]] = []
    summary = collected(registry, at("eligible", lambda: held.append(_holding(registry.driver, digest))))
    assert (summary.blobs_spared, summary.blobs_purged) == (1, 0)
    assert is_stored(registry, b"garbage")
    held[0][1].set()
    held[0][0].join(20)


def test_leases_from_before_the_boot_are_not_trusted(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may have undone them; a grace begins anew with the machine."""
    store_blob(registry, REPO, b"garbage")
    path = layout.blob_data(digest_of(b"garbage"))
    now_ns = registry.driver.stat(path).mtime_ns
    monkeypatch.setattr("time.time_ns", lambda: now_ns + 3600 * 10**9)
    monkeypatch.setattr(run, "_booted_ns", lambda: now_ns + 3590 * 10**9)
    assert collected(registry, grace_s=60.0).blobs_eligible == 0
    monkeypatch.setattr(run, "_booted_ns", lambda: now_ns)
    assert collected(registry, grace_s=60.0).blobs_purged == 1


def test_the_names_of_locks_are_canonical() -> None:
    """Only shards of this algorithm are waited for, so only such content may be condemned."""
    assert {path.rpartition("/")[2].partition("-")[0] for path in layout.every_digest_lock(CANONICAL)} == {
        CANONICAL
    }
