"""A client for one base URL: connections that are kept, redirects, authentication."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace

from harness.wire.auth import Authenticator, Credentials
from harness.wire.exchange import Exchange
from harness.wire.message import Answer, Broken, Headers, Limits, Request, Stop, first
from harness.wire.protocol import request_head
from harness.wire.stream import Stream, connect
from harness.wire.tls import Tls
from harness.wire.url import BadUrl, Url, follow, parse_base, resolve

REDIRECTS_MAX = 5
CHALLENGES_MAX = 2
_KEPT_MAX = 4
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_PRIVATE = frozenset({"authorization", "cookie"})
_DEAD = frozenset({"closed", "reset"})

Origin = tuple[str, str, int]


class Client:
    """One lane's client; one request at a time. Other threads may only call `close`, and then the request under
    way ends with the error ``stopped``.

    ``base_url`` is a scheme, a host and a port. ``credentials`` is short for an ``authenticator`` of its own;
    one authenticator shared between clients spares token requests. Raises `BadUrl`, `BadTls`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        tls: Tls | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        authenticator: Authenticator | None = None,
    ) -> None:
        self.base = parse_base(base_url)
        self.limits = limits
        self._tls = tls or Tls()
        self._context: ssl.SSLContext | None = None
        if self.base.scheme == "https":
            self._context = self._tls.context()
        self._auth = authenticator or Authenticator(credentials)
        self._kept: dict[Origin, Stream] = {}
        self._active: Stream | None = None
        self._closed = False

    def send(self, request: Request) -> Answer:
        """Carry out one request, with all its redirects and challenges. Never raises for what the peer does;
        raises what a stop, a sink or a source raises, and `ValueError` for a source that does not give as many
        bytes as it says."""
        reply = self.open(request)
        sink = request.sink
        for piece in reply.pieces():
            if sink is not None:
                sink(piece)
        return reply.finish()

    def open(self, request: Request) -> Reply:
        """As `send`, up to the head of the final answer; its body is then pulled from the `Reply`."""
        reached: list[Stop] = []
        redirects: list[str] = []
        challenges = 0
        try:
            url = resolve(self.base, request.target)
        except BadUrl as error:
            return Reply(self, None, None, Broken("garbage", str(error)), reached)
        while True:
            authorization = None
            if url.origin == self.base.origin and first_any(request.headers, "authorization") is None:
                authorization = self._auth.header(request.method, url)
            extra: Headers = () if authorization is None else (("Authorization", authorization),)
            exchange = self._begin(url, request, extra, reached)
            if isinstance(exchange, Broken):
                return Reply(self, None, None, exchange, reached, redirects, challenges)
            reply = Reply(self, exchange, url.origin, None, reached, redirects, challenges)
            status = exchange.status
            if status == 401 and challenges < CHALLENGES_MAX and url.origin == self.base.origin:
                if first_any(request.headers, "authorization") is not None:
                    return reply
                if not self._auth.answer(request.method, url, exchange.headers, authorization, self._fetch):
                    return reply
                challenges += 1
            elif status in _REDIRECT and request.follow and request.method in _SAFE:
                location = first(exchange.headers, "location")
                if location is None:
                    return reply
                try:
                    target = follow(url, location)
                except BadUrl as error:
                    exchange.fail("redirects", str(error))
                    return reply
                if str(target) in redirects or str(target) == str(url):
                    exchange.fail("redirects", f"redirected in a circle to {target}")
                    return reply
                if len(redirects) == REDIRECTS_MAX:
                    exchange.fail("redirects", f"more than {REDIRECTS_MAX} redirects")
                    return reply
                redirects.append(str(target))
                if target.origin != url.origin:
                    kept = tuple(
                        (name, value)
                        for name, value in request.headers
                        if name.lower() not in _PRIVATE and name.lower() != "host"
                    )
                    request = replace(request, headers=kept)
                url = target
            else:
                return reply
            for _ in reply.pieces():
                pass
            answer = reply.finish()
            if answer.error == "cut":
                return reply

    def close(self) -> None:
        """Close every connection. From another thread: end the request under way."""
        self._closed = True
        active = self._active
        if active is not None:
            active.abort()
        while self._kept:
            _, stream = self._kept.popitem()
            stream.close()
