"""Bytes over a socket, every wait with a limit.

Sending never blocks for long without looking at what comes in: the answer may be there before the request is
out.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from typing import Protocol

_SPEAKS = select.POLLIN | select.POLLERR | select.POLLHUP | select.POLLNVAL
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
        if self._peer_speaks(wait_s):
            return 0
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _peer_speaks(self, wait_s: float) -> bool:
        """Wait until more can be sent (False), or the peer says something or has gone (True)."""
        ready = self._wait_both(wait_s * 1000)
        if not ready:
            raise TimeoutError
        return bool(ready[0][1] & _SPEAKS)

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
            self._sock.shutdown(socket.SHUT_WR)

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
            self._sock.shutdown(socket.SHUT_RDWR)

    def _drain(self) -> None:
        # Closing a socket that holds unread bytes sends RST instead of FIN.
        left_bytes = _DRAIN_BYTES_MAX
        while left_bytes > 0:
            data = self._sock.recv(65536, socket.MSG_DONTWAIT)
            if not data:
                return
            left_bytes -= len(data)


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
