"""Requests and answers: framing, keep-alive, early answers, redirects."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from harness.wire import Answer, Client, Limits, Request, bytes_source
from harness.wire.message import PIECE_BYTES_MAX
from tests.unit.wire.peer import Peer, Script, Talk, answer, answers, field_of, routes, targets


@contextmanager
def talking(*scripts: Script, limits: Limits | None = None) -> Iterator[tuple[Peer, Client]]:
    with Peer(*scripts) as peer:
        client = Client(peer.url, limits=limits or Limits())
        try:
            yield peer, client
        finally:
            client.close()


def get(target: str = "/") -> Request:
    return Request("GET", target)


# -- the request


def test_a_request_carries_what_http_asks_for() -> None:
    with talking(answers(answer())) as (peer, client):
        client.send(Request("GET", "/v2/a?b=c", (("Accept", "a/b"), ("Accept", "c/d"))))
        head = peer.talks[0].requests[0].decode()
        assert head.startswith("GET /v2/a?b=c HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{peer.port}\r\n" in head
        assert "Accept: a/b\r\nAccept: c/d\r\n" in head
        assert "content-length" not in head.lower()


def test_a_header_that_is_given_is_not_added_again() -> None:
    headers = (("host", "other"), ("USER-AGENT", "me"), ("content-length", "3"))
    with talking(answers(answer())) as (peer, client):
        client.send(Request("PUT", "/", headers, bytes_source(b"abc")))
        head = peer.talks[0].requests[0].decode().lower()
        for name in ("host", "user-agent", "content-length"):
            assert head.count(f"\r\n{name}:") == 1


@pytest.mark.parametrize(
    ("method", "length"), [("POST", "0"), ("PUT", "0"), ("PATCH", "0"), ("DELETE", None)]
)
def test_no_body_is_said_where_one_was_to_be_expected(method: str, length: str | None) -> None:
    with talking(answers(answer())) as (peer, client):
        client.send(Request(method, "/"))
        assert field_of(peer.talks[0].requests[0], "content-length") == length


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, PIECE_BYTES_MAX + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_whole(size: int, chunked: bool) -> None:
    data = bytes(i % 251 for i in range(size))
    with talking(answers(answer(201))) as (peer, client):
        said = client.send(Request("PUT", "/", body=bytes_source(data), chunked=chunked))
        assert said.status == 201
        assert said.sent_bytes == size
        body = peer.talks[0].requests[0].partition(b"\r\n\r\n")[2]
        assert (unchunk(body) if chunked else body) == data


def unchunk(wire: bytes) -> bytes:
    data = b""
    while True:
        line, _, wire = wire.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            assert wire == b"\r\n"
            return data
        data, wire = data + wire[:size], wire[size:]
        assert wire.startswith(b"\r\n")
        wire = wire[2:]


def test_a_raw_head_goes_out_byte_for_byte_and_its_connection_is_not_kept() -> None:
    head = b"GET / HTTP/1.1\nhost:x\r\nno colon here\r\n\r\n"
    with talking(answers(answer(400))) as (peer, client):
        assert client.send(Request("GET", "/", raw_head=head)).status == 400
        peer.settle()
        assert peer.talks[0].got == head
        assert peer.talks[0].ended == "fin"


def test_a_length_that_promises_too_much_is_sent_and_then_our_direction_ends() -> None:
    def script(talk: Talk) -> None:
        talk.to_end()
        talk.send(answer(400))

    with talking(script) as (peer, client):
        said = client.send(Request("PUT", "/", body=bytes_source(b"abc"), declared_length=100))
        assert said.status == 400
        assert said.sent_bytes == 3
        assert field_of(bytes(peer.talks[0].got), "content-length") == "100"
        assert peer.talks[0].got.endswith(b"\r\n\r\nabc")


def test_a_length_that_promises_too_little_is_followed_by_the_whole_body() -> None:
    with talking(answers(answer(201))) as (peer, client):
        assert client.send(Request("PUT", "/", body=bytes_source(b"abc"), declared_length=1)).status == 201
        peer.settle()
        assert peer.talks[0].got.endswith(b"\r\n\r\nabc")


@dataclass(frozen=True)
class Lying:
    size_bytes: int
    data: bytes

    def chunks(self) -> Iterator[bytes]:
        yield self.data


@pytest.mark.parametrize("size", [2, 4, 70_000])
def test_a_source_that_lies_about_its_size_is_our_own_mistake(size: int) -> None:
    with talking(Talk.to_end) as (_, client), pytest.raises(ValueError, match=f"says {size} bytes and gives"):
        client.send(Request("PUT", "/", body=Lying(size, b"abc")))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a b"),
        Request("GET", "/", (("x", "a\r\nb: c"),)),
        Request("GET", "/", (("x y", "a"),)),
        Request("GET", "v2/"),
        Request("GET", "ftp://127.0.0.1/"),
        Request("GET", "http://u:p@127.0.0.1/"),
    ],
)
def test_what_must_not_be_sent_is_not_sent(request_: Request) -> None:
    with talking(answers(answer())) as (peer, client):
        said = client.send(request_)
        assert (said.status, said.error) == (None, "garbage")
        assert said.detail
        assert not any(talk.got for talk in peer.talks)


# -- the answer


def test_an_answer_has_everything_in_it() -> None:
    with talking(answers(answer(200, b"ok", "X-A: 1", "x-a: 2", "Docker-Content-Digest: d"))) as (_, client):
        said = client.send(Request("GET", "/", digests=("sha256", "sha512")))
        assert said.complete
        assert said.headers == (
            ("content-length", "2"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("docker-content-digest", "d"),
        )
        assert said.header("Docker-Content-Digest") == "d"
        assert said.header("X-A") == "1"
        assert said.header("none") is None
        assert said.sha256 == hashlib.sha256(b"ok").hexdigest()
        assert said.sha512 == hashlib.sha512(b"ok").hexdigest()
        assert (said.size_bytes, said.text, said.error, said.detail) == (2, b"ok", None, "")


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n"
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
@pytest.mark.parametrize("slice_bytes", [1, 7, 1000])
def test_every_framing_is_read_however_it_is_sliced(wire: bytes, slice_bytes: int) -> None:
    def script(talk: Talk) -> None:
        talk.request()
        for start in range(0, len(wire), slice_bytes):
            talk.send(wire[start : start + slice_bytes])

    with talking(script) as (_, client):
        said = client.send(get())
        assert said.complete, said
        assert said.text == b"abcde"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_that_cannot_have_a_body_ends_with_its_head(method: str, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 1234\r\n\r\n".encode()
    with talking(answers(head, answer())) as (peer, client):
        said = client.send(Request(method, "/"))
        assert said.complete
        assert (said.size_bytes, said.text, said.sha256) == (0, b"", "")
        assert said.header("content-length") == "1234"
        assert client.send(get()).text == b"ok"
        assert len(peer.talks) == 1


def test_an_empty_body_has_the_digest_of_no_bytes() -> None:
    with talking(answers(answer(200, b""))) as (_, client):
        assert client.send(get()).sha256 == hashlib.sha256(b"").hexdigest()


def test_a_long_body_is_not_kept_but_counted_hashed_and_passed_on() -> None:
    data = bytes(200_000)
    got: list[bytes] = []
    with talking(answers(answer(200, data))) as (_, client):
        said = client.send(Request("GET", "/", sink=got.append))
        assert said.text is None
        assert said.size_bytes == len(data)
        assert said.sha256 == hashlib.sha256(data).hexdigest()
        assert b"".join(got) == data
        assert len(got) > 1


# -- connections


def test_a_connection_is_used_again() -> None:
    with talking(answers(*[answer()] * 3)) as (peer, client):
        for method in ("GET", "PUT", "DELETE"):
            assert client.send(Request(method, "/")).complete
        assert len(peer.talks) == 1


@pytest.mark.parametrize(
    "text",
    [
        answer(200, b"ok", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        answer() + b"more than was said",
    ],
)
def test_a_connection_that_cannot_be_used_again_is_not(text: bytes) -> None:
    with talking(answers(text), answers(answer())) as (peer, client):
        assert client.send(get()).text == b"ok"
        assert client.send(get()).text == b"ok"
        client.close()
        peer.settle(2)
        assert peer.talks[0].ended == "fin"


def test_bytes_after_the_end_are_told() -> None:
    with talking(answers(answer() + b"more")) as (_, client):
        assert client.send(get()).detail == "4 bytes followed the end of the answer"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_kept_connection_that_died_is_noticed_before_it_is_used(method: str) -> None:
    closed = threading.Event()

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(answer())
        talk.sock.close()
        closed.set()

    with talking(script, answers(answer(201))) as (peer, client):
        assert client.send(get()).complete
        assert closed.wait(5)
        assert client.send(Request(method, "/")).status == 201
        assert len(peer.talks) == 2


def dies_on_the_second(talk: Talk) -> None:
    talk.request()
    talk.send(answer())
    talk.request()


def test_a_get_on_a_connection_that_closes_meanwhile_is_sent_again() -> None:
    with talking(dies_on_the_second, answers(answer(202))) as (peer, client):
        assert client.send(get()).complete
        assert client.send(get("/again")).status == 202
        assert peer.talks[0].requests[1] == peer.talks[1].requests[0]


@pytest.mark.parametrize(
    "request_", [Request("PUT", "/", body=bytes_source(b"abc")), Request("DELETE", "/"), Request("POST", "/")]
)
def test_another_method_is_never_sent_twice(request_: Request) -> None:
    with talking(dies_on_the_second, answers(answer(202))) as (peer, client):
        assert client.send(get()).complete
        said = client.send(request_)
        assert (said.status, said.error) == (None, "closed")
        assert len(peer.talks) == 1


def test_a_get_on_a_new_connection_is_not_sent_again() -> None:
    with talking(Talk.request, answers(answer())) as (peer, client):
        assert client.send(get()).error == "closed"
        assert len(peer.talks) == 1


def test_an_early_answer_ends_the_body() -> None:
    blocked = threading.Event()

    def script(talk: Talk) -> None:
        talk.until(1000)
        talk.send(answer(413, b"too much"))
        blocked.wait(5)

    @dataclass(frozen=True)
    class Endless:
        size_bytes: int = 1 << 40

        def chunks(self) -> Iterator[bytes]:
            while True:
                yield bytes(65536)

    with talking(script, answers(answer())) as (peer, client):
        said = client.send(Request("PUT", "/", body=Endless()))
        blocked.set()
        assert said.status == 413
        assert said.text == b"too much"
        assert said.complete
        assert 0 < said.sent_bytes < 1 << 30
        assert client.send(get()).complete
        assert len(peer.talks) == 2


def test_an_answer_is_read_though_the_server_resets_the_body() -> None:
    def script(talk: Talk) -> None:
        talk.until(1000)
        talk.send(answer(413, b"too much"))

    body = bytes_source(bytes(64 << 20))  # more than the buffers of both sockets hold
    with talking(script) as (_, client):
        said = client.send(Request("PUT", "/", body=body))
        assert said.status in (413, None)
        assert said.error in (None, "reset")
        assert said.sent_bytes < body.size_bytes


def test_closing_the_client_from_another_thread_ends_the_request() -> None:
    arrived = threading.Event()

    def script(talk: Talk) -> None:
        talk.request()
        arrived.set()
        talk.to_end()

    with talking(script) as (_, client):
        said: list[Answer] = []
        thread = threading.Thread(target=lambda: said.append(client.send(get())))
        thread.start()
        assert arrived.wait(5)
        client.close()
        thread.join(5)
        assert [one.error for one in said] == ["stopped"]
        assert client.send(get()).error == "stopped"


# -- redirects


def moved(location: str, status: int = 307) -> bytes:
    return answer(status, b"over there", f"Location: {location}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_redirects_are_followed(method: str, status: int) -> None:
    def table(request: bytes) -> bytes:
        text = moved("../b?c=d#e", status) if targets([request]) == ["/v2/x/a"] else answer(200, b"here")
        return text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else text

    got: list[bytes] = []
    with talking(routes(table)) as (peer, client):
        said = client.send(Request(method, "/v2/x/a", sink=got.append))
        assert said.status == 200
        assert said.redirects == (f"{peer.url}/v2/b?c=d",)
        assert b"".join(got) == (b"here" if method == "GET" else b"")
        assert len(peer.talks) == 1


def test_redirects_are_not_followed_where_that_is_not_wanted_or_not_safe() -> None:
    with talking(routes(lambda _: moved("/b"))) as (peer, client):
        assert client.send(Request("GET", "/", follow=False)).status == 307
        assert client.send(Request("PUT", "/", body=bytes_source(b"x"))).status == 307
        assert client.send(Request("GET", "/")).error == "redirects"
        assert targets(peer.talks[0].requests) == ["/", "/", "/", "/b"]


def test_a_circle_of_redirects_is_seen() -> None:
    circle = {"/a": "/b", "/b": "/c", "/c": "/a"}
    with talking(routes(lambda request: moved(circle[targets([request])[0]]))) as (peer, client):
        said = client.send(get("/a"))
        assert (said.status, said.error) == (307, "redirects")
        assert not said.complete
        assert "circle" in said.detail
        assert targets(peer.talks[0].requests) == ["/a", "/b", "/c"]


def test_five_redirects_are_followed_and_no_more() -> None:
    def table(request: bytes) -> bytes:
        number = int(targets([request])[0][1:])
        return moved(f"/{number + 1}") if number < 9 else answer()

    with talking(routes(table)) as (peer, client):
        assert client.send(get("/4")).complete
        said = client.send(get("/3"))
        assert said.error == "redirects"
        assert len(said.redirects) == 5
        assert targets(peer.talks[0].requests)[-1] == "/8"


@pytest.mark.parametrize("location", ["ftp://x/", "http://[::1", "http://u:p@h/", "/a b"])
def test_a_redirect_to_nowhere_is_told(location: str) -> None:
    with talking(routes(lambda _: moved(location))) as (_, client):
        said = client.send(get())
        assert said.error == "redirects"
        assert said.detail


def test_a_redirect_without_a_location_is_the_answer() -> None:
    with talking(answers(answer(302))) as (_, client):
        said = client.send(get())
        assert (said.status, said.error) == (302, None)


def test_credentials_and_cookies_do_not_go_to_another_origin() -> None:
    secret = (
        ("Authorization", "Bearer secret"),
        ("Cookie", "secret"),
        ("Accept", "a/b"),
        ("Range", "bytes=1-"),
    )
    with Peer(routes(lambda _: answer())) as other:
        with talking(routes(lambda r: moved(f"{other.url}/b") if b"/a " in r else moved("/a"))) as (
            peer,
            client,
        ):
            said = client.send(Request("GET", "/0", secret))
            assert said.complete
            assert said.redirects == (f"{peer.url}/a", f"{other.url}/b")
            assert field_of(peer.talks[0].requests[1], "authorization") == "Bearer secret"
        there = other.talks[0].requests[0]
        assert b"secret" not in there
        assert field_of(there, "accept") == "a/b"
        assert field_of(there, "range") == "bytes=1-"
        assert field_of(there, "host") == f"127.0.0.1:{other.port}"


def test_a_redirect_to_where_nobody_listens_is_an_error_of_that_place() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with talking(routes(lambda _: moved(f"http://127.0.0.1:{port}/"))) as (_, client):
        said = client.send(get())
        assert (said.status, said.error) == (None, "refused")
        assert said.redirects == (f"http://127.0.0.1:{port}/",)
