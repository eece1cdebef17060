"""The exchange over scripted streams: no socket, no time."""

from __future__ import annotations

import ssl

import pytest

from harness.wire import Answer, Limits, Request, Stop, bytes_source
from harness.wire.exchange import Exchange
from harness.wire.stream import ScriptedStream
from tests.unit.wire.peer import answer

HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n"


def exchange(stream: ScriptedStream, request: Request | None = None, limits: Limits | None = None) -> Answer:
    one = Exchange(stream, request or Request("GET", "/"), limits or Limits(), [])
    one.begin(HEAD)
    for _ in one.pieces():
        pass
    one.settle()
    return one.answer()


def test_head_and_small_body_go_out_together() -> None:
    class Counting(ScriptedStream):
        sends = 0

        def send(self, data: bytes | memoryview, wait_s: float) -> int:
            self.sends += 1
            return super().send(data, wait_s)

    for chunked, wire in ((False, b"abc"), (True, b"3\r\nabc\r\n0\r\n\r\n")):
        stream = Counting(answer())
        said = exchange(stream, Request("PUT", "/", body=bytes_source(b"abc"), chunked=chunked))
        assert said.complete
        assert stream.sent == HEAD + wire
        assert stream.sends == 1
        assert stream.events == [], "the connection is kept"


@pytest.mark.parametrize("most_bytes", [1, 5, 30])
def test_a_kernel_that_takes_little_at_a_time(most_bytes: int) -> None:
    class Narrow(ScriptedStream):
        def send(self, data: bytes | memoryview, wait_s: float) -> int:
            return super().send(memoryview(data)[:most_bytes], wait_s)

    stream = Narrow(answer())
    body = bytes(range(200))
    said = exchange(stream, Request("PUT", "/", body=bytes_source(body)))
    assert stream.sent == HEAD + body
    assert said.sent_bytes == 200


def test_body_bytes_are_counted_where_the_kernel_takes_no_more() -> None:
    class Full(ScriptedStream):
        def send(self, data: bytes | memoryview, wait_s: float) -> int:
            if self.sent:
                raise TimeoutError
            return super().send(memoryview(data)[: len(HEAD) + 4], wait_s)

    said = exchange(Full(), Request("PUT", "/", body=bytes_source(b"abcdefgh")))
    assert (said.error, said.sent_bytes) == ("timeout", 4)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([], "timeout"),
        ([b""], "closed"),
        ([ConnectionResetError(104, "reset")], "reset"),
        ([BrokenPipeError(32, "pipe")], "reset"),
        ([ssl.SSLError(1, "bad record mac")], "tls"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b""], "short"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", ConnectionResetError()], "reset"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], "timeout"),
    ],
)
def test_every_end_has_a_name(script: list[bytes | OSError], error: str) -> None:
    stream = ScriptedStream(*script)
    said = exchange(stream)
    assert said.error == error
    assert said.detail
    assert stream.events
    assert set(stream.events) == {"close"}


def test_an_early_answer_stops_a_large_body() -> None:
    stream = ScriptedStream(answer(413, b"no"), early=1)
    said = exchange(stream, Request("PUT", "/", body=bytes_source(bytes(1 << 22))))
    assert (said.status, said.sent_bytes, said.complete) == (413, 0, True)
    assert stream.sent == HEAD
    assert stream.events == ["close"], "a connection with half a request on it is not kept"


def test_the_limit_of_the_exchange_counts_from_its_beginning() -> None:
    said = exchange(ScriptedStream(answer()), limits=Limits(exchange_s=0))
    assert (said.error, said.sent_bytes) == ("timeout", 0)
    assert "not done after 0 s" in said.detail


def test_a_connection_whose_direction_was_ended_in_the_answer_is_not_kept() -> None:
    stream = ScriptedStream(answer())
    said = exchange(stream, Request("GET", "/", stops=(Stop("answer", 5, lambda: "half"),)))
    assert said.complete
    assert stream.events == ["half", "close"]
