"""A client that sends bytes as they are, and reads what comes back with a strict parser."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time

import h11

from . import pieces, world
from .framing import Case, End
from .judge import Answer, flaws

LIMIT_S = 20.0
"""Whoever keeps a client waiting for longer hangs."""
_SESSION_USES = 6
_UPLOAD = re.compile(rb"/v2/([a-z0-9_./-]+)/blobs/uploads/" + pieces.SESSION)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Client:
    """One connection at a time, kept as long as both sides allow it."""

    def __init__(self, port: int, limit_s: float = LIMIT_S) -> None:
        self._port = port
        self._limit_s = limit_s
        self._sock: socket.socket | None = None
        self._sessions: dict[str, tuple[bytes, int]] = {}
        self.statuses: list[int] = []
        """Of the answers to the last case."""

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def fill_in(self, case: Case) -> tuple[bytes, ...]:
        """Return the segments with an open session for the one that stands for it."""
        data = b"\0\0".join(case.segments)
        if pieces.SESSION not in data:
            return case.segments
        found = _UPLOAD.search(data)
        named = found[1].decode() if found else ""
        session = self._session(named if named in world.REPOSITORIES else world.REPOSITORIES[0])
        return tuple(segment.replace(pieces.SESSION, session) for segment in case.segments)

    def check(self, case: Case, segments: tuple[bytes, ...]) -> list[str]:
        """Send a case; returns what is wrong with what comes of it."""
        began = time.monotonic()
        self.statuses = []
        fresh = case.end is not End.STAYS or self._sock is None
        if fresh:
            self.close()
        try:
            answers, ended, wrong = self._exchange(case, segments)
        except TimeoutError:
            self.close()
            return [f"nothing for {self._limit_s:g} s"]
        self.statuses = [answer.status for answer in answers]
        if ended or case.end is not End.STAYS or wrong or (answers and answers[-1].closes):
            self.close()
        found = [*wrong, *flaws(case, answers, ended)]
        if time.monotonic() - began > self._limit_s:
            found.append(f"took more than {self._limit_s:g} s")
        return found

    def _exchange(self, case: Case, segments: tuple[bytes, ...]) -> tuple[list[Answer], bool, list[str]]:
        sock = self._connected()
        reader = _Reader(sock, case.methods)
        ended = False
        try:
            for segment in segments:
                sock.sendall(segment)
            if case.end is End.BROKEN:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return [], False, []
            if case.end is End.LEFT:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before all was sent: an answer may have come all the same.
            ended = True
        try:
            if case.end in (End.STAYS, End.ANSWERED):
                ended |= not reader.read(len(case.methods) if case.end is End.STAYS else 1)
            else:
                reader.read(None)
                ended = True
        except ConnectionResetError:
            ended = True
        except h11.RemoteProtocolError as error:
            return reader.answers, ended, [f"not HTTP: {error}"]
        wrong = []
        if case.end is End.STAYS and not ended and reader.rest():
            wrong.append(f"more than was asked for: {reader.rest()[:100]!r}")
        return reader.answers, ended, wrong

    def _connected(self) -> socket.socket:
        if self._sock is None:
            self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=self._limit_s)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._sock

    def _session(self, repository: str) -> bytes:
        session, uses = self._sessions.get(repository, (b"", _SESSION_USES))
        if uses >= _SESSION_USES:
            session, uses = self._begin(repository), 0
        self._sessions[repository] = session, uses + 1
        return session

    def _begin(self, repository: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=self._limit_s) as sock:
            sock.sendall(f"POST /v2/{repository}/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reader = _Reader(sock, ("POST",))
            reader.read(1)
            location = reader.answers[0].header("location")
        assert location, reader.answers
        return location.rpartition("/")[2].encode()


class _Reader:
    """Reads answers to requests with these methods, in order."""

    def __init__(self, sock: socket.socket, methods: tuple[str, ...]) -> None:
        self._sock = sock
        self._methods = methods
        self.answers: list[Answer] = []
        self._parser = self._expecting()

    def _expecting(self, left: bytes = b"") -> h11.Connection:
        number = len(self.answers)
        method = self._methods[number] if number < len(self._methods) else "GET"
        # What was really sent may be no request at all: only HEAD changes how an answer is read.
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        parser.send(
            h11.Request(method="HEAD" if method == "HEAD" else "GET", target="/", headers=[("host", "x")])
        )
        parser.send(h11.EndOfMessage())
        if left:
            parser.receive_data(left)
        return parser

    def read(self, count: int | None) -> bool:
        """Read so many answers, or all until the end; whether the connection goes on.

        Raises RemoteProtocolError, TimeoutError, ConnectionResetError.
        """
        while count is None or len(self.answers) < count:
            try:
                answer = self._one()
            except EOFError:
                return False
            self.answers.append(answer)
            left, is_over = self._parser.trailing_data
            if is_over:
                return False
            if answer.closes and count is not None:
                return False
            self._parser = self._expecting(left)
        return True

    def rest(self) -> bytes:
        """What came after the last answer, without waiting for it."""
        left, _ = self._parser.trailing_data
        if select.select([self._sock], [], [], 0)[0]:
            with contextlib.suppress(ConnectionResetError):
                left += self._sock.recv(4096)
        return left

    def _one(self) -> Answer:
        head: h11.Response | None = None
        body = bytearray()
        started = False
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                data = self._sock.recv(1 << 16)
                if not data and head is None and not started:
                    raise EOFError
                started = started or bool(data)
                self._parser.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers)
                return Answer(head.status_code, headers, bytes(body))
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError
