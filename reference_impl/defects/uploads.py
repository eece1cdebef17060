"""B: uploads that become a blob too easily, or not at all; with those of chunks and of sessions."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from ..api import uploads as endpoints
from ..api.body import chunks as parts_of
from ..auth.base import Account
from ..deviations import Defect
from ..registry import layout, names, repositories
from ..registry.content import Blob, Content
from ..registry.digests import CANONICAL, Digest
from ..registry.errors import Refusal
from ..registry.sessions import Upload
from . import chunks, sessions

_PAGE = 3
_BUFFER_BYTES = 4096


class _Trusting(Content):
    """The digest is what the client says it is."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        if claimed.algorithm == CANONICAL:
            size_bytes = self._driver.stat(source).size_bytes
            repositories.ensure(self._driver, repository)
            self._driver.move(source, layout.blob_data(claimed))
            self.link(repository, claimed, {claimed})
            return Blob(claimed, claimed, size_bytes)
        return super().publish(repository, source, claimed)


class _LinksFirst(Content):
    """The blob is in place before its digest is looked at, and stays there."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        if claimed.algorithm == CANONICAL:
            repositories.ensure(self._driver, repository)
            self._driver.link(source, layout.blob_data(claimed))
            self.link(repository, claimed, {claimed})
        return super().publish(repository, source, claimed)


class _NoEmpty(Upload):
    def commit(self, claimed: Digest) -> Blob:
        if not self.size_bytes:
            self._release()
            raise OSError("there is no part to complete the upload with")
        return super().commit(claimed)


class _Buffered(Upload):
    """What is less than a buffer reaches the file only when that is closed: after the digest was taken."""

    _left = b""

    @property
    def size_bytes(self) -> int:
        return self._appender.size_bytes + len(self._left)

    def write(self, data: bytes) -> None:
        self._left += data
        if len(self._left) >= _BUFFER_BYTES or not self.start:
            self._flush()

    def keep(self) -> int:
        self._flush()
        return super().keep()

    def _flush(self) -> None:
        left, self._left = self._left, b""
        super().write(left)


class _BodyIgnored(endpoints.Uploads):
    """A PUT that closes an upload with chunks is taken to have no body."""

    async def _copy(self, request: Request, upload: Upload) -> bytes:
        if request.method != "PUT" or not upload.start:
            return await super()._copy(request, upload)
        async for _ in parts_of(request, self._context.limits):
            pass
        return b""


class _Unstored(endpoints.Uploads):
    """A POST with a digest is answered as if the body had been stored."""

    async def _push_at_once(self, request: Request, repository: str, digest_text: str) -> Response | None:
        async for _ in parts_of(request, self._context.limits):
            pass
        digest = names.digest(digest_text)
        return endpoints._created(repository, Blob(digest, digest, 0))


class _Unplaced(endpoints.Uploads):
    async def finish(self, request: Request) -> Response | None:
        response = await super().finish(request)
        if response is not None:
            del response.headers["Location"]
        return response


class _OneAtATime(endpoints.Uploads):
    """Of two clients that finish the same blob at the same time the second one is refused."""

    _at_work: ClassVar[Counter[str]] = Counter()

    async def finish(self, request: Request) -> Response | None:
        digest = request.query_params.get("digest", "")
        if self._at_work[digest]:
            raise Refusal("BLOB_UPLOAD_INVALID", {"reason": "cannot be updated"})
        self._at_work[digest] += 1
        try:
            return await super().finish(request)
        finally:
            self._at_work[digest] -= 1


class _OnePage(endpoints.Uploads):
    """The parts of an upload are listed, and only the first page of that is looked at."""

    _parts: ClassVar[Counter[str]] = Counter()

    async def _resume(self, request: Request, account: Account, declared: chunks.Declared) -> Upload:
        session = request.path_params["session"]
        if self._parts[session] > _PAGE:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"reason": "resumed at wrong offset"})
        self._parts[session] += 1
        return await super()._resume(request, account, declared)


class _EqualParts(endpoints.Uploads):
    """The storage takes no last part that is larger than those before it."""

    async def _copy(self, request: Request, upload: Upload) -> bytes:
        rest = await super()._copy(request, upload)
        if request.method == "PUT" and upload.start and len(rest) > upload.start:
            raise OSError("all parts but the last must have the same length")
        return rest


DEFECTS: tuple[Defect, ...] = (
    *chunks.DEFECTS,
    *sessions.DEFECTS,
    Defect(
        "digest-unchecked",
        "a PUT is accepted under any digest, whatever the bytes are",
        (_Trusting,),
        kind="B",
        sources=(
            "nexspence #194",
            "specification, row 33",
        ),
        violates=(
            "P6",
            "P1",
            "P12",
        ),
        operations=4,
    ),
    Defect(
        "refused-blob-visible",
        "a commit that is refused for its digest leaves a blob under that digest",
        (_LinksFirst,),
        kind="B",
        sources=("specification, row 33",),
        violates=(
            "P3",
            "P1",
            "P12",
        ),
        operations=5,
    ),
    Defect(
        "empty-blob-fails",
        "a blob of no bytes cannot be pushed",
        (_NoEmpty,),
        kind="B",
        sources=(
            "distribution #3763, fixed in 3.0.0",
            "quay PROJQUAY-5489",
        ),
        violates=(
            "P6",
            "P11",
        ),
        operations=2,
    ),
    Defect(
        "commit-reads-unflushed",
        "the digest is taken before the last bytes are flushed, and the right one is refused",
        (_Buffered,),
        kind="B",
        sources=("nora #357, fixed in 0.9.0",),
        violates=("P6",),
        operations=2,
    ),
    Defect(
        "last-chunk-ignored",
        "the body of the PUT that closes a chunked upload is not looked at",
        (_BodyIgnored,),
        kind="B",
        sources=(
            "quay #325",
            "specification, row 43",
        ),
        violates=("P6",),
        operations=2,
    ),
    Defect(
        "single-post-unstored",
        "a POST with a digest is answered with 201, and its body is thrown away",
        (_Unstored,),
        kind="B",
        sources=("specification, row 32",),
        violates=(
            "P3",
            "P1",
            "P6",
        ),
        operations=2,
    ),
    Defect(
        "commit-without-location",
        "the answer to a commit does not say where the blob is",
        (_Unplaced,),
        kind="B",
        sources=("specification, row 31",),
        violates=("P12",),
        operations=2,
    ),
    Defect(
        "same-blob-at-once-refused",
        "of two clients that push the same new blob at the same time one is refused",
        (_OneAtATime,),
        kind="B",
        sources=("sonatype nexus-public #967",),
        violates=("P6",),
        needs=("concurrency",),
        operations=7,
    ),
    Defect(
        "parts-beyond-one-page",
        "an upload of more chunks than a listing has on a page cannot be finished",
        (_OnePage,),
        kind="B",
        sources=("distribution #2814, fixed in 2.8.2",),
        violates=("P6",),
        operations=2,
    ),
    Defect(
        "last-part-larger",
        "an upload whose last chunk is larger than those before it fails",
        (_EqualParts,),
        kind="B",
        sources=("distribution #3873, fixed in 3.0.0",),
        violates=(
            "P6",
            "P11",
        ),
        operations=2,
    ),
)
