"""Serving the registry over HTTP, by uvicorn."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server

from .api.body import UNREAD

HEAD_MAX_BYTES = 64 << 10
HEAD_TIMEOUT_S = 60.0
SHUTDOWN_TIMEOUT_S = 2

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on a request's head, and no byte of a body lost."""

    _head_bytes = 0
    _in_head = True
    _head_timer: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                # What follows the head may be in the same data: only feed what must be head.
                self._feed_long_head(data)
                return
        super().data_received(data)

    def _feed_long_head(self, data: bytes) -> None:
        keep = max(0, HEAD_MAX_BYTES - (self._head_bytes - len(data)))
        super().data_received(data[:keep])
        if self._in_head:
            if not self.transport.is_closing():
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()
        else:
            super().data_received(data[keep:])

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._head_timer.cancel()
        super().on_headers_complete()
        cycle = self.cycle
        self.scope["state"][UNREAD] = lambda: bytes(cycle.body)

    def _head_timed_out(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class AnnouncingServer(Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to serve on; port 0 takes any free one.  Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only where the protocol is named.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except BaseException:
        sock.close()
        raise
    return sock


def serve(app: ASGIApp, sock: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def announce() -> None:
        print(f"listening on http://{shown}:{port}", flush=True)

    config = Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn finishes what it is doing, then raises the signal again for whoever was there
        # before it: for nobody, as a stop that was asked for is a success.
        signal.signal(number, lambda _number, _frame: None)
    AnnouncingServer(config, announce).run(sockets=[sock])
