"""Ways to push, and what becomes of upload sessions (rows 28 to 51)."""

from __future__ import annotations

import contextlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..api.uploads import Uploads
from ..deviations import At, Variant
from ..registry import names
from ..registry.errors import Refusal
from ..registry.sessions import Sessions, Traces, Upload
from .middleware import answer

CHUNK_MIN_BYTES = 1000


class _NoSinglePost(Uploads):
    async def _push_at_once(self, request: Request, repository: str, digest_text: str) -> Response | None:
        names.digest(digest_text)
        async for _ in request.stream():
            pass
        query = [one for one in request.scope["query_string"].split(b"&") if not one.startswith(b"digest=")]
        scope = {**request.scope, "query_string": b"&".join(query)}
        return await super().begin(Request(scope, request.receive))


class _LengthRequired(Uploads):
    async def send(self, request: Request) -> Response | None:
        if "content-length" not in request.headers:
            return answer(411, "SIZE_INVALID")
        return await super().send(request)


class _ChunkMinimum(Uploads):
    """A chunk that is too short can only have been the last one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ended: set[str] = set()

    async def begin(self, request: Request) -> Response | None:
        response = await super().begin(request)
        if response is not None and response.status_code == 202:
            response.headers["OCI-Chunk-Min-Length"] = str(CHUNK_MIN_BYTES)
        return response

    async def send(self, request: Request) -> Response | None:
        session = request.path_params["session"]
        size_bytes = int(request.headers.get("content-length", CHUNK_MIN_BYTES))
        if session in self._ended and size_bytes:
            return answer(416, "OUT_OF_ORDER")
        response = await super().send(request)
        if response is not None and 0 < size_bytes < CHUNK_MIN_BYTES:
            self._ended.add(session)
        return response

    async def finish(self, request: Request) -> Response | None:
        if request.path_params["session"] in self._ended and request.headers.get("content-length") != "0":
            return answer(416, "OUT_OF_ORDER")
        return await super().finish(request)


class _LostAtRestart(Sessions):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._mine: set[str] = set()

    def create(self, repository: str, owner: str | None = None) -> str:
        session = super().create(repository, owner)
        self._mine.add(session)
        return session

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        if session not in self._mine:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
        return super()._find(repository, session, owner)


class _GoneAfterError(Uploads):
    async def send(self, request: Request) -> Response | None:
        try:
            return await super().send(request)
        except Refusal as refusal:
            raise await self._ended(request, refusal) from None

    async def finish(self, request: Request) -> Response | None:
        try:
            return await super().finish(request)
        except Refusal as refusal:
            raise await self._ended(request, refusal) from None

    async def _ended(self, request: Request, refusal: Refusal) -> Refusal:
        if refusal.reason != "UPLOAD_BUSY":
            with contextlib.suppress(Refusal):
                await self.cancel(request)
        return refusal


def _forgetting(_keep: object) -> Any:
    def forget(upload: Upload) -> None:
        upload.undo()
        upload._forget()

    return forget


def _zero(upload_range: Any) -> Any:
    return lambda size_bytes: upload_range(size_bytes) or {"Range": "0-0"}


class _NoCancel(Uploads):
    async def cancel(self, request: Request) -> Response:
        return answer(405, "UNSUPPORTED")


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "single-post-opens-session",
        "a POST with a digest and all bytes opens an upload session instead: 202",
        (_NoSinglePost,),
        allowed_by=("specification, row 32",),
    ),
    Variant(
        "length-required",
        "a chunk without Content-Length is refused: 411",
        (_LengthRequired,),
        allowed_by=("specification, row 51: not in the text", "RFC 9110, section 15.5.12"),
    ),
    Variant(
        "chunk-minimum",
        f"chunks have at least {CHUNK_MIN_BYTES} bytes: after a shorter one nothing can be added",
        (_ChunkMinimum,),
        allowed_by=("specification, row 37",),
    ),
    Variant(
        "sessions-lost-at-restart",
        "upload sessions are gone after a restart: 404",
        (_LostAtRestart,),
        allowed_by=("specification, section 1.9: durability is not in it", "specification, row 47"),
        promises=("sessions_survive_restart=no",),
    ),
    Variant(
        "session-gone-after-error",
        "a request that is refused ends the upload session",
        (_GoneAfterError,),
        allowed_by=("specification, row 44: the status is that of an active upload",),
    ),
    Variant(
        "broken-chunk-ends-session",
        "a chunk that breaks off ends the upload session",
        (At(("api.uploads:_keep_if_there",), _forgetting),),
        allowed_by=("specification, row 44: the status is that of an active upload",),
        promises=("resume=no",),
    ),
    Variant(
        "empty-session-at-0-0",
        "an upload session without a byte says Range: 0-0, as Distribution does",
        (At(("api.uploads:upload_range", "api.resource:upload_range"), _zero),),
        allowed_by=("specification, section 1.9 (#577, #578)",),
    ),
    Variant(
        "cancel-refused",
        "upload sessions cannot be cancelled: 405",
        (_NoCancel,),
        allowed_by=("specification, row 46",),
    ),
)
