"""Where upload sessions are (rows 28 to 30)."""

from __future__ import annotations

import hashlib
import secrets

from starlette.types import Receive, Scope, Send

from ..deviations import Variant, over_app
from .middleware import SECOND_PLACE, SESSION, Headers, Middleware, answer, is_second, other_place, relocated


def _state(path: str) -> str:
    return f"_state={hashlib.sha256(f'state of {path}'.encode()).hexdigest()[:20]}"


def _has(scope: Scope, parameter: str) -> bool:
    return parameter.encode() in scope["query_string"].split(b"&")


class _Absolute(Middleware):
    """Locations are absolute, and nothing is known of a session to whoever leaves its state out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if SESSION.fullmatch(scope["path"]) and not _has(scope, _state(scope["path"])):
            await answer(404, "BLOB_UPLOAD_UNKNOWN")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")

        def placed(location: str) -> str:
            query = f"?{_state(location)}&more=a%2Fb" if SESSION.fullmatch(location) else ""
            return f"http://{host}{location}{query}"

        return relocated(headers, placed)


class _Renewed(Middleware):
    """Each answer about a session gives it a new state; only the last one may add to the session."""

    _last: dict[str, str]

    def __init__(self, app: object) -> None:
        super().__init__(app)  # type: ignore[arg-type]
        self._last = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        last = self._last.get(scope["path"])
        if scope["method"] in ("PATCH", "PUT") and last is not None and not _has(scope, last):
            await answer(404, "BLOB_UPLOAD_UNKNOWN")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        def placed(location: str) -> str:
            if not SESSION.fullmatch(location):
                return location
            if status in (202, 204) or location not in self._last:
                self._last[location] = f"_state={secrets.token_urlsafe(12)}"
            return f"{location}?{self._last[location]}"

        return relocated(headers, placed)


class _Elsewhere(Middleware):
    """The second place serves upload sessions, and nothing else; the first one serves all but them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_second(scope) != bool(SESSION.fullmatch(scope["path"])):
            await answer(404, "BLOB_UPLOAD_UNKNOWN")(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        def placed(location: str) -> str:
            here = bool(SESSION.fullmatch(location)) == is_second(scope)
            return location if here else f"{other_place(scope)}{location}"

        return relocated(headers, placed)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "location-absolute",
        "locations are absolute, and those of upload sessions have query parameters that matter",
        (over_app(_Absolute),),
        allowed_by=("specification, row 30",),
    ),
    Variant(
        "location-renewed",
        "each answer gives an upload session another location, relative, with a query parameter that matters;"
        " nothing can be added at an older one",
        (over_app(_Renewed),),
        allowed_by=("specification, row 30", "specification, section 1.9 (#415)"),
    ),
    Variant(
        "location-other-port",
        "upload sessions are on another host and port than the registry",
        (SECOND_PLACE, over_app(_Elsewhere)),
        allowed_by=("specification, row 30",),
    ),
)
