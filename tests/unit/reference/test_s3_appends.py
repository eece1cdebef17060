"""Appending to objects: parts, tails, and what is there after a restart.

A restart is a new driver, while the one before is left as a kill leaves it: nothing closed but its locks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reference_impl.drivers.base import Busy, NotFound
from reference_impl.drivers.s3.appends import ObjectAppender
from reference_impl.drivers.s3.driver import S3Driver
from reference_impl.drivers.s3.state import State, Upload, parse

from .buckets import Shop
from .test_s3 import soon_ns

PATH = "uploads/session/data"


def killed(appender: ObjectAppender) -> None:
    """Let go of an appender as the kernel does for a process that was killed."""
    appender._lock.release()


def restarted(shop: Shop, appender: ObjectAppender) -> ObjectAppender:
    killed(appender)
    return shop.driver().append(PATH)


def begun(shop: Shop) -> tuple[S3Driver, ObjectAppender]:
    driver = shop.driver()
    driver.create(PATH)
    return driver, driver.append(PATH)


@pytest.mark.parametrize("parts", [0, 0.001, 0.5, 1])
def test_what_fits_into_one_part_is_no_multipart_upload(shop: Shop, parts: float) -> None:
    driver, appender = begun(shop)
    appender.write(shop.bytes(parts))
    appender.sync()
    assert driver.read(PATH) == shop.bytes(parts)
    driver.move(PATH, "blobs/x")
    appender.close()
    assert shop.driver().read("blobs/x") == shop.bytes(parts)
    assert (shop.uploads(), shop.stored()) == ([], ["blobs/x"])
    moved = shop.client.head_object(Bucket=shop.place.bucket, Key=f"{shop.prefix}blobs/x")
    assert moved["Metadata"] == {}


@pytest.mark.parametrize("parts", [1.001, 2, 3.7])
def test_parts_and_a_short_last_one(shop: Shop, parts: float) -> None:
    driver, appender = begun(shop)
    appender.write(shop.bytes(parts))
    assert len(shop.uploads()) == 1
    appender.sync()
    assert shop.driver().stat(PATH).size_bytes == len(shop.bytes(parts))
    driver.move(PATH, "blobs/x")
    appender.close()
    assert shop.driver().read("blobs/x") == shop.bytes(parts)
    assert (shop.uploads(), shop.stored()) == ([], ["blobs/x"])
    assert list(Path(shop.folder).glob("spool/*/*")) == []


def test_a_restart_after_each_chunk(shop: Shop) -> None:
    _, appender = begun(shop)
    whole = b""
    for number, parts in enumerate((0.4, 0.4, 0.4, 1, 2.5, 0.3)):
        chunk = shop.bytes(parts, number)
        appender.write(chunk)
        appender.sync()
        whole += chunk
        assert shop.driver().stat(PATH).size_bytes == len(whole)
        appender = restarted(shop, appender)
        assert appender.size_bytes == len(whole)
    appender.close()
    assert shop.driver().read(PATH) == whole


def test_a_kill_keeps_what_was_written_and_another_host_what_was_synced(shop: Shop, tmp_path: Path) -> None:
    _, appender = begun(shop)
    synced, more = shop.bytes(1.5), shop.bytes(0.3, 1)
    appender.write(synced)
    appender.sync()
    appender.write(more)
    appender = restarted(shop, appender)
    assert appender.size_bytes == len(synced + more)
    killed(appender)
    elsewhere = shop.driver(folder=str(tmp_path / "elsewhere")).append(PATH)
    assert elsewhere.size_bytes == len(synced)
    elsewhere.write(shop.bytes(1, 2))
    elsewhere.close()
    assert shop.driver(folder=str(tmp_path / "elsewhere")).read(PATH) == synced + shop.bytes(1, 2)


def test_parts_of_a_killed_request_count(shop: Shop, tmp_path: Path) -> None:
    _, appender = begun(shop)
    appender.write(shop.bytes(3.9))
    killed(appender)
    found = shop.driver(folder=str(tmp_path / "elsewhere")).stat(PATH)
    assert found.size_bytes == 3 * shop.part_bytes


def test_killed_before_the_first_part(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state with the upload is stored, and has not lost the tail that was there before."""
    driver, appender = begun(shop)
    appender.write(shop.bytes(0.4))
    appender.sync()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver.bucket, "put_part", fail)
    with pytest.raises(KeyboardInterrupt):
        appender.write(shop.bytes(1))
    killed(appender)
    elsewhere = shop.driver(folder=str(tmp_path / "elsewhere"))
    assert elsewhere.read(PATH) == shop.bytes(0.4)


