"""A blocking HTTP/1.1 client that costs next to nothing, for measuring servers that share its machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

RECEIVE_BYTES = 1 << 20
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``head`` is the status line and the header fields, in lower case except for ``location``."""

    status: int
    body_bytes: int
    head: bytes
    location: str


class RawClient:
    """One connection, kept open. Bodies that come back are read and thrown away."""

    def __init__(self, place: str) -> None:
        host, _, port = place.rpartition(":")
        self._host = place
        self._sock = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))

    def close(self) -> None:
        self._sock.close()

    def send(
        self, method: str, path: str, body: bytes = b"", fields: str = "", *, expect: int | None = None
    ) -> Answer:
        """One exchange. ``fields`` are further header lines, each ended by CRLF."""
        head = self._head(method, path, f"Content-Length: {len(body)}\r\n{fields}")
        if len(body) < 65536:
            self._sock.sendall(head + body)
        else:
            self._sock.sendall(head)
            self._sock.sendall(body)
        return self._receive(method, path, expect)

    def send_pieces(
        self,
        method: str,
        path: str,
        first: int,
        end: int,
        pieces: Iterable[bytes],
        *,
        expect: int | None = None,
    ) -> Answer:
        """One exchange with the bytes from ``first`` up to ``end`` of something, as a chunk of an upload."""
        fields = f"Content-Length: {end - first}\r\nContent-Range: {first}-{end - 1}\r\n"
        self._sock.sendall(self._head(method, path, f"{fields}Content-Type: application/octet-stream\r\n"))
        for piece in pieces:
            self._sock.sendall(piece)
        return self._receive(method, path, expect)

    def stream(self, method: str, path: str, pieces: Iterable[bytes], *, expect: int | None = None) -> Answer:
        """One exchange with a body in ``Transfer-Encoding: chunked``, as Docker sends its layers."""
        self._sock.sendall(self._head(method, path, "Transfer-Encoding: chunked\r\n"))
        for piece in pieces:
            self._sock.sendall(b"%x\r\n" % len(piece))
            self._sock.sendall(piece)
            self._sock.sendall(b"\r\n")
        self._sock.sendall(b"0\r\n\r\n")
        return self._receive(method, path, expect)

    def _head(self, method: str, path: str, fields: str) -> bytes:
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{fields}\r\n".encode()

    def _receive(self, method: str, path: str, expect: int | None) -> Answer:
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            count = self._sock.recv_into(self._buffer)
            if not count:
                raise ConnectionError(f"{method} {path}: the connection ended before the answer")
            data += self._buffer[:count]
        head = bytes(data[:end])
        lower = head.lower()
        answer = Answer(int(head[9:12]), _length(lower), lower, _field(head, lower, b"location"))
        if expect is not None and answer.status != expect:
            raise AssertionError(f"{method} {path}: {answer.status}, not {expect}: {bytes(data)[:800]!r}")
        if method != "HEAD" and answer.status not in (204, 304):
            left = answer.body_bytes - (len(data) - end - 4)
            while left > 0:
                count = self._sock.recv_into(self._buffer, min(left, RECEIVE_BYTES))
                if not count:
                    raise ConnectionError(f"{method} {path}: {left} bytes short")
                left -= count
        return answer


def _length(lower: bytes) -> int:
    text = _field(lower, lower, b"content-length")
    if not text and b"\r\ntransfer-encoding:" in lower:
        raise AssertionError("an answer in chunks; this client only reads those of a known length")
    return int(text or 0)


def _field(head: bytes, lower: bytes, name: bytes) -> str:
    start = lower.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    end = head.find(b"\r\n", start + 2)
    return head[start + len(name) + 3 : end if end >= 0 else None].strip().decode("ascii")


def path_of(location: str) -> str:
    """The path and query of a Location, absolute or relative."""
    if "://" in location:
        return "/" + location.split("://", 1)[1].split("/", 1)[1]
    return location
