"""A client for one base URL: connections that are kept, redirects, authentication."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.wire.auth import Authenticator
from harness.wire.connect import connect
from harness.wire.credentials import Credentials
from harness.wire.exchange import Exchange
from harness.wire.message import Answer, Broken, Headers, Limits, Request, Stop, first, has
from harness.wire.protocol import request_head
from harness.wire.stream import Stream
from harness.wire.tls import Tls
from harness.wire.url import BadUrl, Url, follow, parse_base, resolve

REDIRECTS_MAX = 5
CHALLENGES_MAX = 2
_KEPT_MAX = 4
_TOKEN_BYTES_MAX = 1 << 20
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_BOUND_TO_ORIGIN = frozenset({"authorization", "cookie", "host"})

Origin = tuple[str, str, int]


class Client:
    """One lane's client; one request at a time. Another thread may only call `close`: the request
    under way then ends with the error ``stopped``, and so does every later one.

    ``base_url`` is a scheme, a host and a port. ``credentials`` is short for an ``authenticator``
    of its own; one that is shared between clients spares token requests. Raises `BadUrl`, `BadTls`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        tls: Tls | None = None,
        limits: Limits = Limits(),  # noqa: B008 (a frozen value)
        authenticator: Authenticator | None = None,
    ) -> None:
        self.base = parse_base(base_url)
        self.limits = limits
        self._tls = tls or Tls()
        self._context = self._tls.context() if self.base.scheme == "https" or tls else None
        self._authenticator = authenticator or Authenticator(credentials)
        self._kept: dict[Origin, Stream] = {}
        self._active: Stream | None = None
        self._closed = False

    def send(self, request: Request) -> Answer:
        """Carry out one request, redirects and challenges included. Never raises for what the peer
        does; raises what a stop, a sink or a source raises, and `ValueError` where a source gives
        another number of bytes than it says."""
        reply = self.open(request)
        sink = request.sink
        for piece in reply.pieces():
            if sink is not None:
                sink(piece)
        return reply.finish()

    def open(self, request: Request) -> Reply:
        """As `send`, up to the head of the final answer; the body is then pulled from the `Reply`,
        which must be finished before the next request."""
        reply = Reply(self)
        try:
            url = resolve(self.base, request.target)
            self._open(reply, request, url)
        except BadUrl as error:
            reply.fail("garbage", str(error))
        except Broken as broken:
            reply.fail(broken.error, broken.detail)
        return reply

    def close(self) -> None:
        """Close all connections. From another thread: end the request under way."""
        self._closed = True
        active = self._active
        if active is not None:
            active.abort()
        while self._kept:
            self._kept.popitem()[1].close()

    def _open(self, reply: Reply, request: Request, url: Url) -> None:
        given = has(request.headers, "authorization")
        authorization: str | None = None
        seen: set[str] = set()
        while True:
            ours = url.origin == self.base.origin and not given
            if ours and authorization is None:
                authorization = self._authenticator.header(request.method, url)
            extra: Headers = () if authorization is None else (("Authorization", authorization),)
            exchange = reply.exchange = self._begin(reply, url, request, extra)
            status = exchange.status
            if status == 401 and ours and reply.challenges < CHALLENGES_MAX:
                authorization, why = self._authenticator.answer(
                    request.method, url, exchange.headers, authorization, self._fetch
                )
                if authorization is None:
                    exchange.note = why
                    return
                reply.challenges += 1
            elif status in _REDIRECT and request.follow and request.method in _SAFE:
                target = self._redirected(reply, exchange, url, seen)
                if target is None:
                    return
                if target.origin != url.origin:
                    kept = tuple(h for h in request.headers if h[0].lower() not in _BOUND_TO_ORIGIN)
                    request = replace(request, headers=kept)
                    given = False
                authorization = None
                url = target
            else:
                return
            if not reply.drain():
                return

    def _redirected(self, reply: Reply, exchange: Exchange, url: Url, seen: set[str]) -> Url | None:
        """Where a redirect leads, or ``None`` where it is not followed."""
        location = first(exchange.headers, "location")
        if location is None:
            return None
        try:
            target = follow(url, location)
        except BadUrl as error:
            exchange.fail("redirects", str(error))
            return None
        shown = str(target)
        seen.add(str(url))
        if shown in seen:
            exchange.fail("redirects", f"redirected in a circle, to {shown}")
            return None
        if len(reply.redirects) == REDIRECTS_MAX:
            exchange.fail("redirects", f"more than {REDIRECTS_MAX} redirects")
            return None
        reply.redirects.append(shown)
        return target

    def _begin(self, reply: Reply, url: Url, request: Request, extra: Headers) -> Exchange:
        head = request_head(request, url, extra)
        stream = self._take(url.origin)
        if stream is not None:
            reached = len(reply.reached)
            exchange = self._start(reply, stream, url, request, head)
            broken = exchange.broken
            # RFC 9112 section 9.3.1, RFC 9110 section 9.2.2: the server closed while our request
            # was under way.
            stale = broken is not None and broken.error in ("closed", "reset")
            if not stale or exchange.received_bytes or request.method not in _SAFE or self._closed:
                return exchange
            if request.body is not None or len(reply.reached) != reached:
                return exchange
        return self._start(reply, self._connect(url), url, request, head)

    def _start(self, reply: Reply, stream: Stream, url: Url, request: Request, head: bytes) -> Exchange:
        self._active = stream
        if self._closed:
            stream.close()
            raise Broken("stopped", "the client is closed")
        exchange = Exchange(stream, request, self.limits, reply.reached)
        reply.origin = url.origin
        exchange.begin(head)
        return exchange

    def _connect(self, url: Url) -> Stream:
        if self._closed:
            raise Broken("stopped", "the client is closed")
        context = None
        if url.scheme == "https":
            context = self._context = self._context or self._tls.context()
        return connect(url.host, url.port, tls=context, connect_s=self.limits.connect_s)

    def _take(self, origin: Origin) -> Stream | None:
        """The kept connection, unless it has died or talks out of turn meanwhile."""
        stream = self._kept.pop(origin, None)
        if stream is None:
            return None
        try:
            if stream.receive_now(1) is None:
                return stream
        except OSError:
            pass
        stream.close()
        return None

    def _keep(self, origin: Origin, stream: Stream) -> None:
        if self._closed:
            stream.close()
            return
        if len(self._kept) >= _KEPT_MAX:
            self._kept.pop(next(iter(self._kept))).close()
        self._kept[origin] = stream

    def _fetch(self, request: Request) -> Answer:
        """Send a request to a token server, over connections and with limits of its own."""
        url = resolve(self.base, request.target)
        limits = replace(self.limits, body_bytes=_TOKEN_BYTES_MAX)
        other = Client(f"{url.scheme}://{url.authority}", tls=self._tls, limits=limits)
        try:
            return other.send(replace(request, keep_text_bytes=_TOKEN_BYTES_MAX, digests=()))
        finally:
            other.close()


