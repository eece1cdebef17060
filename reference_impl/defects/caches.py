"""F: caches that outlive what they remember, and content that never heals."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from ..api.manifests import Manifests as ManifestEndpoints
from ..deviations import Defect
from ..drivers.base import NotFound, Reader
from ..registry import layout
from ..registry.content import Blob, Content
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.manifests import Accepted, Manifest, Manifests
from ..registry.sessions import Upload

Names = dict[tuple[str, Digest], Blob]


class _Remembered(Content):
    """Descriptors of blobs are remembered by repository and digest, and nothing forgets them."""

    _known: ClassVar[Names] = {}

    def find(self, repository: str, digest: Digest) -> Blob:
        key = (repository, digest)
        if key not in self._known:
            self._known[key] = super().find(repository, digest)
        return self._known[key]

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        blob = super().publish(repository, source, claimed)
        self._known[repository, claimed] = blob
        return blob


class _RememberedSizes(Content):
    """Sizes of content are remembered by digest: what a collector removes is there still, but empty."""

    _sizes: ClassVar[dict[Digest, int]] = {}
    _links: ClassVar[dict[tuple[str, Digest], Digest]] = {}

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        return super().resolve(repository, digest) or self._links.get((repository, digest))

    def lease(self, canonical: Digest) -> int | None:
        found = super().lease(canonical)
        return self._sizes.get(canonical) if found is None else self._sizes.setdefault(canonical, found)

    def link(self, repository: str, canonical: Digest, under: Iterable[Digest]) -> None:
        names = set(under)
        super().link(repository, canonical, names)
        self.lease(canonical)
        self._links.update({(repository, name): canonical for name in names})

    def open(self, repository: str, digest: Digest) -> tuple[Blob, Reader]:
        try:
            return super().open(repository, digest)
        except NotFound:
            canonical = self._links[repository, digest]
            return Blob(digest, canonical, self._sizes[canonical]), _Nothing()

    def delete(self, repository: str, digest: Digest) -> None:
        self._links.pop((repository, digest), None)
        super().delete(repository, digest)


class _Nothing:
    size_bytes = 0

    def read_at(self, offset: int, length_bytes: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class _SkipsKnown(Content):
    """What is known to be in a repository is not stored again; a deletion does not change what is known."""

    _known: ClassVar[Names] = {}

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        key = (repository, claimed)
        if key in self._known:
            return self._known[key]
        self._known[key] = super().publish(repository, source, claimed)
        return self._known[key]


class _SkipsStored(Content):
    """A file at the place of a digest is taken for its content, whatever is in it."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        try:
            size_bytes = self._driver.stat(layout.blob_data(claimed)).size_bytes
        except NotFound:
            return super().publish(repository, source, claimed)
        self.link(repository, claimed, {claimed})
        return Blob(claimed, claimed, size_bytes)


class _RemembersAbsence(Content):
    """That a blob is not there is remembered for a minute, whoever pushes it meanwhile."""

    _absent: ClassVar[dict[tuple[str, Digest], float]] = {}

    def find(self, repository: str, digest: Digest) -> Blob:
        key = (repository, digest)
        if self._absent.get(key, 0.0) > time.monotonic():
            raise self._unknown(repository, digest)
        try:
            return super().find(repository, digest)
        except Refusal:
            self._absent[key] = time.monotonic() + 60.0
            raise


class _RememberedManifests(Manifests):
    """Manifests are remembered by repository and digest for as long as their content is stored: deleting one
    does not change that, collecting it does."""

    _known: ClassVar[dict[tuple[str, Digest], Manifest]] = {}

    def get(self, repository: str, reference: Digest | str) -> Manifest:
        if not isinstance(reference, Digest):
            return super().get(repository, reference)
        key = (repository, reference)
        known = self._known.get(key)
        if known is None or not self._content._present(known.canonical):
            self._known[key] = known = super().get(repository, reference)
        return known


class _PutSkipsKnown(Manifests):
    """A manifest that was put once is not stored again, only tagged."""

    _known: ClassVar[set[tuple[str, bytes]]] = set()

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        accepted = super().put(repository, reference, body, content_type, more_tags)
        self._known.add((repository, body))
        return accepted

    def _store(self, repository: str, canonical: Digest, body: bytes) -> None:
        if (repository, body) not in self._known:
            super()._store(repository, canonical, body)


