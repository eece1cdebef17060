"""Registries that misbehave on purpose: each answers well for a while, then does one bad thing for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Act = Callable[[socket.socket], None]


def hang(peer: socket.socket) -> None:
    """Reads on and never answers."""
    while peer.recv(65536):
        pass


def garbage(peer: socket.socket) -> None:
    peer.sendall(b"\x00\xff this is no HTTP \r\n\r\n" * 20)


def endless(peer: socket.socket) -> None:
    """A body without an end, as fast as it is read."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        peer.sendall(piece)


def close_at_once(peer: socket.socket) -> None:
    peer.recv(1)


def circles(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /v2/again\r\nContent-Length: 0\r\n\r\n")


def half(peer: socket.socket) -> None:
    """Announces a body and dies in the middle of it."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")


@dataclass
class Hostile:
    """Answers `GET /v2/` with 200 ``polite`` times, and every request after those with ``act``."""

    act: Act
    polite: int = 1
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._open.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            while self.polite > 0:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = peer.recv(65536)
                    if not more:
                        return
                    head += more
                if not head.startswith(b"GET /v2/ "):
                    break
                self.polite -= 1
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            self.act(peer)
        except OSError:
            pass
        finally:
            peer.close()

    def close(self) -> None:
        self._server.close()
        for peer in self._open:
            peer.close()
