"""D: mounts that give too much, or nothing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ..api import uploads as endpoints
from ..deviations import Defect
from ..drivers.base import NotFound
from ..registry import layout, repositories
from ..registry.content import Blob, Content
from ..registry.digests import CANONICAL, Digest
from ..registry.errors import Refusal
from ..registry.mounts import Mounts


class _Blind(Mounts):
    """The link is made from what was asked for, whether it leads anywhere or not."""

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        repositories.ensure(self._driver, repository)
        self._content.link(repository, digest, {digest})
        return Blob(digest, digest, 0)


class _Unlinked(Mounts):
    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        try:
            return self._content.find(source, digest)
        except Refusal:
            return None


class _Moves(Mounts):
    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        blob = super().mount(repository, digest, source)
        if blob is not None and source != repository:
            self._driver.delete(layout.layer_folder(source, digest))
        return blob


class _Borrowed(Mounts):
    """A mount leads through the repository it came from."""

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        blob = super().mount(repository, digest, source)
        if blob is not None and source != repository:
            self._driver.write(_origin(repository, digest), source.encode())
        return blob


class _ThroughOrigin(Content):
    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        found = super().resolve(repository, digest)
        try:
            source = self._driver.read(_origin(repository, digest)).decode()
        except NotFound:
            return found
        return found if super().resolve(source, digest) is not None else None


def _origin(repository: str, digest: Digest) -> str:
    return f"{layout.layer_folder(repository, digest)}/origin"


class _Materialises(Content):
    """Whoever asks for a blob that is anywhere gets it from the cache of all repositories."""

    def find(self, repository: str, digest: Digest) -> Blob:
        if digest.algorithm == CANONICAL and self.lease(digest) is not None:
            self.link(repository, digest, {digest})
        return super().find(repository, digest)


class _Remembering(Content):
    """What was pushed to a repository is remembered, also when it was deleted there."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        blob = super().publish(repository, source, claimed)
        _KNOWN[repository, claimed] = blob
        return blob


class _CachedSource(Mounts):
    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        return super().mount(repository, digest, source) or _KNOWN.get((source, digest))


_KNOWN: dict[tuple[str, Digest], Blob] = {}


class _PlacedAtSource(endpoints.Uploads):
    async def begin(self, request: Request) -> Response | None:
        response = await super().begin(request)
        source = request.query_params.get("from")
        if (
            response is not None
            and response.status_code == 201
            and source
            and "mount" in request.query_params
        ):
            response.headers["Location"] = f"/v2/{source}/blobs/{request.query_params['mount']}"
        return response


class _QueryInLocation(endpoints.Uploads):
    """What cannot be mounted is to be uploaded, at a place that was put together wrongly."""

    async def begin(self, request: Request) -> Response | None:
        response = await super().begin(request)
        if response is not None and response.status_code == 202 and "mount" in request.query_params:
            path, _, session = response.headers["Location"].rpartition("/")
            response.headers["Location"] = f"{path}/?{request.url.query}/{session}"
        return response


class _NoSession(endpoints.Uploads):
    """What cannot be mounted is answered as if an upload had been opened."""

    async def begin(self, request: Request) -> Response | None:
        response = await super().begin(request)
        if response is not None and response.status_code == 202 and "mount" in request.query_params:
            session = response.headers["Docker-Upload-UUID"]
            self._registry.sessions.cancel(request.path_params["name"], session)
        return response


class _SourceRequired(endpoints.Uploads):
    async def begin(self, request: Request) -> Response | None:
        if "mount" in request.query_params:
            request.query_params["from"]
        return await super().begin(request)


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "mount-of-nothing",
        "a mount is answered with 201 although the source has no such blob",
        (_Blind,),
        kind="D",
        sources=("zot 53b5fa64, fixed in 1.2.6", "specification, row 48"),
        violates=("P3", "P1"),
        operations=3,
    ),
    Defect(
        "mount-without-link",
        "a mount is answered with 201, and the blob is not there",
        (_Unlinked,),
        kind="D",
        sources=("harbor #18541", "specification, row 48"),
        violates=("P3",),
        operations=3,
    ),
    Defect(
        "mount-moves",
        "a mount takes the blob away from the repository it came from",
        (_Moves,),
        kind="D",
        sources=("zot af30c06a, fixed in 1.2.2", "specification, row 89"),
        violates=("P3", "P2"),
        operations=6,
    ),
    Defect(
        "mount-through-source",
        "a mounted blob is gone as soon as it is deleted where it came from",
        (_Borrowed, _ThroughOrigin),
        kind="D",
        sources=("zot af30c06a, fixed in 1.2.2", "specification, row 89"),
        violates=("P5", "P2", "P3"),
        operations=4,
    ),
    Defect(
        "mount-by-looking",
        "HEAD of a blob makes it readable, whichever repository it is in",
        (_Materialises,),
        kind="D",
        sources=("zot CVE-2024-39897, fixed in 2.1.0", "specification, row 21"),
        violates=("P8", "P5"),
        operations=4,
    ),
    Defect(
        "mount-from-cache",
        "a mount from where a blob was deleted is answered with 201",
        (_Remembering, _CachedSource),
        kind="D",
        sources=("zot #1733", "specification, row 48"),
        violates=("P3", "P5"),
        operations=6,
    ),
    Defect(
        "mount-location-of-source",
        "the Location of a mount is that of the blob it was made from",
        (_PlacedAtSource,),
        kind="D",
        sources=("distribution-spec #399", "specification, row 48"),
        violates=("P12",),
        operations=3,
    ),
    Defect(
        "mount-refused-location-broken",
        "what cannot be mounted is to be uploaded at a place that does not exist",
        (_QueryInLocation,),
        kind="D",
        sources=("zot #573", "specification, row 50"),
        violates=("P6", "P12"),
        operations=3,
    ),
    Defect(
        "mount-refused-without-session",
        "what cannot be mounted is to be uploaded in a session that was never opened",
        (_NoSession,),
        kind="D",
        sources=("harbor #18541", "specification, row 50"),
        violates=("P6",),
        operations=3,
    ),
    Defect(
        "mount-needs-source",
        "a mount that names no source is an internal error",
        (_SourceRequired,),
        kind="D",
        sources=("zot #442", "quay PROJQUAY-2570", "specification, row 49"),
        violates=("P11", "P12"),
        operations=2,
    ),
)
