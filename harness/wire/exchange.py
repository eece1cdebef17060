"""One request and its answer on one connection, with stops and limits."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from harness.wire.message import PIECE_BYTES_MAX, SIZE_UNKNOWN, Answer, Broken, Limits, Request, Stop
from harness.wire.protocol import AnswerReader
from harness.wire.stream import Stream

JOIN_BYTES_MAX = 65536
"""Up to this size a body goes out together with its head."""
_DIGESTS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_RECEIVE_BYTES = 65536
"""At a time, until the head is there: larger buffers cost a small exchange a system call or two."""
_RECEIVE_BODY_BYTES = 262144


class _Enough(Exception):
    """Nothing more is to be sent; the answer is next."""


class Exchange:
    """In this order: ``begin`` sends, and reads up to the end of the answer's head; ``pieces``
    gives the body; ``settle`` decides about the connection; ``answer`` sums up.

    None of them raises for what the peer does: ``status`` stays ``None``, the pieces end, the
    answer says why. ``reached`` collects the stops that acted, over the exchanges of one
    ``Client.send``."""

    __slots__ = (
        "_broken",
        "_deadline_s",
        "_digests",
        "_early",
        "_limits",
        "_piece",
        "_reader",
        "_request",
        "_sent_all",
        "_stops",
        "_text",
        "_whole",
        "note",
        "reached",
        "received_bytes",
        "sent_bytes",
        "size_bytes",
        "stream",
    )

    def __init__(self, stream: Stream, request: Request, limits: Limits, reached: list[Stop]) -> None:
        self.stream = stream
        self._request = request
        self._limits = limits
        self._deadline_s = time.monotonic() + limits.exchange_s
        self._reader = AnswerReader(request.method, limits.head_bytes)
        self._broken: Broken | None = None
        self._stops: dict[str, list[Stop]] | None = None
        if request.stops:
            self._stops = {"head": [], "body": [], "answer": []}
            for stop in sorted(request.stops, key=lambda stop: stop.at_bytes):
                if stop not in reached:
                    self._stops[stop.part].append(stop)
        self.reached = reached
        self._piece = b""
        self._early: bytes | None = None
        self._text: list[bytes] | None = []
        self._digests: dict[str, Any] | None = None
        self._whole = False
        self._sent_all = False
        self.sent_bytes = 0
        self.received_bytes = 0
        self.size_bytes = 0
        self.note = ""

    @property
    def status(self) -> int | None:
        return self._reader.status

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return self._reader.headers

    @property
    def broken(self) -> Broken | None:
        return self._broken

    def fail(self, error: str, detail: str) -> None:
        """The answer is whole and yet of no use, for this reason."""
        self._broken = self._broken or Broken(error, detail)

    def replace_broken(self, error: str, detail: str) -> None:
        """What broke it had a cause that only the caller knows."""
        self._broken = Broken(error, detail)

    def begin(self, head: bytes) -> None:
        """Send ``head`` and the body, and read until the answer's head is there."""
        try:
            with suppress(_Enough):
                self._send(head)
            while self._reader.status is None:
                self._piece = self._more()
        except Broken as broken:
            self._give_up(broken)
        except BaseException:
            self.stream.close(reset=True)
            raise

    def pieces(self) -> Iterator[bytes]:
        """The body, decoded, as it arrives."""
        if self._broken is not None and self._reader.status is None:
            return
        try:
            piece = self._piece
            while True:
                if piece:
                    self._account(piece)
                    yield piece
                if self._reader.complete:
                    break
                piece = self._more()
            self._act("answer", self.received_bytes)
            self._whole = True
        except Broken as broken:
            self._give_up(broken)
        finally:
            if not self._whole:
                self.stream.close()

    def settle(self) -> bool:
        """After the last piece: whether the connection can carry another exchange. Otherwise it is
        closed."""
        request = self._request
        reusable = (
            self._whole
            and self._sent_all
            and self._reader.reusable
            and request.raw_head is None
            and request.declared_length is None
        )
        if not reusable:
            self.stream.close()
        return reusable

    def answer(self, redirects: tuple[str, ...] = (), challenges: int = 0) -> Answer:
        """What is known by now."""
        reader, broken = self._reader, self._broken
        sha256 = sha512 = ""
        if reader.status is not None and not reader.bodiless:
            digests = self._digests or self._new_digests()
            if "sha256" in digests:
                sha256 = digests["sha256"].hexdigest()
            if "sha512" in digests:
                sha512 = digests["sha512"].hexdigest()
        error, detail = (None, self.note) if broken is None else (broken.error, broken.detail)
        if reader.excess_bytes and not detail:
            detail = f"{reader.excess_bytes} bytes followed the end of the answer"
        text = self._text
        return Answer(
            reader.status, reader.headers, self.size_bytes, sha256, sha512,
            None if text is None else text[0] if len(text) == 1 else b"".join(text),
            error, detail, self.sent_bytes, tuple(self.reached), redirects, challenges,
        )  # fmt: skip

    # -- sending

    def _send(self, head: bytes) -> None:
        request = self._request
        body = request.body
        if self._stops is None:
            if body is None:
                self._push(head)
                self._sent_all = True
                return
            if 0 <= body.size_bytes <= JOIN_BYTES_MAX:
                self._send_joined(head, b"".join(body.chunks()))
                return
            self._push(head)
        else:
            self._push_with_stops("head", head)
            self._act("body", 0)
        if body is not None:
            self._send_body(body.chunks(), body.size_bytes)
        self._sent_all = True

    def _send_joined(self, head: bytes, data: bytes) -> None:
        self._check_size(len(data))
        tail = b""
        if self._request.chunked and data:
            head += b"%x\r\n" % len(data)
            tail = b"\r\n0\r\n\r\n"
        elif self._request.chunked:
            tail = b"0\r\n\r\n"
        self._push(head + data + tail, len(head), len(data))
        self._sent_all = True
        self._end_promise(len(data))

    def _send_body(self, chunks: Iterator[bytes], size_bytes: int) -> None:
        chunked = self._request.chunked
        total = 0
        for chunk in chunks:
            if not chunk:
                continue
            total += len(chunk)
            if total > size_bytes >= 0:
                self._check_size(total)
            if chunked:
                self._push(b"%x\r\n" % len(chunk))
            if self._stops is None:
                for start in range(0, len(chunk), PIECE_BYTES_MAX):
                    self._listen()
                    piece = memoryview(chunk)[start : start + PIECE_BYTES_MAX]
                    self._push(piece, 0, len(piece))
            else:
                self._push_with_stops("body", chunk)
            if chunked:
                self._push(b"\r\n")
        self._check_size(total)
        self._act("body", total)
        if chunked:
            self._push(b"0\r\n\r\n")
        self._end_promise(total)

    def _check_size(self, size_bytes: int) -> None:
        body = self._request.body
        assert body is not None
        if size_bytes != body.size_bytes != SIZE_UNKNOWN:
            raise ValueError(
                f"the body's source says {body.size_bytes} bytes and gives {size_bytes} or more"
                if size_bytes > body.size_bytes
                else f"the body's source says {body.size_bytes} bytes and gives only {size_bytes}"
            )

    def _end_promise(self, sent_bytes: int) -> None:
        declared = self._request.declared_length
        if declared is not None and declared > sent_bytes:
            self.stream.end_sending()

    def _push_with_stops(self, part: str, data: bytes) -> None:
        """Send all of ``data`` and act at each stop in it, and at its end. While there are stops to
        come, an answer that is there already changes nothing: they are to be reached if they can be."""
        assert self._stops is not None
        stops = self._stops[part]
        base = self.sent_bytes if part == "body" else 0
        start = 0
        view = memoryview(data)
        while stops and stops[0].at_bytes < base + len(data):
            end = stops[0].at_bytes - base
            self._push(view[start:end], 0, end - start if part == "body" else 0)
            start = end
            self._act(part, base + end)
        if part == "body" and not stops:
            self._listen()
        self._push(view[start:], 0, len(data) - start if part == "body" else 0)
        self._act(part, base + len(data))

    def _push(self, data: bytes | memoryview, body_from: int = 0, body_bytes: int = 0) -> None:
        """Send all of ``data``; of it, ``body_bytes`` from ``body_from`` on are body."""
        size = len(data)
        if not size:
            return
        done = 0
        try:
            done = self.stream.send(data, self._wait_s())
            while done < size:
                taken = self.stream.send(memoryview(data)[done:], self._wait_s())
                done += taken
                if not taken:
                    self._listen()
        except TimeoutError:
            raise self._timeout("for the peer to take more of the request") from None
        except OSError as error:
            self._listen_last(error)
        finally:
            if body_bytes:
                self.sent_bytes += min(max(done - body_from, 0), body_bytes)

    def _listen(self) -> None:
        """Stop sending where the answer is there already (RFC 9112 section 9.5)."""
        try:
            data = self.stream.receive_now(max(1, self._appetite()))
        except OSError as error:
            raise self._lost(error) from None
        if data is not None:
            self._early = data
            raise _Enough

    def _listen_last(self, error: OSError) -> None:
        # A server that refuses a body answers and closes; the answer may still be in our kernel.
        with suppress(OSError):
            self._early = self.stream.receive_now(max(1, self._appetite()))
        if not self._early:
            raise self._lost(error)
        raise _Enough

    def _lost(self, error: OSError) -> Broken:
        word = "tls" if isinstance(error, ssl.SSLError) else "reset"
        return Broken(word, f"{self._so_far()}: {error.strerror or error}")

    # -- receiving

    def _more(self) -> bytes:
        """Receive once; what it holds of the body."""
        if self._stops is not None:
            self._act("answer", self.received_bytes)
        data = self._early
        if data is None:
            try:
                data = self.stream.receive(self._appetite(), self._wait_s())
            except TimeoutError:
                raise self._timeout("for the answer") from None
            except OSError as error:
                raise self._lost(error) from None
        else:
            self._early = None
        self.received_bytes += len(data)
        return self._reader.feed(data)

    def _appetite(self) -> int:
        most_bytes = _RECEIVE_BYTES if self._reader.status is None else _RECEIVE_BODY_BYTES
        if self._stops is None or not self._stops["answer"]:
            return most_bytes
        return min(most_bytes, self._stops["answer"][0].at_bytes - self.received_bytes)

    def _account(self, piece: bytes) -> None:
        self.size_bytes = size = self.size_bytes + len(piece)
        request = self._request
        if request.digests:
            digests = self._digests
            if digests is None:
                digests = self._digests = self._new_digests()
            for digest in digests.values():
                digest.update(piece)
        if self._text is not None:
            if size <= request.keep_text_bytes:
                self._text.append(piece)
            else:
                self._text = None
        most = self._limits.body_bytes
        if most is not None and size > most:
            raise Broken("too-large", f"a body of more than {most} bytes")

    def _new_digests(self) -> dict[str, Any]:
        return {name: _DIGESTS[name]() for name in self._request.digests}

    # -- stops, waits, ends

    def _act(self, part: str, at_bytes: int) -> None:
        """Act at every stop of ``part`` that is reached with ``at_bytes``."""
        if self._stops is None:
            return
        stops = self._stops[part]
        while stops and stops[0].at_bytes <= at_bytes:
            stop = stops.pop(0)
            self.reached.append(stop)
            before_s = time.monotonic()
            verdict = stop.act()
            self._deadline_s += time.monotonic() - before_s
            if verdict == "go":
                continue
            if verdict == "half":
                self.stream.end_sending()
                self._sent_all = False
                if part != "answer":
                    raise _Enough
                continue
            self.stream.close(reset=verdict == "reset")
            what = "reset" if verdict == "reset" else "closed"
            raise Broken("cut", f"{what} on purpose at byte {at_bytes} of the {part}")

    def _wait_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        idle_s = self._limits.answer_s
        return idle_s if idle_s < left_s else left_s

    def _timeout(self, what: str) -> Broken:
        if time.monotonic() >= self._deadline_s:
            detail = f"not done after {self._limits.exchange_s:g} s, {self._so_far()}"
        else:
            detail = f"waited {self._limits.answer_s:g} s {what}, {self._so_far()}"
        return Broken("timeout", detail)

    def _so_far(self) -> str:
        return f"after {self.sent_bytes} bytes of body sent and {self.received_bytes} bytes received"

    def _give_up(self, broken: Broken) -> None:
        self._broken = self._broken or broken
        self.stream.close()
