"""A process that is killed at any of its requests to the S3 server, or has lost its connection for good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reference_impl.drivers.s3.driver import S3Driver
from reference_impl.registry import layout
from reference_impl.registry.digests import Digest, digest_of
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .buckets import Shop
from .images import index, store_manifest
from .test_s3 import soon_ns

REPO = "team/app"
EVENTS = ("before-send", "response-received")
"""The request never goes out; or it was carried out, and nobody learns of it."""


class Killed(BaseException):
    pass


class Requests:
    """Counts a driver's requests, and lets none go on from the ``last`` one."""

    def __init__(self, driver: S3Driver, event: str, last: int | None = None) -> None:
        self.count = 0
        self._last = last
        for timeout_s in (None, driver.bucket.place.long_timeout_s):
            driver.bucket.client(timeout_s).meta.events.register(f"{event}.s3", self._sent)

    def _sent(self, **_: Any) -> None:
        self.count += 1
        if self._last is not None and self.count >= self._last:
            raise Killed


@dataclass
class Push:
    """A blob pushed in chunks, the last one with the PUT, and what of it was acknowledged."""

    chunks: list[bytes]
    session: str = ""
    size_bytes: int = 0
    is_blob: bool = False

    @property
    def whole(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def digest(self) -> Digest:
        return digest_of(self.whole)

    def run(self, registry: Registry) -> None:
        self.session = registry.sessions.create(REPO)
        *first, last = self.chunks
        for chunk in first:
            upload = registry.sessions.resume(REPO, self.session)
            try:
                upload.write(chunk)
            finally:
                size_bytes = upload.keep()
            self.size_bytes = size_bytes
        upload = registry.sessions.resume(REPO, self.session)
        upload.write(last)
        upload.commit(self.digest)
        self.is_blob = True

    def go_on(self, registry: Registry) -> None:
        """Do as a client does that asks how far it is; what was acknowledged must be there."""
        if self.is_blob:
            return
        if not self.session:  # killed before it was told which one it has
            Push(self.chunks).run(registry)
            return
        try:
            size_bytes = registry.sessions.size(REPO, self.session)
        except Refusal:
            # As with files: between its two names the content is already under its digest.
            assert hashed(registry, self.digest) == self.digest.encoded
            Push(self.chunks).run(registry)
            return
        assert self.size_bytes <= size_bytes <= len(self.whole)
        upload = registry.sessions.resume(REPO, self.session)
        assert upload.size_bytes == size_bytes
        upload.write(self.whole[size_bytes:])
        upload.commit(self.digest)


def hashed(registry: Registry, digest: Digest) -> str:
    return hashlib.sha256(registry.driver.read(layout.blob_data(digest))).hexdigest()


def push_of(shop: Shop) -> Push:
    return Push([shop.bytes(2.4, 1), shop.bytes(1.3, 2)])


def each_kill(shop: Shop, event: str, run: Callable[[Registry], object]) -> Iterator[Shop]:
    """Run once to count, then once for each request, killed there; yields what is left each time."""
    driver = shop.driver()
    requests = Requests(driver, event)
    run(Registry(driver))
    assert requests.count > 3
    for last in range(1, requests.count + 1):
        killed = Shop(shop.place, shop.folder, shop.part_bytes)
        driver = killed.driver()
        Requests(driver, event, last)
        with pytest.raises(Killed):
            run(Registry(driver))
        for appender in [*driver._appenders.values()]:  # as the kernel does
            appender._lock.release()
        yield killed


@pytest.mark.parametrize(("event", "same_host"), [(EVENTS[0], True), (EVENTS[1], False)])
def test_a_chunked_push_killed_at_each_request(
    shop: Shop, event: str, same_host: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pushes: list[Push] = []

    def run(registry: Registry) -> None:
        pushes.append(push_of(shop))
        pushes[-1].run(registry)

    kills = 0
    for left in each_kill(shop, event, run):
        kills += 1
        folder = None if same_host else str(tmp_path_factory.mktemp("elsewhere"))
        registry = Registry(left.driver(folder))
        # However much it clears away: nothing of a session that is open.
        registry.driver.clear_leftovers(soon_ns())
        push = pushes[-1]
        push.go_on(registry)
        registry.content.find(REPO, push.digest)
        assert hashed(registry, push.digest) == push.digest.encoded
        registry.driver.clear_leftovers(soon_ns())
        assert left.uploads() == []
        assert left.stored(layout.SCRATCH) == []
        assert hashed(registry, push.digest) == push.digest.encoded
    assert kills >= 20


def test_tags_made_moved_and_deleted_with_a_kill_at_each_request(shop: Shop) -> None:
    """Each tag that can be seen leads to one of its two manifests, and can be set again."""
    old, new = index(annotations={"is": "old"}), index(annotations={"is": "new"})

    def run(registry: Registry) -> None:
        for body in (old, new):
            store_manifest(registry, REPO, "t", body)
        registry.manifests.delete(REPO, digest_of(old))
        registry.manifests.delete_tag(REPO, "t")

    for left in each_kill(shop, EVENTS[0], run):
        registry = Registry(left.driver())
        for tag in tags(registry):
            assert registry.manifests.get(REPO, tag).body in (old, new)
        store_manifest(registry, REPO, "t", old)
        assert tags(registry) == ["t"]
        assert registry.manifests.get(REPO, "t").body == old


def tags(registry: Registry) -> list[str]:
    try:
        return registry.tags.page(REPO, None, 100)[0]
    except Refusal:  # there is no such repository yet
        return []