def test_refused_and_continued(shop: Shop) -> None:
    """What a refused digest costs: the upload is complete, and only its begin is wanted."""
    driver, appender = begun(shop)
    start = shop.bytes(2.2)
    appender.write(start)
    appender.sync()
    appender = restarted(shop, appender)
    appender.write(shop.bytes(1.5, 1))
    assert shop.driver().stat(PATH).size_bytes == len(start) + len(shop.bytes(1.5, 1))
    appender.finish()
    appender.truncate(len(start))
    appender = restarted(shop, appender)
    assert appender.size_bytes == len(start)
    appender.write(shop.bytes(1.1, 2))
    appender.close()
    assert shop.driver().read(PATH) == start + shop.bytes(1.1, 2)
    driver.delete(PATH)
    assert (shop.uploads(), shop.stored()) == ([], [])


def test_complete_but_killed_before_it_was_moved(shop: Shop) -> None:
    _, appender = begun(shop)
    appender.write(shop.bytes(2.5))
    appender.finish()
    appender = restarted(shop, appender)
    assert appender.size_bytes == len(shop.bytes(2.5))
    appender.write(b"more")
    appender.close()
    assert shop.driver().read(PATH) == shop.bytes(2.5) + b"more"


def test_killed_before_complete_with_the_last_part_there(shop: Shop) -> None:
    """The short part is listed, but cannot be read, nor followed by others."""
    driver, appender = begun(shop)
    appender.write(shop.bytes(2.5))
    appender.sync()
    state = appender._state
    assert state is not None
    assert state.upload is not None
    key = driver._shelf.parts_key(state.upload.token, PATH)
    driver.bucket.put_part(key, state.upload.id, 3, shop.bytes(2.5)[2 * shop.part_bytes :])
    appender = restarted(shop, appender)
    assert appender.size_bytes == len(shop.bytes(2.5))
    appender.write(shop.bytes(1, 1))
    appender.close()
    assert shop.driver().read(PATH) == shop.bytes(2.5) + shop.bytes(1, 1)


@pytest.mark.parametrize("page_entries", [3, 1000])
def test_parts_come_in_pages(shop: Shop, page_entries: int) -> None:
    _, appender = begun(shop)
    appender.write(shop.bytes(10.5))
    appender.sync()
    killed(appender)
    driver = shop.driver(page_entries=page_entries)
    assert driver.stat(PATH).size_bytes == len(shop.bytes(10.5))
    assert driver.read(PATH) == shop.bytes(10.5)


@pytest.mark.parametrize("parts", [0.5, 3.5])
def test_appending_to_an_ordinary_object(shop: Shop, parts: float) -> None:
    driver = shop.driver()
    driver.write(PATH, shop.bytes(parts))
    appender = driver.append(PATH)
    assert appender.size_bytes == len(shop.bytes(parts))
    appender.write(b"more")
    appender = restarted(shop, appender)
    assert appender.size_bytes == len(shop.bytes(parts)) + 4
    appender.close()
    assert shop.driver().read(PATH) == shop.bytes(parts) + b"more"


@pytest.mark.parametrize("parts", [0.5, 2.5])
def test_deleted_under_its_writer(shop: Shop, parts: float) -> None:
    """Whatever the writer does then leaves no trace, also if another process deleted."""
    driver, appender = begun(shop)
    appender.write(shop.bytes(parts))
    appender.sync()
    shop.driver().delete("uploads/session")
    appender.write(shop.bytes(3))
    appender.sync()
    appender.truncate(1)
    with pytest.raises(NotFound):
        driver.stat(PATH)
    with pytest.raises(NotFound):
        driver.open(PATH)
    appender.close()
    driver.clear_leftovers(soon_ns())
    assert (shop.uploads(), shop.stored()) == ([], [])


