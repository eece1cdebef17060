"""Bytes over a socket, every wait with a limit.

Sending never blocks for long without looking at what comes in: the answer may be there before the request is
out.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from typing import Protocol, cast

from harness.wire.message import Broken

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
_LINGER_ZERO = struct.pack("ii", 1, 0)
_DRAIN_BYTES_MAX = 1 << 20


class Stream(Protocol):
    """Both directions of one connection; the seam for tests. Waiting too long raises
    `TimeoutError`, a broken connection another `OSError`."""

    def send(self, data: bytes | memoryview, wait_s: float) -> int:
        """Hand over the beginning of ``data`` and say how much. 0: the peer has something to say,
        or has gone."""
        ...

    def receive(self, size_bytes_max: int, wait_s: float) -> bytes:
        """The next bytes, at least one; ``b""`` at the end."""
        ...

    def receive_now(self, size_bytes_max: int) -> bytes | None:
        """As ``receive``, ``None`` where nothing is there."""
        ...

    def end_sending(self) -> None:
        """End our direction (FIN); the other one stays open."""
        ...

    def close(self, *, reset: bool = False) -> None:
        """End both directions: with FIN, or with RST. Never raises; idempotent."""
        ...

    def abort(self) -> None:
        """From another thread: let every wait end at once."""
        ...


class SocketStream:
    """A `Stream` over a connected TCP socket.

    The kernel keeps the time while this waits for bytes (SO_RCVTIMEO): poll before every recv would cost a
    small exchange a tenth more.
    """

    __slots__ = ("_closed", "_sock", "_wait_both", "_wait_s")

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._sock = sock
        self._closed = False
        self._wait_s = 0.0
        both = select.poll()
        both.register(sock, select.POLLIN | select.POLLOUT)
        self._wait_both = both.poll

    def send(self, data: bytes | memoryview, wait_s: float) -> int:
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        ready = self._wait_both(wait_s * 1000)
        if not ready:
            raise TimeoutError
        if ready[0][1] & (select.POLLIN | _GONE):
            return 0
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def receive(self, size_bytes_max: int, wait_s: float) -> bytes:
        if wait_s != self._wait_s:
            # A wait of 0 would mean for ever.
            micros = max(1, int(wait_s * 1e6))
            wait = struct.pack("ll", micros // 1_000_000, micros % 1_000_000)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
            self._wait_s = wait_s
        try:
            return self._sock.recv(size_bytes_max)
        except BlockingIOError:
            raise TimeoutError from None

    def receive_now(self, size_bytes_max: int) -> bytes | None:
        try:
            return self._sock.recv(size_bytes_max, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def end_sending(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            if reset:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            else:
                self._drain()
        self._sock.close()

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _drain(self) -> None:
        # Closing a socket that holds unread bytes sends RST instead of FIN.
        left_bytes = _DRAIN_BYTES_MAX
        while left_bytes > 0:
            data = socket.socket.recv(self._sock, 65536, socket.MSG_DONTWAIT)
            if not data:
                return
            left_bytes -= len(data)


class TlsStream(SocketStream):
    """The same over TLS, where only a non-blocking socket tells "no bytes yet" from an error. What waits
    decrypted inside ssl is invisible to poll, so reading comes before waiting."""

    __slots__ = ("_wait_in",)

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        sock.setblocking(False)
        readable = select.poll()
        readable.register(sock, select.POLLIN)
        self._wait_in = readable.poll

    def send(self, data: bytes | memoryview, wait_s: float) -> int:
        # ssl insists on the same bytes again after a refusal; at most one record keeps that cheap.
        part = memoryview(data)[:16384]
        try:
            return self._sock.send(part)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        ready = self._wait_both(wait_s * 1000)
        if not ready:
            raise TimeoutError
        if ready[0][1] & (select.POLLIN | _GONE):
            return 0
        try:
            return self._sock.send(part)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def receive(self, size_bytes_max: int, wait_s: float) -> bytes:
        end_s = time.monotonic() + wait_s
        while True:
            data = self.receive_now(size_bytes_max)
            if data is not None:
                return data
            if not self._wait_in(max(0.0, end_s - time.monotonic()) * 1000):
                raise TimeoutError

    def receive_now(self, size_bytes_max: int) -> bytes | None:
        try:
            return self._sock.recv(size_bytes_max)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def end_sending(self) -> None:
        # RFC 8446 section 6.1: close_notify ends one direction. It is sent, and then the peer's own is
        # missing, which ends unwrap, and leaves the keys that decrypt the answer in place.
        with contextlib.suppress(OSError, ValueError):
            cast(ssl.SSLSocket, self._sock).unwrap()
        super().end_sending()


class ScriptedStream:
    """A `Stream` without a network: gives back ``script`` entry by entry (``b""`` is the end, an
    exception is raised, an exhausted script times out) and keeps what was sent in ``sent``.
    ``early`` of the entries are there before the request is sent."""

    def __init__(self, *script: bytes | OSError, early: int = 0) -> None:
        self.script = list(script)
        self.early = early
        self.sent = bytearray()
        self.events: list[str] = []

    def send(self, data: bytes | memoryview, wait_s: float) -> int:
        self.sent += data
        return len(data)

    def receive(self, size_bytes_max: int, wait_s: float) -> bytes:
        if not self.script:
            raise TimeoutError
        entry = self.script.pop(0)
        if isinstance(entry, OSError):
            raise entry
        if len(entry) > size_bytes_max:
            self.script.insert(0, entry[size_bytes_max:])
        return entry[:size_bytes_max]

    def receive_now(self, size_bytes_max: int) -> bytes | None:
        if not self.early:
            return None
        self.early -= 1
        return self.receive(size_bytes_max, 0)

    def end_sending(self) -> None:
        self.events.append("half")

    def close(self, *, reset: bool = False) -> None:
        self.events.append("reset" if reset else "close")

    def abort(self) -> None:
        self.events.append("abort")


def connect(host: str, port: int, *, tls: ssl.SSLContext | None, connect_s: float) -> SocketStream:
    """A connection, TLS included, within ``connect_s`` over all addresses of the name (looking up
    the name is up to the system and has the system's limit). Raises `Broken`: ``dns``, ``refused``,
    ``unreachable``, ``connect-timeout``, ``tls``, ``reset``."""
    end_s = time.monotonic() + connect_s
    where = f"{host}:{port}"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Broken("dns", f"the name {host} has no address: {error}") from None
    broken = Broken("dns", f"the name {host} has no address")
    for family, kind, protocol, _, address in addresses:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            broken = Broken("unreachable", f"{where}: {error}")
            continue
        try:
            sock.settimeout(max(0.001, end_s - time.monotonic()))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                return SocketStream(sock)
            return TlsStream(_handshake(sock, tls, host, end_s))
        except TimeoutError:
            broken = Broken("connect-timeout", f"{where} is not connected after {connect_s:g} s")
        except ConnectionRefusedError:
            broken = Broken("refused", f"nobody listens on {where}")
        except ssl.SSLError as error:
            broken = Broken("tls", f"{where}: {_tls_reason(error)}")
        except ConnectionResetError:
            broken = Broken("reset", f"{where} reset the connection while connecting")
        except OSError as error:
            broken = Broken("unreachable", f"{where}: {error}")
        sock.close()
    raise broken


def _handshake(sock: socket.socket, tls: ssl.SSLContext, server_name: str, end_s: float) -> ssl.SSLSocket:
    # wrap_socket takes the descriptor over; where the handshake fails, this closes it again.
    sock.settimeout(max(0.001, end_s - time.monotonic()))
    wrapped = tls.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
    try:
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    return str(error.reason or error).lower().replace("_", " ")
