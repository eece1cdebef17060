"""Servers that do exactly as they are told, and remember byte for byte what they got."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

WAIT_S = 5.0


@dataclass
class Talk:
    """The server's end of one connection. ``got``: all bytes received. ``ended``: how the client
    ended it, ``"fin"`` or ``"reset"``, once the server read that far."""

    sock: socket.socket
    got: bytearray = field(default_factory=bytearray)
    ended: str | None = None
    requests: list[bytes] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> bytes:
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
            return b""
        if not data and self.ended is None:
            self.ended = "fin"
        self.got += data
        return data

    def until(self, size_bytes: int) -> bytes:
        """Receive until so many bytes in all are here, or the end."""
        while len(self.got) < size_bytes and self.receive():
            pass
        return bytes(self.got)

    def to_end(self) -> bytes:
        while self.receive():
            pass
        return bytes(self.got)

    def request(self) -> bytes | None:
        """The next whole request, head and body as on the wire; ``None`` at the end."""
        start = sum(map(len, self.requests))
        while b"\r\n\r\n" not in self.got[start:]:
            if not self.receive():
                return None
        head = bytes(self.got[start:]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        lower = head.lower()
        end = start + len(head)
        if b"\r\ncontent-length:" in lower:
            end += int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
            self.until(end)
        elif b"\r\ntransfer-encoding: chunked" in lower:
            while not bytes(self.got[end:]).endswith(b"0\r\n\r\n") and self.receive():
                pass
            end = len(self.got)
        self.requests.append(bytes(self.got[start:end]))
        return self.requests[-1]

    def abort(self) -> None:
        """Reset the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


Script = Callable[[Talk], object]


def answer(status: int = 200, body: bytes = b"ok", *headers: str) -> bytes:
    """A whole answer with a length."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def answers(*texts: bytes) -> Script:
    """Read a request, send the next text; then read to the end."""

    def talk(connection: Talk) -> None:
        for text in texts:
            if connection.request() is None:
                return
            connection.send(text)
        connection.to_end()

    return talk


def routes(table: Callable[[bytes], bytes]) -> Script:
    """Answer every request with what the table says."""

    def talk(connection: Talk) -> None:
        while (request := connection.request()) is not None:
            connection.send(table(request))

    return talk


class Peer:
    """Listens on a port of its own. The first connection is talked to by the first script and so
    on; the last script has all the others. ``talks`` holds the connections in the order in which
    they were accepted."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.talks: list[Talk] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._accepted = threading.Condition()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(WAIT_S)
            talk = Talk(sock)
            script = self._scripts[min(len(self.talks), len(self._scripts) - 1)]
            self.talks.append(talk)
            thread = threading.Thread(target=self._talk, args=(talk, script), daemon=True)
            thread.start()
            with self._accepted:
                self._threads.append(thread)
                self._accepted.notify_all()

    def _talk(self, talk: Talk, script: Script) -> None:
        try:
            if self._tls is not None:
                talk.sock = self._tls.wrap_socket(talk.sock, server_side=True)
            script(talk)
        except OSError:
            pass  # the client has gone, which is what many of the tests are about
        except BaseException as error:
            self.errors.append(error)
        finally:
            talk.sock.close()

    def settle(self, connections: int = 1) -> None:
        """Wait until so many connections were accepted, and all their scripts are through."""
        with self._accepted:
            assert self._accepted.wait_for(lambda: len(self._threads) >= connections, WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive(), "a script is not through"

    def close(self) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(WAIT_S)
        for talk in self.talks:
            with contextlib.suppress(OSError):
                talk.sock.shutdown(socket.SHUT_RDWR)
        self.settle(0)
        assert not self.errors, self.errors


def targets(requests: Iterable[bytes]) -> list[str]:
    """The request lines' targets."""
    return [request.split(b" ", 2)[1].decode() for request in requests]


def field_of(request: bytes, name: str) -> str | None:
    """The value of a header of a request, or ``None``."""
    for line in request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        known, _, value = line.partition(": ")
        if known.lower() == name:
            return value
    return None
