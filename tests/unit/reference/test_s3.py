"""What is particular to the S3 driver: folders, leases, copies, refusals, owners and leftovers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reference_impl.drivers.base import DriverError
from reference_impl.registry import layout, names
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .buckets import Shop, s3_driver
from .images import sha

REPO = "team/app"
BLOB = f"{layout.BLOBS}/sha256/ab/abc/data"


ALL_UPLOADS_NS = 1_300_000_000 * 10**9
"""moto says of all uploads that they began in 2010."""


def soon_ns() -> int:
    return time.time_ns() + 3600 * 10**9


# -- whole pushes --------------------------------------------------------------------------


def push(registry: Registry, *chunks: bytes, claimed: bytes | None = None) -> str:
    session = registry.sessions.create(REPO)
    for chunk in chunks:
        upload = registry.sessions.resume(REPO, session)
        upload.write(chunk)
        upload.keep()
    whole = b"".join(chunks) if claimed is None else claimed
    registry.sessions.resume(REPO, session).commit(names.digest(sha(whole)))
    return session


def pulled(registry: Registry, data: bytes) -> bytes:
    blob, reader = registry.content.open(REPO, names.digest(sha(data)))
    try:
        blocks = [reader.read_at(at, 999) for at in range(0, blob.size_bytes, 999)]
        return b"".join(blocks)
    finally:
        reader.close()


@pytest.mark.parametrize("parts", [(), (0.5,), (1, 1), (2.5, 0.1, 3)])
def test_a_push_leaves_a_blob_and_nothing_else(shop: Shop, parts: tuple[float, ...]) -> None:
    registry = Registry(shop.driver())
    chunks = [shop.bytes(size, number) for number, size in enumerate(parts)]
    push(registry, *chunks)
    assert pulled(Registry(shop.driver()), b"".join(chunks)) == b"".join(chunks)
    assert (shop.uploads(), shop.stored(layout.SCRATCH)) == ([], [])
    assert [key for key in shop.stored() if "_uploads" in key] == []


def test_a_refused_digest_leaves_the_session_as_it_was(shop: Shop) -> None:
    registry = Registry(shop.driver())
    start, wrong, right = shop.bytes(1.7), shop.bytes(2.2, 1), shop.bytes(2.4, 2)
    session = registry.sessions.create(REPO)
    upload = registry.sessions.resume(REPO, session)
    upload.write(start)
    upload.keep()
    for _ in range(2):
        upload = registry.sessions.resume(REPO, session)
        upload.write(wrong)
        with pytest.raises(Refusal, match="DIGEST_INVALID"):
            upload.commit(names.digest(sha(start + right)))
        registry = Registry(shop.driver())
        assert registry.sessions.size(REPO, session) == len(start)
    upload = registry.sessions.resume(REPO, session)
    upload.write(right)
    upload.commit(names.digest(sha(start + right)))
    assert pulled(registry, start + right) == start + right
    assert (shop.uploads(), shop.stored(layout.SCRATCH)) == ([], [])


def test_more_than_a_thousand_parts(shop: Shop) -> None:
    shop.part_bytes = 64
    data = shop.bytes(1003.5)
    registry = Registry(shop.driver())
    push(registry, data[: 64 * 500 + 7], data[64 * 500 + 7 :])
    assert pulled(registry, data) == data


@pytest.mark.parametrize("parts", [1, 1.7, 4])
def test_large_objects_are_copied_in_ranges(shop: Shop, parts: float) -> None:
    driver = shop.driver(copy_size_bytes=len(shop.bytes(parts)))
    data = shop.bytes(4)
    driver.write("a", data)
    driver.link("a", "b/c")
    driver.move("a", "d")
    assert (shop.driver().read("b/c"), shop.driver().read("d")) == (data, data)
    assert (shop.uploads(), shop.stored()) == ([], ["b/c", "d"])


def test_a_reader_never_mixes_two_contents(shop: Shop) -> None:
    driver = shop.driver()
    old, new = bytes(3 << 20), bytes([1]) * (3 << 20)
    driver.write("a", old)
    straight, back_and_forth = driver.open("a"), driver.open("a")
    assert straight.read_at(0, 10) + back_and_forth.read_at(2 << 20, 10) == old[:20]
    driver.write("a", new)
    with pytest.raises(DriverError):
        back_and_forth.read_at(1 << 20, 10)
    with contextlib.suppress(DriverError):
        assert straight.read_at(10, 3 << 20) == old[10:]
    with pytest.raises(DriverError):
        straight.read_at(0, 10)
    straight.close()
    back_and_forth.close()


# -- folders -------------------------------------------------------------------------------


def test_listings_come_in_pages(shop: Shop) -> None:
    driver = shop.driver(page_entries=3)
    paths = [f"f/{number}/{name}" for number in range(4) for name in ("x", "y")]
    for path in paths:
        driver.write(path, b"")
    driver.make_folder("f")
    assert driver.list("f") == ["0", "1", "2", "3"]
    assert [path for path, _ in driver.walk("f")] == paths
    driver.move("f", "g")
    assert [path for path, _ in driver.walk("g")] == [path.replace("f", "g") for path in paths]
    driver.delete("g")
    assert shop.stored() == []


def test_a_folder_of_more_than_a_thousand_is_deleted(shop: Shop) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(1100):
            pool.submit(
                shop.client.put_object, Bucket=shop.place.bucket, Key=f"{shop.prefix}f/{number}", Body=b""
            )
    driver = shop.driver()
    assert len(driver.list("f")) == 1100
    driver.delete("f")
    assert shop.stored() == []


def test_what_decides_goes_first_and_comes_last(shop: Shop) -> None:
    """A tag is there if ``current/link`` is: readers see all of a folder's change in this one."""
    driver = shop.driver()
    for name in ("current/link", "index/sha256/ab/link"):
        driver.write(f"tmp/t/{name}", b"")
    asked: list[tuple[str, str]] = []

    def note(model: object, params: dict[str, object], **_: object) -> None:
        name, path = getattr(model, "name", ""), str(params["url_path"])
        if name in ("CopyObject", "DeleteObject"):
            asked.append((name, path.rpartition("/t/")[2]))

    for timeout_s in (None, driver.bucket.place.long_timeout_s):
        driver.bucket.client(timeout_s).meta.events.register("before-call.s3", note)
    driver.move("tmp/t", "tags/t")
    copied = [path for name, path in asked if name == "CopyObject"]
    assert copied == ["index/sha256/ab/link", "current/link"]
    asked.clear()
    driver.delete("tags/t")
    assert asked[0] == ("DeleteObject", "current/link")


