"""C: manifests, tags and referrers that are not what was pushed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from ..api.manifests import Manifests as ManifestEndpoints
from ..deviations import At, Defect
from ..drivers.base import Driver
from ..drivers.filesystem import FilesystemDriver
from ..registry import layout, locks, repositories
from ..registry.digests import Digest, digest_of
from ..registry.errors import Refusal
from ..registry.manifests import Accepted, Manifest, Manifests
from ..registry.tags import Tags
from .referrers import DEFECTS as REFERRERS

DISK_S = 0.008
"""What a step takes on a disk that spins."""


class _LinksInPlace(FilesystemDriver):
    """As Distribution's PutContent was: open, truncate, write, sync."""

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        for path, data in files:
            full = self._full(path)
            if not (path.endswith("/current/link") and os.path.exists(full)):
                super().write_all([(path, data)])
                continue
            fd = os.open(full, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                time.sleep(DISK_S)
                self._posix.write(fd, data)
                self._posix.sync(fd)
            finally:
                os.close(fd)


class _OneDocument(Manifests):
    """All tags of a repository are one document, which a push reads, changes, and writes back."""

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        document = dict(self._tags.all(repository))
        accepted = super().put(repository, reference, body, content_type, more_tags)
        own = {reference, *more_tags}
        with locks.changing(self._driver, repository):
            for tag, digest in list(self._tags.all(repository)):
                if tag not in own and tag not in document:
                    self._tags.remove(repository, tag)
                elif tag not in own and document[tag] != digest:
                    self._tags.point(repository, tag, document[tag])
        return accepted


class _FolderFirst(Tags):
    def point(self, repository: str, tag: str, digest: Digest) -> None:
        self._driver.make_folder(layout.tag_folder(repository, tag))
        time.sleep(DISK_S)
        super().point(repository, tag, digest)

    def _is_live(self, repository: str, tag: str) -> bool:
        return True


class _TagFirst(Manifests):
    def put(self, repository: str, reference: Digest | str, body: bytes, *rest: Any, **more: Any) -> Accepted:
        if isinstance(reference, str):
            with locks.changing(self._driver, repository):
                self._tags.point(repository, reference, digest_of(body))
        return super().put(repository, reference, body, *rest, **more)


class _AnyCase(Tags):
    """Tags in a column, or on a disk, that compares without regard to case."""

    def resolve(self, repository: str, tag: str) -> Digest | None:
        return super().resolve(repository, tag.lower())

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        super().point(repository, tag.lower(), digest)

    def remove(self, repository: str, tag: str) -> None:
        super().remove(repository, tag.lower())


class _OneTagOnly(Manifests):
    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        return super().put(repository, reference, body, content_type, more_tags[:1])


class _AnyDigest(Manifests):
    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        if not isinstance(reference, Digest):
            return super().put(repository, reference, body, content_type, more_tags)
        actual = digest_of(body, reference.algorithm)
        accepted = super().put(repository, actual, body, content_type, more_tags)
        return replace(accepted, digest=reference)


class _OneTransaction(Manifests):
    """A second push of the same manifest uses the transaction that the first has aborted."""

    _guard = threading.Lock()
    _under_way: ClassVar[set[tuple[str, bytes]]] = set()

    def put(self, repository: str, reference: Digest | str, body: bytes, *rest: Any, **more: Any) -> Accepted:
        key = (repository, body)
        with self._guard:
            if key in self._under_way:
                raise RuntimeError("current transaction is aborted, commands are ignored until its end")
            self._under_way.add(key)
        try:
            return super().put(repository, reference, body, *rest, **more)
        finally:
            with self._guard:
                self._under_way.discard(key)


def _made_twice(ensure: Callable[[Driver, str], None]) -> Callable[[Driver, str], None]:
    """Making a repository inserts a row, and whoever comes second fails."""
    under_way: set[str] = set()
    guard = threading.Lock()

    def racing(driver: Driver, name: str) -> None:
        if repositories.exists(driver, name):
            ensure(driver, name)
            return
        with guard:
            if name in under_way:
                raise RuntimeError(f"duplicate key value violates unique constraint: {name}")
            under_way.add(name)
        try:
            ensure(driver, name)
        finally:
            with guard:
                under_way.discard(name)

    return racing


class _Reencoded(ManifestEndpoints):
    async def _get(self, request: Request) -> Manifest:
        found = await super()._get(request)
        return replace(found, body=json.dumps(json.loads(found.body)).encode())


class _DownConverted(ManifestEndpoints):
    """Who does not name the manifest's type gets Docker's schema 1, also by digest."""

    async def _get(self, request: Request) -> Manifest:
        found = await super()._get(request)
        accepted = request.headers.get("accept", "*/*")
        if (
            found.media_type in accepted
            or "*/*" in accepted
            or "layers" not in (read := json.loads(found.body))
        ):
            return found
        layers = [{"blobSum": layer["digest"]} for layer in read["layers"]]
        old = {"schemaVersion": 1, "name": request.path_params["name"], "fsLayers": layers}
        return replace(
            found,
            body=json.dumps(old).encode(),
            media_type="application/vnd.docker.distribution.manifest.v1+json",
        )


class _FirstDigest(ManifestEndpoints):
    """The digest of a tag is remembered when it is first asked for."""

    _digests: ClassVar[dict[tuple[str, str], Digest]] = {}

    async def _get(self, request: Request) -> Manifest:
        found = await super()._get(request)
        name, reference = request.path_params["name"], request.path_params["reference"]
        if ":" in reference:
            return found
        return replace(found, digest=self._digests.setdefault((name, reference), found.digest))


class _RememberedHead(ManifestEndpoints):
    _heads: ClassVar[dict[tuple[str, str], Response]] = {}

    async def look(self, request: Request) -> Response:
        key = (request.path_params["name"], request.path_params["reference"])
        if key not in self._heads:
            self._heads[key] = await super().look(request)
        return self._heads[key]

    async def delete(self, request: Request) -> Response:
        self._heads.clear()
        return await super().delete(request)


class _FirstSize(ManifestEndpoints):
    """A move of a tag updates its digest, and not its size."""

    _sizes: ClassVar[dict[tuple[str, str], str]] = {}

    async def look(self, request: Request) -> Response:
        response = await super().look(request)
        name, reference = request.path_params["name"], request.path_params["reference"]
        if ":" not in reference:
            size = self._sizes.setdefault((name, reference), response.headers["content-length"])
            response.headers["content-length"] = size
        return response


class _ExactAccept(ManifestEndpoints):
    """Media types are compared as they are written, with their weights."""

    async def _get(self, request: Request) -> Manifest:
        found = await super()._get(request)
        reference = request.path_params["reference"]
        accepted = [one.strip() for one in request.headers.get("accept", "*/*").split(",")]
        if ":" in reference or "*/*" in accepted or found.media_type in accepted:
            return found
        raise Refusal("MANIFEST_UNKNOWN", {"tag": reference})


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "tag-link-truncated",
        "moving a tag empties its link before writing it, and who reads it meanwhile finds no tag",
        (_LinksInPlace,),
        kind="C",
        sources=("distribution #4478, fixed in 3.1.0 by #4624",),
        violates=("P4", "P3", "P2"),
        needs=("concurrency",),
        operations=6,
    ),
    Defect(
        "tag-update-lost",
        "of two pushes to one repository at the same time, one undoes the tag of the other",
        (_OneDocument,),
        kind="C",
        sources=("harbor #23118", "trow f378275"),
        violates=("P4", "P7"),
        needs=("concurrency",),
        operations=5,
    ),
    Defect(
        "tag-listed-before-link",
        "a new tag is listed before it can be pulled",
        (_FolderFirst,),
        kind="C",
        sources=("distribution, all versions: the tag's folder comes before current/link",),
        violates=("P7", "P4"),
        needs=("concurrency",),
        operations=4,
    ),
    Defect(
        "tag-moved-by-refused-push",
        "a tag moves before what it names is checked, so a refused push leaves it pointing at nothing",
        (_TagFirst,),
        kind="C",
        sources=("nora #653, fixed in 0.9.4 by #656",),
        violates=("P3", "P4", "P5", "P7"),
        operations=7,
    ),
    Defect(
        "tags-ignore-case",
        "two tags that differ in case are one",
        (_AnyCase,),
        kind="C",
        sources=("specification, row 6",),
        violates=("P4", "P7", "P5", "P3"),
        operations=4,
    ),
    Defect(
        "tag-params-dropped",
        "of several tags in one push only the first is set, though all are acknowledged",
        (_OneTagOnly,),
        kind="C",
        sources=("specification, row 63",),
        violates=("P4", "P7", "P3"),
        operations=3,
    ),
    Defect(
        "manifest-digest-unchecked",
        "a manifest pushed under another digest than its own is accepted",
        (_AnyDigest,),
        kind="C",
        sources=("specification, row 7", "nexspence #194 (blobs)"),
        violates=("P12", "P3"),
        operations=2,
    ),
    Defect(
        "same-manifest-twice-fails",
        "pushing the same manifest twice at the same time fails with an internal error",
        (_OneTransaction,),
        kind="C",
        sources=("harbor #15048, fixed in 2.3 by c26e45ef",),
        violates=("P11",),
        needs=("concurrency",),
        operations=4,
    ),
    Defect(
        "first-pushes-race",
        "two first pushes to a new repository at the same time: one fails with an internal error",
        (At(("registry.repositories:ensure",), _made_twice),),
        kind="C",
        sources=("pulp_container a08caf1f, 2021",),
        violates=("P11",),
        needs=("concurrency",),
        operations=5,
    ),
    Defect(
        "manifest-reencoded",
        "a manifest is read as JSON and written anew, so that its bytes are not those that were pushed",
        (_Reencoded,),
        kind="C",
        sources=("specification, row 53",),
        violates=("P1", "P12"),
        operations=2,
    ),
    Defect(
        "manifest-down-converted",
        "who does not ask for the manifest's type gets another document, also by digest",
        (_DownConverted,),
        kind="C",
        sources=("quay PROJQUAY-227, fixed in 2020 by fdc58b7e",),
        violates=("P1", "P12"),
        operations=4,
    ),
    Defect(
        "tag-digest-stale",
        "a tag that moved is answered with the new manifest and the old digest",
        (_FirstDigest,),
        kind="C",
        sources=("trow 12ed893, fixed in 2022",),
        violates=("P1", "P4", "P12"),
        operations=8,
    ),
    Defect(
        "tag-head-stale",
        "HEAD of a tag that moved shows what it pointed to before",
        (_RememberedHead,),
        kind="C",
        sources=("trow 12ed893, fixed in 2022",),
        violates=("P4", "P3", "P5", "P7"),
    ),
    Defect(
        "tag-size-stale",
        "HEAD of a tag that moved has the size of the manifest that it pointed to before",
        (_FirstSize,),
        kind="C",
        sources=("zot 3dc9885e, fixed in 1.1.1",),
        violates=("P1", "P12"),
        operations=8,
    ),
    Defect(
        "accept-weights-not-read",
        "a tag is answered with 404 to a client that gives its media types weights",
        (_ExactAccept,),
        kind="C",
        sources=("pulp_container #8565, fixed in 2026-08",),
        violates=("P4", "P1", "P12"),
        operations=4,
    ),
    *REFERRERS,
)
