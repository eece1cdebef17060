"""httpx over the wire client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from harness.wire import Client, Credentials, Limits, WireTransport
from tests.unit.wire.peer import Peer, Script, Talk, answer, answers, field_of, routes


@contextmanager
def talking(script: Script, credentials: Credentials | None = None) -> Iterator[tuple[Peer, httpx.Client]]:
    with Peer(script) as peer:
        wire = Client(peer.url, limits=Limits(answer_s=0.3), credentials=credentials)
        with httpx.Client(transport=WireTransport(wire), base_url=peer.url) as client:
            yield peer, client


def test_requests_and_answers_pass_unchanged() -> None:
    with talking(answers(answer(201, b"made", "Location: /x"), answer(404, b"no"))) as (peer, client):
        said = client.put("/v2/a?b=c", content=b"body", headers={"X-A": "1"})
        assert (said.status_code, said.content, said.headers["location"]) == (201, b"made", "/x")
        sent = peer.talks[0].requests[0]
        assert sent.startswith(b"PUT /v2/a?b=c HTTP/1.1\r\n")
        assert sent.endswith(b"\r\n\r\nbody")
        assert field_of(sent, "x-a") == "1"
        assert sent.lower().count(b"\r\nhost:") == sent.lower().count(b"\r\ncontent-length:") == 1
        assert client.get("/none").status_code == 404
        assert len(peer.talks) == 1


def test_bodies_stream_in_both_directions() -> None:
    first_sent, first_read = threading.Event(), threading.Event()

    def script(talk: Talk) -> None:
        while b"first" not in talk.got:
            talk.receive()
        first_sent.set()
        talk.request()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        assert first_read.wait(5)
        talk.send(b"two")
        talk.to_end()

    def body() -> Iterator[bytes]:
        yield b"first"
        assert first_sent.wait(5)
        yield b"second"

    with talking(script) as (peer, client):
        with client.stream("POST", "/", content=body()) as said:
            pieces = said.iter_raw()
            assert next(pieces) == b"one"
            first_read.set()
            assert b"".join(pieces) == b"two"
        assert peer.talks[0].requests[0].endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")


def test_a_response_that_is_closed_half_read_frees_the_lane() -> None:
    with talking(answers(answer(200, bytes(1 << 20)))) as (peer, client):
        with client.stream("GET", "/") as said:
            assert said.status_code == 200
        with client.stream("GET", "/") as said:
            assert len(next(said.iter_raw())) > 0
        assert len(peer.talks) == 2


def test_redirects_are_left_to_httpx() -> None:
    with talking(answers(answer(302, b"", "Location: /b"), answer())) as (_, client):
        said = client.get("/a", follow_redirects=True)
        assert [one.status_code for one in said.history] == [302]


def test_challenges_are_answered() -> None:
    def table(request: bytes) -> bytes:
        if field_of(request, "authorization"):
            return answer()
        return answer(401, b"", "WWW-Authenticate: Basic realm=x")

    with talking(routes(table), Credentials("u", "p")) as (_, client):
        assert client.put("/", content=b"x").status_code == 200


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Talk.to_end, httpx.ReadTimeout),
        (Talk.request, httpx.RemoteProtocolError),
        (lambda talk: (talk.request(), talk.abort()), httpx.ReadError),
        (lambda talk: (talk.request(), talk.send(answer(200, b"xyz")[:-1])), httpx.RemoteProtocolError),
    ],
)
def test_errors_come_as_those_of_httpx(script: Script, error: type[Exception]) -> None:
    with talking(script) as (_, client):
        for _ in range(2):
            with pytest.raises(error):
                client.get("/")


def test_nobody_listens() -> None:
    with Peer(Talk.to_end) as peer:
        url = peer.url
    with httpx.Client(transport=WireTransport(Client(url))) as client, pytest.raises(httpx.ConnectError):
        client.get(url)
