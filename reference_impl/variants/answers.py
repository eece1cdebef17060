"""How answers are written: heads, framing, errors, time (rows 8, 10, 11, 90, 92)."""

from __future__ import annotations

import asyncio
import itertools

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api.errors import refused
from ..deviations import Variant, over_app
from ..registry.errors import Refusal
from .middleware import Headers, Middleware, over_wire

DELAY_S = 0.1
BUSY_EVERY = 17


def _shouted(head: bytes) -> bytes:
    status, *headers = head.split(b"\r\n")
    pairs = (header.partition(b":") for header in headers)
    return b"\r\n".join([status, *(name.upper() + b":" + value.strip() + b"  " for name, _, value in pairs)])


class _MoreHeaders(Middleware):
    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        more = {
            "server": "different/1.0",
            "x-content-type-options": "nosniff",
            "vary": "Cookie",
            "x-empty": "",
        }
        cookies = [(b"set-cookie", f"session={number}; Path=/".encode()) for number in (1, 2)]
        return [*headers, *((name.encode(), value.encode()) for name, value in more.items()), *cookies]


class _NoLengths(Middleware):
    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        if scope["method"] == "HEAD" or status == 204:
            return headers
        return [header for header in headers if header[0] != b"content-length"]


class _Closing(Middleware):
    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        return [*headers, (b"connection", b"close")]


def _old(head: bytes) -> bytes:
    return b"HTTP/1.0 " + head.removeprefix(b"HTTP/1.1 ")


class _Slow:
    """Waits before each answer to what changes something: it is done by then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] not in ("GET", "HEAD"):
                await asyncio.sleep(DELAY_S)
            await send(message)

        await self._app(scope, receive, slowly)


class _InWords:
    """Client errors are plain text, but for those that the specification wants a code in (row 58)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = False

        async def worded(message: Message) -> None:
            nonlocal plain
            if message["type"] == "http.response.start" and 400 <= message["status"] < 500:
                plain = not (scope["method"] == "PUT" and "/manifests/" in scope["path"])
                if plain:
                    error = PlainTextResponse(f"{message['status']}: no.\n", message["status"])
                    framing = (b"content-type", b"content-length")
                    kept = [header for header in message["headers"] if header[0] not in framing]
                    await send({**message, "headers": [*kept, *error.raw_headers]})
                    await send({"type": "http.response.body", "body": error.body})
            if not plain:
                await send(message)

        await self._app(scope, receive, worded)


class _Warning(Middleware):
    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        return [*headers, (b"warning", b'299 - "this registry is \\"different\\", and will go on being so"')]


class _NowAndThenBusy:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = scope["path"].startswith("/v2/") and next(self._numbers) % BUSY_EVERY == 0
        await (refused([Refusal("TOOMANYREQUESTS")]) if busy else self._app)(scope, receive, send)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "headers-in-capitals",
        "the names of headers are in capitals, and there is white space after the values",
        (over_wire(_shouted),),
        allowed_by=("RFC 9110, section 5.1", "RFC 9112, section 5"),
    ),
    Variant(
        "more-headers",
        "every answer has headers that nobody asked for, one of them empty, one of them twice",
        (over_app(_MoreHeaders),),
        allowed_by=("RFC 9110, section 5.1",),
    ),
    Variant(
        "answers-without-length",
        "all bodies are chunked, without Content-Length",
        (over_app(_NoLengths),),
        allowed_by=("RFC 9112, section 7.1", "specification, row 25: only of HEAD"),
    ),
    Variant(
        "close-after-each-answer",
        "answers are of HTTP/1.0, and each ends its connection",
        (over_app(_Closing), over_wire(_old)),
        allowed_by=("RFC 9112, sections 2.3 and 9.6",),
    ),
    Variant(
        "slow-answers",
        f"an answer to what changes something takes {DELAY_S * 1000:.0f} ms more",
        (over_app(_Slow),),
        allowed_by=("the specification says nothing of time",),
    ),
    Variant(
        "errors-in-plain-text",
        "the bodies of client errors are plain text",
        (over_app(_InWords),),
        allowed_by=("specification, row 90",),
    ),
    Variant(
        "warnings",
        "every answer has a warning",
        (over_app(_Warning),),
        allowed_by=("specification, row 92",),
    ),
    Variant(
        "now-and-then-busy",
        f"every {BUSY_EVERY}th request is one too many: 429",
        (over_app(_NowAndThenBusy),),
        allowed_by=("specification, row 11",),
    ),
)
