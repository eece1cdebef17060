"""One connection: uvicorn's HTTP/1.1, with bounds on all that a client could draw out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .api.errors import refused
from .api.faults import RETRY_AFTER_S
from .api.state import ABORT, UNREAD
from .registry.errors import Refusal

REFUSED_POLITELY_MAX = 64
"""So many connections over the limit hear why; all others are dropped."""
_POLITE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``connections`` bounds how many there are; the others are of each request."""

    connections: int = 1000
    head_max_bytes: int = 64 << 10
    head_timeout_s: float = 60.0
    keep_alive_s: float = 75.0
    rest_timeout_s: float = 60.0
    """How long the rest of a body may come that was answered before it was whole."""


def _bare(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


_HEAD_TOO_LARGE = _bare(b"431 Request Header Fields Too Large")
_HEAD_TOO_LATE = _bare(b"408 Request Timeout")


class Protocol(HttpToolsProtocol):
    """Also loses no byte of a body that breaks off."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    _head_bytes = 0
    _in_head = True
    _timer: Any = None
    """Runs while a head is awaited, or the rest of a body that nobody wants."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        timeout_s = self.limits.head_timeout_s
        excess = len(self.connections) - self.limits.connections
        if excess > REFUSED_POLITELY_MAX:
            transport.abort()
        elif excess > 0:
            self.app = _overloaded
            timeout_s = min(timeout_s, _POLITE_TIMEOUT_S)
        self._start_timer(timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.head_max_bytes:
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        if not self._in_head:  # the first head is awaited since the connection was made
            self._in_head = True
            self._start_timer(self.limits.head_timeout_s)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        app = self.app
        if self._head_size_bytes() > self.limits.head_max_bytes:
            self.app = _head_too_large
        super().on_headers_complete()
        self.app = app
        cycle = self.cycle
        self.scope["state"] |= {UNREAD: lambda: bytes(cycle.body), ABORT: self.transport.abort}

    def on_message_complete(self) -> None:
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        answered_early = self.cycle.response_complete and self.cycle.more_body
        if answered_early and not self.transport.is_closing():
            self._start_timer(self.limits.rest_timeout_s)

    def park(self) -> None:
        """Break off a request that was not over in time: what came of an upload is kept, as always then."""
        self.transport.abort()

    def _head_size_bytes(self) -> int:
        """The size of the head as it was understood: it may have come together with other things."""
        fields = sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        return len(b"GET  HTTP/1.1\r\n\r\n") + len(self.url) + fields

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _start_timer(self, timeout_s: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(timeout_s, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        if self._in_head and (self._head_bytes or self.cycle is not None):
            self._refuse(_HEAD_TOO_LATE)
        elif not self.transport.is_closing():
            self.transport.close()


def protocol(limits: ConnectionLimits) -> type[Protocol]:
    return type("LimitedProtocol", (Protocol,), {"limits": limits})


async def _head_too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=431, headers={"Connection": "close"})(scope, receive, send)


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Connection": "close", "Retry-After": str(RETRY_AFTER_S)}
    await refused([Refusal("OVERLOADED")], headers)(scope, receive, send)
