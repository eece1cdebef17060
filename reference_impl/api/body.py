"""Request bodies: taken in as they come, and kept as far as they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

from ..registry.errors import Refusal

UNREAD = "unread_body"
"""Key in a request's state: a function that hands over what came in before a disconnect."""


class Disconnected(Exception):
    """The client went away in the middle of its body."""


async def chunks(request: Request, idle_timeout_s: float) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield the body's parts, and with each whether it is the last one.

    Raises Disconnected after everything that did arrive, REQUEST_TIMEOUT if nothing comes.
    """
    receive = request.receive
    while True:
        try:
            async with asyncio.timeout(idle_timeout_s):
                message = await receive()
        except TimeoutError:
            raise Refusal("REQUEST_TIMEOUT") from None
        if message["type"] == "http.disconnect":
            unread: Callable[[], bytes] | None = request.scope.get("state", {}).get(UNREAD)
            if unread is not None and (rest := unread()):
                yield rest, False
            raise Disconnected
        more = message.get("more_body", False)
        yield message.get("body", b""), not more
        if not more:
            return


async def whole(request: Request, max_bytes: int, idle_timeout_s: float) -> bytes:
    """Return a body that must not be longer.  Raises MANIFEST_TOO_LARGE, Disconnected."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise Refusal("MANIFEST_TOO_LARGE", {"max_bytes": max_bytes})
    body = bytearray()
    async for part, _ in chunks(request, idle_timeout_s):
        body += part
        if len(body) > max_bytes:
            raise Refusal("MANIFEST_TOO_LARGE", {"max_bytes": max_bytes})
    return bytes(body)