# -- leases --------------------------------------------------------------------------------


def test_each_replacement_has_a_time_of_its_own(shop: Shop) -> None:
    """The server counts whole seconds, and these all happen in one or two."""
    driver = shop.driver()
    driver.write("other", b"1")
    steps: list[Callable[[], None]] = [
        lambda: driver.write(BLOB, b"1"),
        lambda: driver.write(BLOB, b"1"),
        lambda: driver.touch(BLOB),
        lambda: driver.link("other", BLOB),
        lambda: driver.move("other", BLOB),
    ]
    times = []
    for step in steps:
        step()
        times.append(driver.stat(BLOB).mtime_ns)
        assert dict(shop.driver().walk(layout.BLOBS))[BLOB] == shop.driver().stat(BLOB)
    assert times == sorted(set(times))


def test_a_lease_begins_after_the_servers_time_whatever_our_clock_says(shop: Shop, tmp_path: Path) -> None:
    """An object of another host's, say: then replaced within the second in which it was made."""
    slow = s3_driver(shop.place, str(tmp_path / "slow"), shop.prefix, clock=lambda: 1)
    shop.client.put_object(Bucket=shop.place.bucket, Key=shop.prefix + BLOB, Body=b"1")
    noted = dict(slow.walk(layout.BLOBS))[BLOB].mtime_ns
    slow.write(BLOB, b"1")
    assert slow.stat(BLOB).mtime_ns > noted
    touched = slow.stat(BLOB).mtime_ns
    slow.touch(BLOB)
    assert slow.stat(BLOB).mtime_ns > touched


