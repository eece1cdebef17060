"""The same client as a transport of httpx, for code that speaks httpx."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import httpx

from harness.wire.client import Client, Reply
from harness.wire.message import SIZE_UNKNOWN, Answer, Request

_ERRORS: dict[str, type[httpx.TransportError]] = {
    "refused": httpx.ConnectError,
    "unreachable": httpx.ConnectError,
    "dns": httpx.ConnectError,
    "tls": httpx.ConnectError,
    "connect-timeout": httpx.ConnectTimeout,
    "timeout": httpx.ReadTimeout,
    "reset": httpx.ReadError,
    "stopped": httpx.ReadError,
}


class WireTransport(httpx.BaseTransport):
    """``httpx.Client(transport=WireTransport(client))``. Bodies stream in both directions.

    Limits, TLS and authentication are the client's; redirects are left to httpx. A body whose
    length httpx does not know goes out chunked; where it can be read only once, a 401 after it
    raises ``httpx.StreamConsumed``. Errors of an `Answer` come as those of httpx, with ``detail``
    as their text. One client is one lane: threads take turns, and each response has to be read or
    closed before the next request."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        length = request.headers.get("content-length")
        chunked = length is None and "transfer-encoding" in request.headers
        body = _Body(request, SIZE_UNKNOWN if length is None else int(length))
        headers = tuple((name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw)
        self._turn.acquire()
        try:
            reply = self._client.open(
                Request(
                    request.method,
                    str(request.url),
                    headers,
                    body if chunked or length is not None else None,
                    chunked=chunked,
                    follow=False,
                    keep_text_bytes=0,
                    digests=(),
                )
            )
            if reply.status is None:
                raise _error(reply.finish())
        except BaseException:
            self._turn.release()
            raise
        return httpx.Response(reply.status, headers=list(reply.headers), stream=_Pieces(reply, self._turn))

    def close(self) -> None:
        self._client.close()


class _Body:
    """The body of a request of httpx as a source."""

    def __init__(self, request: httpx.Request, size_bytes: int) -> None:
        self._stream = cast(httpx.SyncByteStream, request.stream)
        self.size_bytes = size_bytes

    def chunks(self) -> Iterator[bytes]:
        return iter(self._stream)


class _Pieces(httpx.SyncByteStream):
    """The body of a reply as a stream of httpx."""

    def __init__(self, reply: Reply, turn: threading.Lock) -> None:
        self._reply: Reply | None = reply
        self._turn = turn

    def __iter__(self) -> Iterator[bytes]:
        reply = self._reply
        if reply is None:
            return
        yield from reply.pieces()
        answer = self._end()
        if answer is not None and answer.error is not None:
            raise _error(answer)

    def close(self) -> None:
        self._end()

    def _end(self) -> Answer | None:
        reply, self._reply = self._reply, None
        if reply is None:
            return None
        try:
            return reply.finish()
        finally:
            self._turn.release()


def _error(answer: Answer) -> httpx.TransportError:
    return _ERRORS.get(answer.error or "", httpx.RemoteProtocolError)(answer.detail)