def test_deleted_just_before_its_writer_stores_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, appender = begun(shop)
    appender.write(b"data")
    guard = driver._coordination.guard

    def late(paths: list[str]) -> AbstractContextManager[None]:
        monkeypatch.undo()
        shop.driver().delete(PATH)
        return guard(paths)

    monkeypatch.setattr(driver._coordination, "guard", late)
    appender.sync()
    appender.close()
    assert shop.stored() == []


def test_made_again_under_its_writer(shop: Shop) -> None:
    driver, old = begun(shop)
    old.write(b"old")
    driver.delete(PATH)
    driver.create(PATH)
    new = driver.append(PATH)
    new.write(b"new bytes")
    old.sync()
    old.close()
    assert driver.stat(PATH).size_bytes == 9
    with pytest.raises(Busy):
        driver.append(PATH)
    new.close()
    assert shop.driver().read(PATH) == b"new bytes"


def test_of_two_processes_one_writes(shop: Shop) -> None:
    _, appender = begun(shop)
    appender.write(shop.bytes(1.5))
    appender.sync()
    with pytest.raises(Busy):
        shop.driver().append(PATH)
    with pytest.raises(Busy):
        shop.driver().read(PATH)
    appender.close()
    shop.driver().append(PATH).close()


a_step = st.tuples(
    st.sampled_from(["write", "write", "sync", "open", "restart", "truncate"]), st.integers(0, 3500)
)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(a_step, max_size=9))
def test_any_order_of_steps_is_as_with_a_file(shop: Shop, steps: list[tuple[str, int]]) -> None:
    shop = Shop(shop.place, shop.folder, shop.part_bytes)
    driver, appender = begun(shop)
    content = b""
    for number, (step, at) in enumerate(steps):
        if step == "write":
            chunk = shop.bytes(at / 1000, number)
            appender.write(chunk)
            content += chunk
        elif step == "sync":
            appender.sync()
        elif step == "open":
            assert driver.read(PATH) == content
        elif step == "restart":
            killed(appender)
            driver = shop.driver()
            appender = driver.append(PATH)
        elif step == "truncate":
            content = content[:at]
            appender.truncate(len(content))
        assert appender.size_bytes == len(content)
    appender.close()
    assert shop.driver().stat(PATH).size_bytes == len(content)
    assert shop.driver().read(PATH) == content
    shop.driver().move(PATH, "blobs/x")
    assert shop.driver().read("blobs/x") == content
    shop.driver().delete("blobs/x")
    assert (shop.uploads(), shop.stored()) == ([], [])


def test_a_state_is_what_its_metadata_say() -> None:
    state = State("token", 5, "base", 7, Upload("up", "an+id/=="), (1, 2, 3, 7, 9, 10), 12)
    assert parse(state.metadata()) == state
    assert parse(State("token", 5).metadata()) == State("token", 5)
    assert not state.is_crowded
    assert State("t", 5, None, 0, Upload("u", "i"), tuple(range(1, 9999, 2)), 9999).is_crowded


def test_sizes_of_parts_grow() -> None:
    state = State("token", 16 << 20)
    assert state.part_size(8000) == 16 << 20
    assert sum(state.part_size(number) for number in range(1, 8001)) == 125 << 30
    assert sum(state.part_size(number) for number in range(1, 10_001)) > 1 << 40
    assert max(State("token", 5 << 30).part_size(number) for number in range(1, 10_001)) < 5 << 30
    assert state.part_size(10_001) == 0


def test_the_last_part_there_can_be(shop: Shop) -> None:
    driver, appender = begun(shop)
    appender.write(shop.bytes(1.5))
    state = appender._state
    assert state is not None
    # As if there had been all but one, all of them thrown away.
    appender._state = State(state.token, state.part_bytes, None, 0, state.upload, (1,), 10_000)
    last = appender._state.part_size(10_000)
    appender.write(bytes(last - shop.part_bytes // 2))
    with pytest.raises(OSError, match="no more parts"):
        appender.write(b"x")
    assert driver.read(PATH) == shop.bytes(1.5) + bytes(last - shop.part_bytes // 2)
    appender.close()
