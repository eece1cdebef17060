"""Weather on the wire: toxics between clients and registry, and between the registry and its backend.

A toxic begins and ends with new connections: those that are open are closed then. So each toxic has a proxy
of its own on the same port, what a proxy saw was under its toxic from the first byte, and ``limit_data``
lets exactly so many bytes through. The other toxics are weather: what they hit depends on time.

A connection counts once it was accepted and led on. A proxy that is ``down`` accepts none, so nothing can
be counted there: whoever asked for it has to look whether anybody noticed.

Clients take the way through the proxy only where `Network.lead` says so. A registry that names its
own port in absolute Locations sends its clients past the proxy; a Location that is relative, or made from the
``Host`` that the client sent, leads through it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from harness.faults import toxiproxy
from harness.faults.toxiproxy import Proxies, Toxic, Toxiproxy
from harness.targets.base import TargetError
from harness.targets.host import Port
from harness.targets.process import POLL_S
from harness.targets.reaper import REAPER

DOWN = "down"
ATTRIBUTES: dict[str, tuple[str, int]] = {
    "latency": ("latency", 20),
    "bandwidth": ("rate", 256),
    "slow_close": ("delay", 30),
    "timeout": ("timeout", 60),
    "reset_peer": ("timeout", 0),
    "slicer": ("average_size", 64),
    "limit_data": ("bytes", 1000),
}
"""What a toxic's value is called (in Toxiproxy's units), and the value where none is given."""
STREAMS = {"up": "upstream", "down": "downstream"}
COUNT_LIMIT_S = 2.0
"""A closed connection is in the metrics after so long, at the latest."""


@dataclass
class Weather:
    """A toxic while it lasts. ``felt``: whether a connection went through it, known once it is healed; `None`
    for `DOWN`."""

    toxic: Toxic
    felt: bool | None = None
    _first: int = 0


@dataclass
class _Line:
    """The way to one side; ``names`` of its proxies, one after the other: the last one is there now."""

    side: str
    door: Port
    upstream: int
    names: list[str] = field(default_factory=list)
    open: list[Weather] = field(default_factory=list)


class Network:
    """Implements `harness.targets.seams.Tap`. Thread-safe. Raises `TargetError`, one line."""

    def __init__(self, url: str | None = None, start: Callable[[str | None], Proxies] = Toxiproxy) -> None:
        """``url`` of a Toxiproxy server; without, one is started."""
        self._clients = False
        self._server: Proxies | None = start(url)
        self._lines: dict[str, _Line] = {}
        self._lock = threading.RLock()
        self._prefix = f"seatrial-{os.getpid()}-{os.urandom(3).hex()}"
        self._theirs = url
        if url is not None:
            REAPER.watch_proxies(url, self._prefix)

    def lead(self, clients: bool) -> None:
        """Whether clients are led through the proxy from now on. Raises where the proxies are gone."""
        self._clients = clients
        if clients or self._lines:
            self._proxies.check()

    def client(self, port: int) -> int:
        return self._through("client", port) if self._clients else port

    def backend(self, port: int) -> int:
        return self._through("backend", port)

    def begin(
        self, toxic: str, side: str = "client", value: int | None = None, stream: str = "down"
    ) -> Weather:
        """Let a toxic begin on the way to a side; it lasts until `heal`."""
        if toxic == DOWN:
            made = Toxic(DOWN, {})
        else:
            attribute, usual = ATTRIBUTES[toxic]
            attributes = {attribute: usual if value is None else value}
            made = Toxic(toxic, attributes, STREAMS[stream])
        with self._lock:
            line = self._lines.get(side)
            if line is None:
                raise TargetError(f"no proxy stands on the way to the {side}")
            weather = Weather(made, None, len(line.names))
            line.open.append(weather)
            self._renew(line)
            return weather

    def heal(self) -> None:
        """End all toxics, and see which of them were felt."""
        with self._lock:
            for line in self._lines.values():
                if not line.open:
                    continue
                healed, line.open = line.open, []
                try:
                    self._renew(line)
                except TargetError:
                    line.open = healed
                    raise
                limit = time.monotonic() + COUNT_LIMIT_S
                for weather in healed:
                    if weather.toxic.type != DOWN:
                        weather.felt = self._seen(line.names[weather._first : -1], limit)

    def close(self) -> None:
        with self._lock:
            server, self._server = self._server, None
            for line in self._lines.values():
                if server is not None and line.names:
                    with suppress(TargetError):
                        server.remove(line.names[-1])
                line.door.close()
            if self._theirs is not None:
                REAPER.forget_proxies(self._theirs, self._prefix)
            self._lines.clear()
            if server is not None:
                server.close()

    # --- inside

    @property
    def _proxies(self) -> Proxies:
        if self._server is None:
            raise TargetError("the network is closed")
        return self._server

    def _through(self, side: str, port: int) -> int:
        with self._lock:
            line = self._lines.get(side)
            if line is None:
                line = self._lines[side] = _Line(side, Port(), port)
            if not line.names or line.upstream != port:
                line.upstream = port
                self._renew(line)
            return line.door.number

    def _renew(self, line: _Line) -> None:
        """A new proxy with what is open now, in the place of the one before."""
        if line.names:
            self._proxies.remove(line.names[-1])
        name = f"{self._prefix}-{line.side}-{len(line.names)}"
        line.names.append(name)
        toxics = tuple(weather.toxic for weather in line.open if weather.toxic.type != DOWN)
        up = all(weather.toxic.type != DOWN for weather in line.open)
        self._proxies.add(name, line.door.number, line.upstream, toxics, open=up)

    def _seen(self, names: list[str], limit: float) -> bool:
        while True:
            if any(self._proxies.seen(name) for name in names):
                return True
            if time.monotonic() > limit:
                return False
            time.sleep(POLL_S)


available = toxiproxy.available
