"""Cuts and holds, counted by the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from harness.wire import Client, Limits, Request, Stop, bytes_source
from harness.wire.message import Verdict
from tests.unit.wire.peer import Peer, Talk, answer, answers

BODY = bytes(range(256)) * 8


def put(*stops: Stop, body: bytes = BODY, chunked: bool = False) -> Request:
    return Request("PUT", "/v2/x", body=bytes_source(body), chunked=chunked, stops=stops)


class closing:
    """A client that is closed at the end of the block."""

    def __init__(self, url: str) -> None:
        self.client = Client(url)

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("at_bytes", [1, 17])
def test_a_cut_in_the_head_sends_exactly_so_many_bytes(how: Verdict, at_bytes: int) -> None:
    with Peer(Talk.to_end) as peer, closing(peer.url) as client:
        stop = Stop("head", at_bytes, lambda: how)
        said = client.send(put(stop))
        peer.settle()
        assert said.error == "cut"
        assert said.status is None
        assert said.stopped == (stop,)
        assert said.sent_bytes == 0
        if how == "close":
            assert len(peer.talks[0].got) == at_bytes
            assert b"PUT /v2/x HTTP/1.1\r\n".startswith(peer.talks[0].got[:20])
        assert peer.talks[0].ended == {"close": "fin", "reset": "reset"}[how]


def test_a_cut_before_the_first_byte_of_the_head_sends_nothing() -> None:
    with Peer(Talk.to_end) as peer, closing(peer.url) as client:
        assert client.send(put(Stop("head", 0, lambda: "close"))).error == "cut"
        peer.settle()
        assert peer.talks[0].got == b""


def test_a_place_beyond_the_end_is_never_reached() -> None:
    parts: tuple[Literal["head", "body", "answer"], ...] = ("head", "body", "answer")
    stops = tuple(Stop(part, 1 << 20, lambda: "close") for part in parts)
    with Peer(answers(answer())) as peer, closing(peer.url) as client:
        said = client.send(put(*stops))
        assert said.complete
        assert said.stopped == ()
        assert peer.talks[0].requests[0].endswith(BODY)


@pytest.mark.parametrize("at_bytes", [0, 1, 777, len(BODY)])
def test_a_cut_in_the_body_sends_exactly_so_many_bytes(at_bytes: int) -> None:
    with Peer(Talk.to_end) as peer, closing(peer.url) as client:
        said = client.send(put(Stop("body", at_bytes, lambda: "close")))
        peer.settle()
        head, _, body = bytes(peer.talks[0].got).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(BODY)}".encode() in head
        assert body == BODY[:at_bytes]
        assert said.sent_bytes == at_bytes
        assert said.error == "cut"
        assert f"byte {at_bytes} of the body" in said.detail


@dataclass(frozen=True)
class Pieces:
    """A body in pieces of one size."""

    piece: bytes
    count: int

    @property
    def size_bytes(self) -> int:
        return len(self.piece) * self.count

    def chunks(self) -> Iterator[bytes]:
        for _ in range(self.count):
            yield self.piece


@pytest.mark.parametrize(
    ("at_bytes", "wire"),
    [
        (0, b""),
        (3, b"5\r\nabc"),
        (5, b"5\r\nabcde"),
        (6, b"5\r\nabcde\r\n5\r\na"),
        (10, b"5\r\nabcde\r\n5\r\nabcde"),
    ],
)
def test_a_cut_in_a_chunked_body_counts_content_not_framing(at_bytes: int, wire: bytes) -> None:
    with Peer(Talk.to_end) as peer, closing(peer.url) as client:
        stop = Stop("body", at_bytes, lambda: "close")
        said = client.send(Request("PATCH", "/", body=Pieces(b"abcde", 2), chunked=True, stops=(stop,)))
        peer.settle()
        assert bytes(peer.talks[0].got).partition(b"\r\n\r\n")[2] == wire
        assert said.sent_bytes == at_bytes


WHOLE = answer(200, b"0123456789")


@pytest.mark.parametrize("at_bytes", [0, 5, len(WHOLE) - 10, len(WHOLE) - 4, len(WHOLE)])
def test_a_cut_in_the_answer_keeps_what_came_before(at_bytes: int) -> None:
    pieces: list[bytes] = []
    with Peer(answers(WHOLE)) as peer, closing(peer.url) as client:
        stop = Stop("answer", at_bytes, lambda: "close")
        said = client.send(Request("GET", "/", stops=(stop,), sink=pieces.append))
        peer.settle()
        body = max(0, at_bytes - (len(WHOLE) - 10))
        assert said.error == "cut"
        assert said.stopped == (stop,)
        assert said.status == (200 if at_bytes >= len(WHOLE) - 10 else None)
        assert said.text == b"".join(pieces) == b"0123456789"[:body]
        assert said.size_bytes == body
        assert not said.complete


def test_a_hold_in_the_body_keeps_the_rest_back() -> None:
    held, let_go = threading.Event(), threading.Event()
    seen_while_held: list[int] = []

    def hold() -> Verdict:
        held.set()
        assert let_go.wait(5)
        return "go"

    def script(talk: Talk) -> None:
        while not talk.got.endswith(BODY[:777]):
            talk.receive()
        assert held.wait(5)
        seen_while_held.append(len(bytes(talk.got).partition(b"\r\n\r\n")[2]))
        let_go.set()
        assert talk.request() is not None
        talk.send(answer(201))

    with Peer(script) as peer, closing(peer.url) as client:
        said = client.send(put(Stop("body", 777, hold)))
        assert said.status == 201
        assert said.complete
        assert said.sent_bytes == len(BODY)
    assert seen_while_held == [777]


def test_the_time_of_a_hold_counts_towards_no_limit() -> None:
    def hold() -> Verdict:
        threading.Event().wait(0.4)
        return "go"

    stops = (Stop("head", 3, hold), Stop("answer", 4, hold))
    with Peer(answers(answer())) as peer:
        client = Client(peer.url, limits=Limits(answer_s=0.3, exchange_s=0.3))
        assert client.send(put(*stops)).error is None
        client.close()


def test_stops_act_in_the_order_of_the_wire_and_each_once() -> None:
    order: list[str] = []

    def note(name: str) -> Verdict:
        order.append(name)
        return "go"

    stops = (
        Stop("answer", 0, lambda: note("answer 0")),
        Stop("body", 5, lambda: note("body 5")),
        Stop("body", 5, lambda: note("body 5 again")),
        Stop("body", 0, lambda: note("body 0")),
        Stop("head", 9, lambda: note("head 9")),
        Stop("answer", 7, lambda: note("answer 7")),
    )
    with Peer(answers(answer(), answer())) as peer, closing(peer.url) as client:
        said = client.send(put(*stops))
        assert said.complete
        assert len(said.stopped) == 6
        assert client.send(put()).complete
        assert len(peer.talks) == 1, "an exchange that went on keeps its connection"
    assert order == ["head 9", "body 0", "body 5", "body 5 again", "answer 0", "answer 7"]


def test_half_ends_our_direction_and_reads_the_answer() -> None:
    def script(talk: Talk) -> None:
        talk.to_end()
        talk.send(answer(400, b"where is the rest?"))

    with Peer(script) as peer, closing(peer.url) as client:
        said = client.send(put(Stop("body", 100, lambda: "half")))
        assert said.status == 400
        assert said.text == b"where is the rest?"
        assert said.error is None
        assert said.sent_bytes == 100
        assert peer.talks[0].ended == "fin"
        client.send(put(Stop("head", 5, lambda: "close")))
        peer.settle(2)  # a half closed connection is not used again


def test_a_stop_is_reached_though_the_answer_is_there_already() -> None:
    def script(talk: Talk) -> None:
        talk.until(10)
        talk.send(answer(404, b"no"))
        talk.to_end()

    early = threading.Event()

    def hold() -> Verdict:
        early.wait(0.05)
        return "go"

    stops = (Stop("body", 0, hold), Stop("body", 13, lambda: "close"))
    with Peer(script) as peer, closing(peer.url) as client:
        said = client.send(Request("PUT", "/", body=Pieces(b"abcde", 5), stops=stops))
        peer.settle()
        assert said.error == "cut"
        assert len(said.stopped) == 2
        assert bytes(peer.talks[0].got).partition(b"\r\n\r\n")[2] == b"abcdeabcdeabc"


def test_half_in_the_answer_ends_our_direction_for_good() -> None:
    with Peer(answers(answer(), answer())) as peer, closing(peer.url) as client:
        said = client.send(Request("GET", "/", stops=(Stop("answer", 5, lambda: "half"),)))
        assert (said.text, said.error) == (b"ok", None)
        assert client.send(Request("GET", "/")).text == b"ok"
        assert len(peer.talks) == 2


@pytest.mark.parametrize("part", ["head", "body", "answer"])
@pytest.mark.parametrize("error", [KeyError, TimeoutError, OSError])
def test_what_a_stop_raises_comes_out_and_the_connection_is_gone(
    part: Literal["head", "body", "answer"], error: type[Exception]
) -> None:
    def act() -> Verdict:
        raise error("over")

    with Peer(answers(answer())) as peer, closing(peer.url) as client:
        with pytest.raises(error, match="over"):
            client.send(put(Stop(part, 5, act)))
        assert client.send(put()).complete
        assert len(peer.talks) == 2


def test_a_cut_with_unread_bytes_of_the_answer_is_still_a_fin() -> None:
    ended = threading.Event()

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(answer(200, b"x" * 5000))
        talk.to_end()
        ended.set()

    def wait() -> Verdict:
        ended.wait(0.1)
        return "close"

    with Peer(script) as peer, closing(peer.url) as client:
        assert client.send(Request("GET", "/", stops=(Stop("answer", 3, wait),))).error == "cut"
        assert ended.wait(5)
        assert peer.talks[0].ended == "fin"
