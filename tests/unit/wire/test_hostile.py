"""Servers that hang, lie, trickle and die. Every wait ends, and every end has a name."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from harness.wire import Answer, Client, Limits, Request, bytes_source
from tests.unit.wire.peer import Peer, Script, Talk, answer, answers

SHORT = Limits(connect_s=0.5, answer_s=0.15, exchange_s=5, head_bytes=20_000, body_bytes=100_000)


def ask(script: Script, limits: Limits = SHORT, request: Request | None = None) -> Answer:
    with Peer(script) as peer:
        client = Client(peer.url, limits=limits)
        try:
            return client.send(request or Request("GET", "/"))
        finally:
            client.close()


def after_request(act: Callable[[Talk], object]) -> Script:
    def script(talk: Talk) -> None:
        talk.request()
        act(talk)
        talk.to_end()

    return script


def test_a_server_that_says_nothing() -> None:
    said = ask(Talk.to_end)
    assert (said.status, said.error) == (None, "timeout")
    assert "0.15 s" in said.detail


def test_a_server_that_hangs_inside_the_head() -> None:
    said = ask(after_request(lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-")))
    assert (said.status, said.error) == (None, "timeout")


def test_a_server_that_hangs_inside_the_body() -> None:
    said = ask(after_request(lambda talk: talk.send(answer(200, b"x" * 100)[:-60])))
    assert (said.status, said.error, said.size_bytes) == (200, "timeout", 40)
    assert said.text == b"x" * 40


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\n", answer(200, bytes(9999))[:-9999]])
def test_a_server_that_trickles_runs_into_the_limit_of_the_exchange(beginning: bytes) -> None:
    def trickle(talk: Talk) -> None:
        talk.send(beginning)
        while True:
            talk.send(b"x")
            talk.sock.settimeout(0.01)
            try:
                if not talk.sock.recv(1):
                    return
            except TimeoutError:
                pass

    said = ask(after_request(trickle), Limits(answer_s=5, exchange_s=0.3))
    assert said.error == "timeout"
    assert "0.3 s" in said.detail


def test_a_server_that_does_not_take_the_body() -> None:
    let_go = threading.Event()

    def script(talk: Talk) -> None:
        talk.until(10)
        let_go.wait(5)

    with Peer(script) as peer:
        client = Client(peer.url, limits=SHORT)
        said = client.send(Request("PUT", "/", body=bytes_source(bytes(64 << 20))))
        let_go.set()
    assert (said.status, said.error) == (None, "timeout")
    assert 0 < said.sent_bytes < 64 << 20


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 50 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_garbage_is_called_garbage(text: bytes) -> None:
    said = ask(after_request(lambda talk: talk.send(text)))
    assert said.error == "garbage", said
    assert len(said.detail) < 400
    assert not said.complete


def test_garbage_after_a_kept_answer_does_not_reach_the_next_request() -> None:
    smuggled = threading.Event()

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(answer())
        talk.send(answer(200, b"smuggled"))
        smuggled.set()
        talk.to_end()

    with Peer(script, answers(answer(200, b"mine"))) as peer:
        client = Client(peer.url)
        assert client.send(Request("GET", "/")).text == b"ok"
        assert smuggled.wait(5)
        assert client.send(Request("GET", "/")).text == b"mine"
        client.close()


def endless(piece: bytes) -> Callable[[Talk], None]:
    def act(talk: Talk) -> None:
        while True:
            talk.send(piece)

    return act


@pytest.mark.parametrize(
    "piece",
    [b"X-Long: " + b"x" * 1000 + b"\r\n", b"x" * 1000],
    ids=["many fields", "one field"],
)
def test_an_endless_head_is_too_large(piece: bytes) -> None:
    def act(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nA: ")
        endless(piece)(talk)

    said = ask(after_request(act))
    assert (said.status, said.error) == (None, "too-large")
    assert "20000" in said.detail


def test_endless_informational_answers_are_too_large() -> None:
    said = ask(after_request(endless(b"HTTP/1.1 100 Continue\r\n\r\n")))
    assert (said.status, said.error) == (None, "too-large")


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 4096),
    ],
    ids=["to the end", "chunked", "counted"],
)
def test_an_endless_body_is_too_large(head: bytes, piece: bytes) -> None:
    def act(talk: Talk) -> None:
        talk.send(head)
        endless(piece)(talk)

    said = ask(after_request(act))
    assert (said.status, said.error) == (200, "too-large")
    assert 100_000 < said.size_bytes < 1_000_000


def test_an_endless_body_without_a_limit_of_length_runs_out_of_time() -> None:
    def act(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        endless(b"x" * 4096)(talk)

    said = ask(after_request(act), Limits(exchange_s=0.2))
    assert (said.status, said.error) == (200, "timeout")
    assert said.text is None


def test_a_server_that_closes_at_once() -> None:
    said = ask(lambda talk: talk.sock.close(), request=Request("PUT", "/", body=bytes_source(b"abc")))
    assert said.status is None
    assert said.error in ("closed", "reset")


def test_a_server_that_closes_without_an_answer() -> None:
    said = ask(Talk.request)
    assert (said.status, said.error) == (None, "closed")


def test_a_server_that_closes_inside_the_head() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(b"HTTP/1.1 200 OK\r\nConte")

    said = ask(script)
    assert (said.status, said.error) == (None, "closed")
    assert "22 bytes" in said.detail


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (answer(200, b"x" * 100)[:-60], 40),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nab", 7),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n", 5),
    ],
)
def test_a_server_that_dies_half_way_gives_a_short_answer(text: bytes, size: int) -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(text)

    said = ask(script)
    assert (said.status, said.error, said.size_bytes) == (200, "short", size)
    assert not said.complete


def test_a_server_that_resets() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.abort()

    assert ask(script).error == "reset"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = Client(f"http://127.0.0.1:{port}").send(Request("GET", "/"))
    assert (said.status, said.error) == (None, "refused")
    assert str(port) in said.detail


def test_a_listener_that_does_not_accept() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        said = Client(f"http://127.0.0.1:{address[1]}", limits=SHORT).send(Request("GET", "/"))
        for one in waiting:
            one.close()
    assert (said.status, said.error) == (None, "connect-timeout")


def test_a_name_without_an_address() -> None:
    said = Client("http://no-such-host.invalid").send(Request("GET", "/"))
    assert (said.status, said.error) == (None, "dns")
    assert "no-such-host.invalid" in said.detail
