"""What the S3 driver refuses: whatever the server does not say, and buckets of other hosts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from reference_impl.drivers.base import DriverError, NotFound, Unavailable
from reference_impl.drivers.s3.driver import S3Driver
from reference_impl.drivers.s3.place import PART_MIN_BYTES, Place
from reference_impl.registry import layout, names, store
from reference_impl.registry.store import Registry

from .buckets import OWNER, Backend, Shop, client, fresh_prefix
from .images import sha, store_image
from .test_s3 import REPO, pulled


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """Nobody listens there as long as the test holds the port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


# -- refusals ------------------------------------------------------------------------------

ANYTHING: list[Callable[[S3Driver], object]] = [
    lambda driver: driver.read("a"),
    lambda driver: driver.open("a"),
    lambda driver: driver.stat("a"),
    lambda driver: driver.list("a"),
    lambda driver: list(driver.walk("a")),
    lambda driver: driver.write("a", b""),
    lambda driver: driver.create("a"),
    lambda driver: driver.append("a"),
    lambda driver: driver.settle("a"),
    lambda driver: driver.touch("a"),
    lambda driver: driver.make_folder("a"),
    lambda driver: driver.move("a", "b"),
    lambda driver: driver.link("a", "b"),
    lambda driver: driver.delete("a"),
    lambda driver: driver.discard("a"),
    lambda driver: driver.remove_empty("a"),
    lambda driver: driver.clear_leftovers(0),
    lambda driver: driver.claim(),
    lambda driver: driver.look(),
]


@pytest.mark.parametrize("number", range(len(ANYTHING)))
def test_a_bucket_that_is_not_there_says_nothing_about_a_path(
    place: Place, number: int, tmp_path: Path
) -> None:
    driver = Shop(place, str(tmp_path), 1000).driver(bucket="elsewhere")
    with pytest.raises(Unavailable, match="bucket elsewhere: NoSuchBucket"):
        ANYTHING[number](driver)


@pytest.mark.parametrize("number", range(len(ANYTHING)))
def test_a_server_that_is_not_there_says_nothing_about_a_path(
    place: Place, number: int, tmp_path: Path, unused_endpoint: str
) -> None:
    driver = Shop(place, str(tmp_path), 1000).driver(endpoint=unused_endpoint, attempts=1)
    with pytest.raises(Unavailable, match=f"bucket {place.bucket}: Could not connect"):
        ANYTHING[number](driver)


def test_a_server_that_is_silent_is_given_up(place: Place, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        driver = Shop(place, str(tmp_path), 1000).driver(endpoint=endpoint, timeout_s=0.1, attempts=2)
        with pytest.raises(Unavailable, match="Read timeout"):
            driver.read("a")
        with pytest.raises(Unavailable, match="Read timeout"):
            driver.append("a")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, Unavailable),
        ("SlowDown", 503, Unavailable),
        ("InternalError", 500, Unavailable),
        ("404", 404, Unavailable),
        ("NoSuchKey", 404, NotFound),
        ("InvalidArgument", 400, DriverError),
    ],
)
def test_answers_and_what_they_mean(shop: Shop, code: str, status: int, kind: type[DriverError]) -> None:
    driver = shop.driver(attempts=1)

    def fail(**_: object) -> None:
        answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "GetObject")  # type: ignore[arg-type]

    driver.bucket.client().meta.events.register("before-call.s3", fail)
    with pytest.raises(DriverError) as caught:
        driver.read("a")
    assert type(caught.value) is kind
    assert kind is NotFound or f"bucket {shop.place.bucket}" in str(caught.value)


def test_a_server_that_comes_back(backend: Backend, tmp_path: Path) -> None:
    """Nothing is lost, and the same driver goes on."""
    shop = Shop(backend.bucket, str(tmp_path), PART_MIN_BYTES)
    registry = Registry(shop.driver(attempts=1))
    session = registry.sessions.create(REPO)
    upload = registry.sessions.resume(REPO, session)
    upload.write(shop.bytes(2.5))
    upload.keep()
    upload = registry.sessions.resume(REPO, session)
    upload.write(shop.bytes(0.2, 1))
    backend.stop()
    with pytest.raises(Unavailable):
        upload.write(shop.bytes(2, 2))
    with pytest.raises(Unavailable):
        upload.keep()
    for call in (lambda: registry.sessions.size(REPO, session), lambda: registry.tags.resolve(REPO, "t")):
        with pytest.raises(Unavailable):
            call()
    backend.start()
    whole = shop.bytes(2.5) + shop.bytes(0.2, 1) + shop.bytes(2, 2)
    size_bytes = registry.sessions.size(REPO, session)
    assert len(shop.bytes(2.7)) <= size_bytes < len(whole)
    upload = registry.sessions.resume(REPO, session)
    upload.write(whole[size_bytes:])
    upload.commit(names.digest(sha(whole)))
    assert pulled(registry, whole) == whole


# -- owners --------------------------------------------------------------------------------


def test_one_coordination_folder_owns_a_prefix(shop: Shop, tmp_path: Path) -> None:
    first, again = shop.driver(), shop.driver()
    first.claim()
    again.claim()
    other = shop.driver(folder=str(tmp_path / "other"))
    with pytest.raises(DriverError) as caught:
        other.claim()
    assert str(caught.value).count("\n") == 0
    assert shop.folder in str(caught.value)
    assert "take_over" in str(caught.value)
    other.claim(take_over=True)
    other.claim()
    with pytest.raises(DriverError, match="belongs to"):
        first.claim()


def test_of_many_that_claim_at_once_one_wins(shop: Shop, tmp_path: Path) -> None:
    def claim(number: int) -> bool:
        try:
            shop.driver(folder=str(tmp_path / str(number))).claim()
        except DriverError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_an_owner_that_cannot_be_read_is_taken_over_only_by_request(shop: Shop) -> None:
    shop.client.put_object(Bucket=shop.place.bucket, Key=shop.prefix + OWNER, Body=b"x")
    with pytest.raises(DriverError, match="take_over"):
        shop.driver().claim()
    shop.driver().claim(take_over=True)
    shop.driver().claim()


def test_opening_a_store(place: Place, tmp_path: Path) -> None:
    prefix = fresh_prefix()
    driver = store.s3_driver(place, str(tmp_path / "a"), prefix=f"/{prefix}")
    store_image(Registry(driver), REPO, "t", b"layer")
    found = client(place).list_objects_v2(Bucket=place.bucket, Prefix=f"{prefix}{layout.ROOT}/blobs/")
    assert found["KeyCount"] == 3
    with pytest.raises(DriverError, match="take_over"):
        store.s3_driver(place, str(tmp_path / "b"), prefix=prefix)
    reading = store.s3_driver(place, str(tmp_path / "b"), prefix=prefix, read_only=True)
    assert Registry(reading).manifests.get(REPO, "t").body
    with pytest.raises(DriverError, match="part_size_bytes is 5000000"):
        store.s3_driver(place, str(tmp_path / "a"), prefix=prefix, part_size_bytes=5_000_000)


def test_who_does_not_use_s3_does_not_load_its_client() -> None:
    code = (
        "import sys, reference_impl.registry.store as store; store.filesystem_driver('.');"
        " sys.exit('botocore' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
