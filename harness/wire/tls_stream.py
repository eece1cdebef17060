"""TLS over a socket."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time

from harness.wire.stream import SocketStream

_RECORD_BYTES_MAX = 16384


class TlsStream(SocketStream):
    """A `SocketStream` that encrypts.

    The bytes pass through buffers instead of `ssl.SSLSocket`, because that one cannot end one
    direction: its unwrap reads on after it has said goodbye, and loses the answer where it is quick.
    """

    __slots__ = ("_incoming", "_outgoing", "_part_bytes", "_tls", "_unsent", "_wait_in")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str, end_s: float) -> None:
        """Shake hands until ``end_s`` (monotonic). Raises `OSError`, of which `ssl.SSLError` is one."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._unsent = b""
        self._part_bytes = 0
        self._shake_hands(sock, end_s)
        super().__init__(sock)
        readable = select.poll()
        readable.register(sock, select.POLLIN)
        self._wait_in = readable.poll

    def _shake_hands(self, sock: socket.socket, end_s: float) -> None:
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                # What is left to send is the alert that tells the peer why.
                with contextlib.suppress(OSError):
                    sock.sendall(self._outgoing.read())
                raise
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            sock.settimeout(left_s)
            sock.sendall(self._outgoing.read())
            if not done:
                self._fill(sock.recv(65536))

    def _fill(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: bytes | memoryview, wait_s: float) -> int:
        # Bytes count as sent once their whole record is; a record that the kernel took only a part of is
        # finished first, when the caller comes again with the same bytes.
        if not self._unsent:
            self._part_bytes = self._tls.write(memoryview(data)[:_RECORD_BYTES_MAX])
            self._unsent = self._outgoing.read()
        while self._unsent:
            try:
                taken = self._sock.send(self._unsent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if self._peer_speaks(wait_s):
                    return 0
                continue
            self._unsent = self._unsent[taken:]
        return self._part_bytes

    def receive(self, size_bytes_max: int, wait_s: float) -> bytes:
        end_s = time.monotonic() + wait_s
        while True:
            data = self.receive_now(size_bytes_max)
            if data is not None:
                return data
            if not self._wait_in(max(0.0, end_s - time.monotonic()) * 1000):
                raise TimeoutError

    def receive_now(self, size_bytes_max: int) -> bytes | None:
        while True:
            try:
                return self._tls.read(size_bytes_max)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                # An end without close_notify is common, and HTTP knows by itself what is missing.
                return b""
            try:
                self._fill(self._sock.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return None

    def end_sending(self) -> None:
        # RFC 8446 section 6.1: close_notify ends one direction. unwrap then misses the peer's own.
        with contextlib.suppress(OSError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._sock.send(self._outgoing.read(), socket.MSG_DONTWAIT)
        super().end_sending()