class Reply:
    """The final answer of a request while its body is still to be read: all of `pieces`, then
    `finish`."""

    __slots__ = ("_broken", "_client", "challenges", "exchange", "origin", "reached", "redirects")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._broken: Broken | None = None
        self.exchange: Exchange | None = None
        self.origin: Origin | None = None
        self.reached: list[Stop] = []
        self.redirects: list[str] = []
        self.challenges = 0

    @property
    def status(self) -> int | None:
        return None if self.exchange is None else self.exchange.status

    @property
    def headers(self) -> Headers:
        return () if self.exchange is None else self.exchange.headers

    def fail(self, error: str, detail: str) -> None:
        """No (further) exchange took place, for this reason."""
        self._broken = Broken(error, detail)
        self.exchange = None

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, decoded."""
        return iter(()) if self.exchange is None else self.exchange.pieces()

    def drain(self) -> bool:
        """Read an answer that is not the final one to its end; False where a stop cut it."""
        exchange = self.exchange
        assert exchange is not None
        for _ in exchange.pieces():
            pass
        self._settle(exchange)
        return exchange.broken is None or exchange.broken.error != "cut"

    def finish(self) -> Answer:
        """The answer. Where the body was not read to its end, the connection is closed."""
        exchange = self.exchange
        if exchange is None:
            broken = self._broken or Broken("stopped", "no exchange took place")
            return Answer(
                None, (), 0, "", "", b"", broken.error, broken.detail, 0,
                tuple(self.reached), tuple(self.redirects), self.challenges,
            )  # fmt: skip
        self._settle(exchange)
        if self._client._closed and exchange.broken is not None and exchange.broken.error != "cut":
            exchange.replace_broken("stopped", "the client was closed by another thread")
        return exchange.answer(tuple(self.redirects), self.challenges)

    def _settle(self, exchange: Exchange) -> None:
        client = self._client
        client._active = None
        if exchange.settle() and self.origin is not None:
            client._keep(self.origin, exchange.stream)
