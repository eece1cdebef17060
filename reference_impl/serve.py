"""Serving the registry over HTTP, by uvicorn, from the first connection to the last."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import FrameType

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

from .connection import ConnectionLimits, Protocol, protocol
from .tls import Certificate

PARKING_LIMIT_S = 5.0
_POLL_S = 0.02

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """``stop_grace_s`` is how long open requests may go on after a stop was asked for."""

    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    stop_grace_s: float = 10.0
    certificate: Certificate | None = None
    also: tuple[str, ...] = ()
    """What else to say once it listens."""


class RegistryServer(Server):
    """Says where it listens as soon as it does, and stops without losing what clients have sent."""

    def __init__(self, config: Config, serving: Serving, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._serving = serving
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._serving.certificate is not None:
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, self._renew, self._serving.certificate
            )
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            # Whoever asks twice does not want to wait for anything.  It is as safe as any crash.
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the open requests, or park them: what arrived of an upload is kept, and can be resumed."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        state = self.server_state
        if not await _empty(lambda: state.connections or state.tasks, self._serving.stop_grace_s):
            parked = [one for one in state.connections if isinstance(one, Protocol)]
            _log.warning("breaking off %d connections that were not done in time", len(parked))
            for one in parked:
                one.park()
        this = asyncio.current_task()
        for task in asyncio.all_tasks() - state.tasks - {this}:  # handshakes, probes
            task.cancel()
        if not await _empty(lambda: asyncio.all_tasks() - {this}, PARKING_LIMIT_S):
            _log.error("the storage does not let go of a request: stopping all the same")
            os._exit(1)  # what waits for its threads would wait for ever

    def _renew(self, certificate: Certificate) -> None:
        try:
            certificate.renew()
        except ValueError as error:
            _log.error("the certificate stays as it was: %s", error)
        else:
            _log.info("the certificate was read again")


async def _empty(left: Callable[[], Collection[object]], limit_s: float) -> bool:
    """Wait until nothing is left; whether that was in time."""
    clock = asyncio.get_running_loop().time
    end = clock() + limit_s
    while left():
        if clock() >= end:
            return False
        await asyncio.sleep(_POLL_S)
    return True


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


def shown(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host


def serve(app: ASGIApp, sock: socket.socket, serving: Serving | None = None) -> None:
    """Serve until SIGTERM or SIGINT.  Does not return if a request could not be brought to its end."""
    serving = serving or Serving()
    host, port = sock.getsockname()[:2]
    scheme = "http" if serving.certificate is None else "https"

    def announce() -> None:
        for line in (f"listening on {scheme}://{shown(host)}:{port}", *serving.also):
            print(line, flush=True)

    certificate = serving.certificate
    config = Config(
        app,
        http=protocol(serving.connection),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(serving.connection.keep_alive_s)),
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn finishes what it is doing, then raises the signal again for whoever was there
        # before it: for nobody, as a stop that was asked for is a success.
        signal.signal(number, lambda _number, _frame: None)
    RegistryServer(config, serving, announce).run(sockets=[sock])
