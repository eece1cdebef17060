"""The bytes of HTTP/1.1, without I/O: a request's head out, an answer in.

h11 does what is hard to get right: it refuses heads that must not be sent, parses and validates the
answer's head, and undoes chunked framing. A body of a known length and one that ends with the
connection are only counted here: through h11 each byte would be copied twice more, and each
exchange would cost half as much again."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import h11

from harness.wire.message import Broken, Headers, Request
from harness.wire.url import Url

USER_AGENT = "seatrial"
_FINAL = (b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")
_ANY_REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "x")])
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def request_head(request: Request, url: Url, extra: Headers) -> bytes:
    """The head of a request to ``url``; ``extra`` goes after the request's own headers, where these
    do not hold the same name. Raises `Broken` with ``garbage`` where it must not be sent (RFC 9112
    section 3)."""
    if request.raw_head is not None:
        return request.raw_head
    try:
        lines, known, framed = _header_lines(request.headers, extra, url.authority)
        h11.Request(method=request.method, target=url.target, headers=known)
    except (h11.LocalProtocolError, UnicodeEncodeError) as error:
        raise Broken("garbage", f"{request.method} {url.target!r} cannot be sent: {error}") from None
    framing = "" if framed else _framing(request)
    return f"{request.method} {url.target} HTTP/1.1\r\n{lines}{framing}\r\n".encode("ascii")


@lru_cache(maxsize=512)
def _header_lines(own: Headers, extra: Headers, authority: str) -> tuple[str, Any, bool]:
    """The lines of all headers but the framing, the same for h11, and whether the framing is among
    them. Requests repeat their headers, and validating them is most of the cost of a head."""
    names = {name.lower() for name, _ in own}
    headers = [*own, *(header for header in extra if header[0].lower() not in names)]
    if "host" not in names:
        headers.insert(0, ("Host", authority))
    if "user-agent" not in names:
        headers.append(("User-Agent", USER_AGENT))
    known = h11.Request(method="GET", target="/", headers=headers).headers
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return lines, known, bool(names & {"content-length", "transfer-encoding"})


def _framing(request: Request) -> str:
    if request.declared_length is not None:
        return f"Content-Length: {request.declared_length}\r\n"
    if request.chunked:
        return "Transfer-Encoding: chunked\r\n"
    if request.body is not None:
        return f"Content-Length: {request.body.size_bytes}\r\n"
    # RFC 9110 section 8.6: a method that anticipates content says so when there is none.
    return "Content-Length: 0\r\n" if request.method in _BODY_METHODS else ""


class AnswerReader:
    """Reads one answer. ``feed`` takes what was received and gives back the body bytes it held.

    ``status`` and ``headers`` are set once the final head is there (1xx are skipped), ``complete``
    once the body is. ``reusable``: another request may follow on this connection (RFC 9112 section
    9.3). ``excess_bytes``: how much came after the end. Raises `Broken`: ``garbage``, ``too-large``
    (the head), ``closed``, ``short``."""

    __slots__ = (
        "_connection", "_head_bytes", "_head_bytes_max", "_left", "_method",
        "bodiless", "complete", "excess_bytes", "headers", "reusable", "status",
    )  # fmt: skip

    def __init__(self, method: str, head_bytes_max: int) -> None:
        self._method = method
        self._head_bytes = 0
        self._head_bytes_max = head_bytes_max
        self._connection: h11.Connection | None = h11.Connection(h11.CLIENT, head_bytes_max)
        self._left: int | None = None
        self.status: int | None = None
        self.headers: Headers = ()
        self.bodiless = False
        self.complete = False
        self.reusable = False
        self.excess_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """``data`` as received, ``b""`` for the end of the connection."""
        if self.status is None:
            return self._feed_head(data)
        if self._connection is not None:
            return self._feed_chunked(data)
        if self._left is not None:
            return self._feed_counted(data)
        if not data:
            self.complete = True
        return data

    def _feed_head(self, data: bytes) -> bytes:
        connection = self._connection
        assert connection is not None
        try:
            if not self._head_bytes and not data.startswith(_FINAL):
                # h11 takes a final answer from a server that was asked nothing, but nothing else;
                # telling it of a request each time would cost a quarter more.
                connection.send(_ANY_REQUEST)
            self._head_bytes += len(data)
            connection.receive_data(data)
            event = connection.next_event()
            while type(event) is h11.InformationalResponse:
                if event.status_code == 101:
                    raise Broken("garbage", "101 Switching Protocols, though nothing asked for it")
                event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise self._wrong(error, data) from None
        if event is h11.NEED_DATA:
            if self._head_bytes > self._head_bytes_max:
                raise self._too_large()
            return b""
        if type(event) is h11.ConnectionClosed:
            raise Broken("closed", "closed before a byte of the answer")
        if type(event) is not h11.Response:
            raise Broken("garbage", "an answer that begins with something else than a head")
        return self._begin_body(connection, event)

    def _wrong(self, error: h11.RemoteProtocolError, data: bytes) -> Broken:
        if error.error_status_hint == 431:
            return self._too_large()
        if not data and not self._head_bytes:
            return Broken("closed", "closed before a byte of the answer")
        if not data:
            return Broken("closed", f"closed inside the head, after {self._head_bytes} bytes")
        return Broken("garbage", f"not an HTTP answer: {str(error)[:200]}")

    def _too_large(self) -> Broken:
        return Broken("too-large", f"a head of more than {self._head_bytes_max} bytes")

    def _begin_body(self, connection: h11.Connection, event: h11.Response) -> bytes:
        self.status = status = event.status_code
        self.headers = headers = tuple(
            [
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in event.headers.raw_items()
            ]
        )
        length: str | None = None
        chunked = False
        keep = event.http_version == b"1.1"
        for name, value in headers:
            if name == "content-length":
                length = value
            elif name == "transfer-encoding":
                chunked = True
            elif name == "connection" and "close" in value.lower():
                keep = False
        self.reusable = keep
        rest = connection.trailing_data[0]
        # RFC 9112 section 6.3: no body whatever the fields say; then chunked; then the length; then
        # to the end.
        if self._method == "HEAD" or status == 204 or status == 304:
            self.bodiless = True
            self._left = 0
        elif chunked:
            return self._feed_chunked(None)
        elif length is not None:
            self._left = int(length)
        else:
            self.reusable = False
        self._connection = None
        if self._left is None or (not rest and self._left):
            return rest
        return self._feed_counted(rest)

    def _feed_counted(self, data: bytes) -> bytes:
        left = self._left
        assert left is not None
        size = len(data)
        if size < left:
            if not size:
                raise Broken("short", f"closed {left} bytes before the end of the body")
            self._left = left - size
            return data
        self._left = 0
        self.complete = True
        if size == left:
            return data
        self.excess_bytes += size - left
        self.reusable = False
        return data[:left]

    def _feed_chunked(self, data: bytes | None) -> bytes:
        connection = self._connection
        assert connection is not None
        pieces: list[bytes] = []
        try:
            if data is not None:
                connection.receive_data(data)
            while True:
                event = connection.next_event()
                if type(event) is h11.Data:
                    pieces.append(event.data)
                    continue
                break
        except h11.RemoteProtocolError as error:
            if data == b"":
                raise Broken("short", "closed inside a chunked body") from None
            raise Broken("garbage", f"not a chunked body: {str(error)[:200]}") from None
        if type(event) is h11.EndOfMessage:
            self.complete = True
            self.excess_bytes = len(connection.trailing_data[0])
            if self.excess_bytes:
                self.reusable = False
            self._connection = None
        elif data == b"":
            raise Broken("short", "closed inside a chunked body")
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