class _CachePerConnection(ManifestEndpoints):
    """Each connection has a replica of its own, which hears of no change that came by another one."""

    _answers: ClassVar[dict[tuple[object, ...], Response]] = {}

    async def pull(self, request: Request) -> Response:
        key = (request.client, request.url.path, "GET")
        if key not in self._answers:
            self._answers[key] = await super().pull(request)
        return self._answers[key]

    async def look(self, request: Request) -> Response:
        key = (request.client, request.url.path, "HEAD")
        if key not in self._answers:
            self._answers[key] = await super().look(request)
        return self._answers[key]

    async def push(self, request: Request) -> Response | None:
        self._forget(request)
        return await super().push(request)

    async def delete(self, request: Request) -> Response:
        self._forget(request)
        return await super().delete(request)

    def _forget(self, request: Request) -> None:
        for key in [key for key in self._answers if key[0] == request.client]:
            del self._answers[key]


class _CountsBeforeWriting(Upload):
    """The descriptor is cached before the content is in place, and stays if it never comes there."""

    def commit(self, claimed: Digest) -> Blob:
        _Remembered._known[self.repository, claimed] = Blob(claimed, claimed, self.size_bytes)
        return super().commit(claimed)


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "descriptor-cache-survives-delete",
        "HEAD still finds a blob that was deleted",
        (_Remembered,),
        kind="F",
        sources=("distribution 492844e0 (redis), fixed in 2.7", "zot #1733, fixed after 2.1.19 by #4363"),
        violates=("P5", "P1", "P2"),
        operations=3,
    ),
    Defect(
        "descriptor-cache-survives-collection",
        "what a collector removed is found still, is empty when it is read, and is taken by manifests",
        (_RememberedSizes,),
        kind="F",
        sources=("distribution #1803, #2094, #4525, PR #4849 (open)",),
        violates=("P1", "P2", "P3", "P9"),
        needs=("collect",),
        operations=3,
    ),
    Defect(
        "descriptor-cached-before-content",
        "HEAD finds a blob whose push was refused",
        (_Remembered, _CountsBeforeWriting),
        kind="F",
        sources=("nora #604, fixed in 0.9.4 by #613",),
        violates=("P3", "P1", "P8", "P12"),
        operations=3,
    ),
    Defect(
        "known-blob-not-stored-again",
        "pushing a blob again after it was deleted or collected is acknowledged, and does nothing",
        (_SkipsKnown,),
        kind="F",
        sources=("gitea #21862, worked around in 1.18",),
        violates=("P9", "P3", "P2"),
        operations=4,
    ),
    Defect(
        "damaged-blob-not-replaced",
        "pushing the right bytes does not replace a blob that is truncated on the disk",
        (_SkipsStored,),
        kind="F",
        sources=("zot #1922, fixed in 2.0.0 by #1927", "go-containerregistry #2124, fixed in 0.21.6"),
        violates=("P9", "P1", "P2"),
        needs=("storage",),
        operations=4,
    ),
    Defect(
        "absence-remembered",
        "HEAD does not find a blob that was pushed after somebody had asked for it",
        (_RemembersAbsence,),
        kind="F",
        sources=("quay PROJQUAY-12223, fixed in 2026-08 (what was not there stays so for 60 s)",),
        violates=("P3", "P2", "P9"),
        operations=4,
    ),
    Defect(
        "manifest-cache-survives-delete",
        "a manifest that was deleted can still be pulled by its digest",
        (_RememberedManifests,),
        kind="F",
        sources=("distribution #1803, fixed on main by #4868", "trow #460, fixed in 2025"),
        violates=("P5", "P2", "P10"),
        operations=7,
    ),
    Defect(
        "known-manifest-not-stored-again",
        "putting a manifest again after it was collected is acknowledged, and does nothing",
        (_PutSkipsKnown,),
        kind="F",
        sources=("distribution PR #4849 (open)",),
        violates=("P9", "P2", "P3", "P4"),
        needs=("collect",),
        operations=5,
    ),
    Defect(
        "cache-per-connection",
        "a client goes on to see a tag as it was, though another client has moved it",
        (_CachePerConnection,),
        kind="F",
        sources=("trow 12ed893, fixed in 2022",),
        violates=("P4", "P5", "P9"),
    ),
)
