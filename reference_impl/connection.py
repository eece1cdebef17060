"""One connection: uvicorn's HTTP/1.1, with bounds on all that a client could draw out.

What cannot be understood is answered once all before it is, and nothing that follows it is looked at.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

import httptools
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .api.errors import refused
from .api.state import ABORT, UNREAD
from .registry.errors import Refusal

REFUSED_POLITELY_MAX = 64
"""So many connections over the limit hear why; all others are dropped."""
_POLITE_TIMEOUT_S = 5.0
LINGER_S = 2.0
"""So long whatever still comes is thrown away, as closing at once would take back what was said last."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``connections`` bounds how many there are; the others are of each request."""

    connections: int = 1000
    head_max_bytes: int = 64 << 10
    head_timeout_s: float = 60.0
    keep_alive_s: float = 75.0
    rest_timeout_s: float = 60.0
    """How long the rest of a body may come that was answered before it was whole."""


_FRAMING = (b"content-length", b"transfer-encoding")
_LINE_EXTRA_BYTES = len(b": \r\n")
_HEAD_EXTRA_BYTES = len(b"GET  HTTP/1.1\r\n\r\n")


class NotUnderstood(Exception):
    """The parser takes it, HTTP does not."""


class TooLarge(Exception):
    """A head is too long."""


def _bare(reason: str) -> bytes:
    """An answer to what is no request, as bytes."""
    answer = refused([Refusal(reason)], {"Connection": "close"})
    headers = b"".join(b"%b: %b\r\n" % (name, value) for name, value in answer.raw_headers)
    return STATUS_LINE[answer.status_code] + headers + b"\r\n" + bytes(answer.body)


_NOT_UNDERSTOOD = _bare("NOT_UNDERSTOOD")
_HEAD_TOO_LARGE = _bare("HEAD_TOO_LARGE")
_HEAD_TOO_LATE = _bare("HEAD_TOO_LATE")


class Protocol(HttpToolsProtocol):
    """Also loses no byte of a body that breaks off."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    _head_bytes = 0
    _in_head = False
    _in_body = False
    _body_to_come = False
    """After a head that also asks for an upgrade, which nobody gets here."""
    _moved = False
    _stalled_bytes = 0
    """What came since the last whole head or piece of a body: part of a head, chunk sizes, trailers, empty
    lines."""
    _unanswered = 0
    _last_words: bytes | None = None
    """Said once all requests before are answered; then nothing is listened to any more."""
    _timer: Any = None
    """Runs while a head is awaited, or the rest of a body that nobody wants, or the other side's end."""

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

    # -- what comes ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        self._moved = False
        self._unset_keepalive_if_required()
        self._parse(data)
        self._stalled_bytes = 0 if self._moved else self._stalled_bytes + len(data)
        if self._stalled_bytes > self.limits.head_max_bytes:
            self._give_up(_HEAD_TOO_LARGE if self._in_head else _NOT_UNDERSTOOD)

    def _parse(self, data: bytes) -> None:
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as declined:  # what follows is HTTP as before
                    data = data[declined.args[0] :]
                    if self._body_to_come:
                        self._resume_at_body()
        except httptools.HttpParserError:
            too_large = self._head_bytes > self.limits.head_max_bytes
            self._give_up(_HEAD_TOO_LARGE if too_large else _NOT_UNDERSTOOD)

    def _resume_at_body(self) -> None:
        """Go on with a parser that has not seen the wish for an upgrade: after that it takes no body."""
        framing = [header for header in self.headers if header[0] in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        lines = [b"POST / HTTP/1.1", *(b"%b: %b" % header for header in framing), b"", b""]
        self.parser.feed_data(b"\r\n".join(lines))

    def on_message_begin(self) -> None:
        if self._body_to_come:
            return
        self._in_head = True
        self._head_bytes = _HEAD_EXTRA_BYTES
        self._start_timer(self.limits.head_timeout_s)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._in_head:
            self._count_head(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are not for us, and never count as headers (RFC 9110, 6.5.1)
            self._count_head(len(name) + len(value) + _LINE_EXTRA_BYTES)
            super().on_header(name, value)

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > self.limits.head_max_bytes:
            raise TooLarge

    def on_headers_complete(self) -> None:
        self._moved = True
        if self._body_to_come:
            self._body_to_come = False
            return
        self._in_head = False
        self._stop_timer()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            raise NotUnderstood
        super().on_headers_complete()
        self._in_body = True
        self._body_to_come = self.parser.should_upgrade() and any(
            name in _FRAMING for name, _ in self.headers
        )
        self._unanswered += 1
        cycle = self.cycle
        self.scope["state"] |= {UNREAD: lambda: bytes(cycle.body), ABORT: self.transport.abort}

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        if self._body_to_come:
            return
        self._in_body = False
        super().on_message_complete()
        self._await_next()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unanswered -= 1
        if self._last_words is None:
            self._await_next()
        elif not self._unanswered:
            self._end()

    def _await_next(self) -> None:
        """All is answered: bound how long it may take until something of use comes."""
        if not (self._in_head or self._unanswered or self.transport.is_closing()):
            self._start_timer(self.limits.rest_timeout_s if self._in_body else self.limits.keep_alive_s)

    # -- the end ---------------------------------------------------------------------------

    def park(self) -> None:
        """Break off a request that was not over in time: what came of an upload is kept, as always then."""
        self.transport.abort()

    def _give_up(self, last_words: bytes) -> None:
        """Look at nothing more, and end the connection once all that came before is answered."""
        if self._last_words is not None:
            return
        self._last_words = last_words
        self._stop_timer()
        if self._in_body:
            self._break(self.cycle)
        if not self._unanswered:
            self._end()

    def _break(self, cycle: RequestResponseCycle) -> None:
        """The rest of a request's body will not come."""
        if cycle.response_started:  # one answer to it has to be enough
            self._last_words = b""
        if not cycle.response_complete:
            self._unanswered -= 1
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        cycle.waiting_for_100_continue = False
        cycle.disconnected = True
        cycle.message_event.set()

    def _end(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self._last_words or b"")
        if self._last_words and self.transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client may have gone
                self.transport.write_eof()
                self._start_timer(LINGER_S)
                return
        self.transport.close()

    def _start_timer(self, timeout_s: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(timeout_s, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        if self._in_head and self._last_words is None:
            self._give_up(_HEAD_TOO_LATE)
        elif not self.transport.is_closing():
            self.transport.close()


def protocol(limits: ConnectionLimits) -> type[Protocol]:
    return type("LimitedProtocol", (Protocol,), {"limits": limits})


async def _head_too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=431, headers={"Connection": "close"})(scope, receive, send)


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    await refused([Refusal("OVERLOADED")], {"Connection": "close"})(scope, receive, send)
