"""Blobs that come from elsewhere, or only whole (rows 9 and 22)."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ..api.blobs import Blobs
from ..deviations import Variant, over_app
from .middleware import SECOND_PLACE, Middleware, answer, is_second, other_place

_STORAGE = "/storage"


def _signature(path: str) -> str:
    return hashlib.sha256(f"signed {path}".encode()).hexdigest()[:16]


class _Redirecting(Blobs):
    async def pull(self, request: Request) -> Response:
        found = await super().look(request)  # raises what is to be said of a blob that is not there
        if is_second(request.scope):
            return await super().pull(request)
        path = request.scope["path"]
        place = f"{other_place(request.scope)}{_STORAGE}{path}?signature={_signature(path)}"
        return RedirectResponse(place, 307, {"Docker-Content-Digest": found.headers["docker-content-digest"]})


class _Storage(Middleware):
    """At the second place only what is signed is served, without the headers of a registry."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_second(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(_STORAGE)
        if scope["query_string"] != f"signature={_signature(path)}".encode():
            await answer(403, "DENIED")(scope, receive, send)
            return
        await super().__call__({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    def head(
        self, scope: Scope, status: int, headers: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        return [header for header in headers if not header[0].startswith(b"docker-")]


class _Whole(Blobs):
    async def pull(self, request: Request) -> Response:
        headers = [header for header in request.scope["headers"] if header[0] != b"range"]
        response = await super().pull(Request({**request.scope, "headers": headers}, request.receive))
        del response.headers["accept-ranges"]
        return response


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "blobs-redirected",
        "a pull of a blob is redirected to a signed place on another host and port",
        (_Redirecting, SECOND_PLACE, over_app(_Storage)),
        allowed_by=("specification, row 9",),
    ),
    Variant(
        "ranges-ignored",
        "blobs are always served whole, whatever range is asked for",
        (_Whole,),
        allowed_by=("specification, row 22", "RFC 9110, section 14.2"),
    ),
)
