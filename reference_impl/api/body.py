"""Request bodies: taken in as they come, and kept as far as they came."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.types import Message, Receive

from ..registry.errors import Refusal
from .limits import Limits
from .state import UNREAD, deadline, state


class Disconnected(Exception):
    """The client went away in the middle of its body."""


async def chunks(request: Request, limits: Limits) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield the body's parts, and with each whether it is the last one.

    Raises Disconnected after everything that did arrive; REQUEST_TIMEOUT if nothing comes, or too little.
    """
    receive = request.receive
    pace = _Pace(limits, deadline(request.scope))
    while True:
        message = await pace.next(receive)
        if message["type"] == "http.disconnect":
            unread: Callable[[], bytes] | None = state(request.scope).get(UNREAD)
            if unread is not None and (rest := unread()):
                yield rest, False
            raise Disconnected
        more = message.get("more_body", False)
        yield message.get("body", b""), not more
        if not more:
            return


class _Pace:
    """Waits for a body.  Only waiting counts: what the storage takes is not the client's fault."""

    def __init__(self, limits: Limits, deadline: float) -> None:
        self._limits = limits
        self._deadline = deadline
        self._clock = asyncio.get_running_loop().time
        self._waited_s = 0.0
        self._received_bytes = 0

    async def next(self, receive: Receive) -> Message:
        began = self._clock()
        patience = {
            "nothing came": self._limits.body_idle_timeout_s,
            "too slow": self._slack_s(),
            "the request took too long": self._deadline - began,
        }
        reason = min(patience, key=patience.__getitem__)
        try:
            async with asyncio.timeout(patience[reason]):
                message = await receive()
        except TimeoutError:
            raise Refusal("REQUEST_TIMEOUT", {"reason": reason}) from None
        self._waited_s += self._clock() - began
        self._received_bytes += len(message.get("body", b""))
        return message

    def _slack_s(self) -> float:
        """How long the next part may take, for the average to stay above the least."""
        rate = self._limits.body_min_bytes_per_s
        if not rate:
            return math.inf
        return self._limits.body_grace_s + self._received_bytes / rate - self._waited_s


async def whole(request: Request, max_bytes: int, limits: Limits) -> bytes:
    """Return a body that must not be longer.  Raises MANIFEST_TOO_LARGE, Disconnected."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise Refusal("MANIFEST_TOO_LARGE", {"max_bytes": max_bytes})
    body = bytearray()
    async for part, _ in chunks(request, limits):
        body += part
        if len(body) > max_bytes:
            raise Refusal("MANIFEST_TOO_LARGE", {"max_bytes": max_bytes})
    return bytes(body)
