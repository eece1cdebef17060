"""Looking at requests from outside: what each was, and what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import ACCESS
from .state import ACCOUNT, STORAGE_FAULT, request_id, state

NO_ANSWER = 499
"""The status of a request whose client went away first, as nginx has it."""
UNKNOWN_ROUTE = "unknown"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LOGGED_AGENT_CHARS = 200

_log = logging.getLogger(ACCESS)


@dataclass(slots=True)
class Exchange:
    """A request, and what was answered so far; sizes are of bodies.

    Of the scope only what is in it at the end is complete: route and account are found on the way.
    """

    scope: Scope
    status: int = NO_ANSWER
    received_bytes: int = 0
    sent_bytes: int = 0
    duration_s: float = 0.0

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method if method in _METHODS else "other"

    @property
    def route(self) -> str:
        """The pattern that the path fits: one of a few, whatever the client sends."""
        pattern: str = getattr(self.scope.get("endpoint"), "pattern", UNKNOWN_ROUTE)
        return pattern

    @property
    def repository(self) -> str | None:
        name: str | None = self.scope.get("path_params", {}).get("name")
        return name

    @property
    def account(self) -> str | None:
        name: str | None = state(self.scope).get(ACCOUNT)
        return name

    @property
    def storage_fault(self) -> str | None:
        fault: str | None = state(self.scope).get(STORAGE_FAULT)
        return fault


Watcher = Callable[[Exchange], None]


class Observed:
    """An app whose requests are shown to watchers once they are over.

    With ``identify`` each answer has the request's id, for whoever wants to find it in a log.
    """

    def __init__(self, app: ASGIApp, watchers: Sequence[Watcher], *, identify: bool) -> None:
        self._app = app
        self._watchers = watchers
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        began = time.perf_counter()

        async def watched_receive() -> Message:
            message = await receive()
            exchange.received_bytes += len(message.get("body", b""))
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if self._identify:
                    identity = (b"x-request-id", request_id(scope).encode("ascii"))
                    headers = [pair for pair in message["headers"] if pair[0] != identity[0]]
                    message = {**message, "headers": [*headers, identity]}
            else:
                exchange.sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        finally:
            exchange.duration_s = time.perf_counter() - began
            for watcher in self._watchers:
                watcher(exchange)


def log_access(exchange: Exchange) -> None:
    """Write a request into the access log.  The query stays out of it: there may be secrets in it."""
    scope = exchange.scope
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), None)
    client = scope.get("client")
    record = _log.makeRecord(  # as `Logger.info` does, but for the line of the code that it is from
        _log.name,
        logging.INFO,
        "",
        0,
        "request",
        (),
        None,
        extra={
            "fields": {
                "method": scope["method"],
                "path": scope["path"],
                "route": exchange.route,
                "repository": exchange.repository,
                "status": exchange.status,
                "received_bytes": exchange.received_bytes,
                "sent_bytes": exchange.sent_bytes,
                "duration_ms": round(exchange.duration_s * 1000, 3),
                "account": exchange.account,
                "client": client and client[0],
                "user_agent": agent and agent.decode("latin-1")[:_LOGGED_AGENT_CHARS],
                "request_id": request_id(scope),
            }
        },
    )
    _log.handle(record)
