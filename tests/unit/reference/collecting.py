"""Collections for the tests, and ways to interfere with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from reference_impl.collect.events import Event, line
from reference_impl.collect.run import Policy, Summary, collect
from reference_impl.drivers.base import Driver, NotFound
from reference_impl.registry import layout
from reference_impl.registry.digests import Digest, digest_of
from reference_impl.registry.store import Registry

from .images import INDEX, descriptor, index, sha, store_blob, store_image, store_manifest

REPO = "team/app"


def collected(registry: Registry, emit: Callable[[Event], None] | None = None, **policy: Any) -> Summary:
    return collect(registry, Policy(**policy), emit or (lambda event: None))


def lines_of(registry: Registry, **policy: Any) -> list[str]:
    found: list[str | None] = []
    collected(registry, lambda event: found.append(line(event)), **policy)
    return [one for one in found if one is not None]


def at(step: str, action: Callable[[], object], number: int | None = None) -> Callable[[Event], None]:
    """Do something once, when a collection comes to a step."""
    left = [action]

    def emit(event: Event) -> None:
        if left and event.step == step and number in (None, event.number):
            left.pop()()

    return emit


class Crash(Exception):
    """As a kill would end a collection: nothing of it goes on."""


def crash_at(step: str, number: int) -> Callable[[Event], None]:
    def crash() -> None:
        raise Crash

    return at(step, crash, number)


def is_stored(registry: Registry, data: bytes) -> bool:
    return is_there(registry.driver, layout.blob_data(digest_of(data)))


def is_there(driver: Driver, path: str) -> bool:
    try:
        driver.stat(path)
    except NotFound:
        return False
    return True


def assert_pullable(registry: Registry, repo: str, body: bytes, *layers: bytes) -> None:
    assert registry.manifests.get(repo, digest_of(body)).body == body
    for layer in layers:
        reader = registry.content.open(repo, digest_of(layer))[1]
        assert reader.read_at(0, len(layer) + 1) == layer
        reader.close()


def tear(driver: Driver, path: str) -> None:
    """Leave an empty file, as a killed Distribution 2.8 does."""
    assert is_there(driver, path)
    driver.write(path, b"")


def trashed(driver: Driver) -> list[str]:
    return [path for path, _ in driver.walk(layout.TRASH)]


def write_foreign_manifest(registry: Registry, repo: str, body: bytes, tag: str | None = None) -> Digest:
    """As a registry that neither locks nor leases would: the bytes, a link, a tag."""
    digest, driver = digest_of(body), registry.driver
    text = str(digest).encode()
    driver.write(layout.blob_data(digest), body)
    driver.write(layout.revision_link(repo, digest), text)
    if tag is not None:
        driver.write(layout.tag_current_link(repo, tag), text)
    return digest


class Store:
    """A store with something of everything: what must stay, and what must go."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.kept: list[tuple[str, bytes, tuple[bytes, ...]]] = []
        self.garbage = [f"garbage {number}".encode() for number in range(3)]
        self._keep("shared", store_image(registry, REPO, "t", b"shared", b"own"), b"shared", b"own")
        self._keep("shared", store_image(registry, "other", "t", b"shared"), b"shared", repo="other")
        child = store_image(registry, REPO, None, b"child layer")
        self._keep("child", child, b"child layer")
        inner = index(child)
        store_manifest(registry, REPO, sha(inner), inner)
        self._keep("inner", inner)
        outer = index(inner, media_type=INDEX)
        store_manifest(registry, REPO, "index", outer)
        self._keep("outer", outer)
        signature = store_image(registry, REPO, None, b"signature", subject=descriptor(child))
        self._keep("signature", signature, b"signature")
        note = store_image(registry, REPO, None, b"note", subject=descriptor(signature))
        self._keep("note", note, b"note")
        for data in self.garbage:
            store_blob(registry, REPO, data)
        self.untagged = store_image(registry, REPO, "gone", b"untagged layer")
        registry.manifests.delete_tag(REPO, "gone")

    def _keep(self, _name: str, body: bytes, *layers: bytes, repo: str = REPO) -> None:
        self.kept.append((repo, body, layers))

    def assert_kept(self) -> None:
        for repo, body, layers in self.kept:
            assert_pullable(self.registry, repo, body, *layers)

    def assert_clean(self) -> None:
        for data in (*self.garbage, self.untagged, b"untagged layer"):
            assert not is_stored(self.registry, data)
        assert trashed(self.registry.driver) == []
        for path, _ in self.registry.driver.walk(layout.REPOSITORIES):
            assert str(digest_of(self.garbage[0]).encoded) not in path


def json_manifest(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def files(driver: Driver) -> Iterator[tuple[str, int]]:
    """All files with their sizes, but for locks."""
    for top in (layout.BLOBS, layout.REPOSITORIES, layout.PRIVATE):
        for path, found in driver.walk(top):
            if not path.startswith(layout.LOCKS):
                yield path, found.size_bytes