def test_a_lease_goes_with_its_file_and_old_ones_are_cleared(shop: Shop, tmp_path: Path) -> None:
    now = [10**18]
    driver = s3_driver(shop.place, str(tmp_path / "x"), shop.prefix, clock=lambda: now[0])
    for number in range(3):
        driver.write(f"{layout.BLOBS}/{number}", b"")
    driver.delete(f"{layout.BLOBS}/0")
    assert len(list((tmp_path / "x" / "leases").rglob("*/*"))) == 2
    far = 4 * 10**18
    driver.touch(f"{layout.BLOBS}/1", far)
    assert driver.clear_leftovers(far) == 1
    assert driver.stat(f"{layout.BLOBS}/1").mtime_ns > far


# -- leftovers -----------------------------------------------------------------------------


def test_leftovers_go_and_sessions_stay(shop: Shop) -> None:
    driver = shop.driver()
    registry = Registry(driver)
    session = registry.sessions.create(REPO)
    upload = registry.sessions.resume(REPO, session)
    upload.write(shop.bytes(2.5))
    upload.keep()
    at_work = registry.sessions.unnamed(REPO)
    at_work.write(shop.bytes(1.5, 1))
    parts = f"{layout.SCRATCH}/parts/0123"
    driver.write(f"{layout.SCRATCH}/killed/current/link", b"x")
    driver.write(f"{parts}/{layout.session_data(REPO, session)}", b"base of nobody")
    driver.write(f"{parts}/repositories/gone/data", b"base of what is gone")
    for key in (f"{parts}/{layout.session_data(REPO, session)}", f"{parts}/gone", "blobs/being/copied"):
        shop.client.create_multipart_upload(Bucket=shop.place.bucket, Key=shop.prefix + key)
    assert driver.clear_leftovers(ALL_UPLOADS_NS) == 3
    assert driver.clear_leftovers(soon_ns()) == 3
    assert len(shop.uploads()) == 2
    at_work.commit(names.digest(sha(shop.bytes(1.5, 1))))
    upload = registry.sessions.resume(REPO, session)
    upload.commit(names.digest(sha(shop.bytes(2.5))))
    assert pulled(registry, shop.bytes(2.5)) == shop.bytes(2.5)
    assert (shop.uploads(), shop.stored(layout.SCRATCH)) == ([], [])


def test_more_than_a_thousand_open_uploads(shop: Shop) -> None:
    registry = Registry(shop.driver())
    session = registry.sessions.create(REPO)
    upload = registry.sessions.resume(REPO, session)
    upload.write(shop.bytes(1.5))
    upload.keep()

    def begin(number: int) -> None:
        key = f"{shop.prefix}{layout.SCRATCH}/parts/{number}/repositories/r/_uploads/{number}/data"
        shop.client.create_multipart_upload(Bucket=shop.place.bucket, Key=key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(begin, range(1001)))
    assert registry.driver.clear_leftovers(soon_ns()) == 1001
    assert len(shop.uploads()) == 1
    assert registry.sessions.size(REPO, session) == len(shop.bytes(1.5))


def test_an_upload_that_someone_else_aborted_is_a_session_that_is_gone(shop: Shop) -> None:
    registry = Registry(shop.driver())
    session = registry.sessions.create(REPO)
    upload = registry.sessions.resume(REPO, session)
    upload.write(shop.bytes(2.5))
    upload.keep()
    ((key, upload_id),) = shop.uploads()
    shop.client.abort_multipart_upload(Bucket=shop.place.bucket, Key=key, UploadId=upload_id)
    with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
        registry.sessions.size(REPO, session)
