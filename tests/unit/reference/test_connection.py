"""What a connection makes of bytes that are no plain request, spoken over bare sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Server
from .images import sha

ANSWER_LIMIT_S = 20.0
HEAD_MAX_BYTES = 2048
PING = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NOT_UNDERSTOOD = b"no HTTP request"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("connection")
    one = Server("--root", str(root), "--unsafe-no-fsync", "--set", f"limits.head_max_bytes={HEAD_MAX_BYTES}")
    yield one
    assert one.stop() == 0


def said(server: Server, *sent: bytes) -> bytes:
    """All that the server says to these bytes, until it closes the connection."""
    data = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S) as sock:
        for part in sent:
            sock.sendall(part)
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                data += part
    return data


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def put(*headers: bytes) -> bytes:
    return b"\r\n".join((b"PUT /v2/a/manifests/t HTTP/1.1", b"Host: x", *headers, b"", b""))


def test_trailers_are_no_headers(server: Server) -> None:
    """``{}`` is a manifest only of types that are not known here."""
    chunked = put(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n%b\r\n"
    known = put(b"Content-Type: text/plain", b"Content-Length: 2") + b"{}"
    assert statuses(said(server, known, LAST)) == [201, 200]
    assert statuses(said(server, chunked % b"Content-Type: text/plain\r\n", LAST)) == [400, 200]


@pytest.mark.parametrize(
    ("before", "repeated", "status"),
    [
        (b"", b"\r\n", 400),
        (PING, b"\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n", 431),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b"y", 431),
        (PING + b"GET /", b"y", 431),
        (put(b"Transfer-Encoding: chunked") + b"2;", b"x", 400),
        (put(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n", b"X: y\r\n", 400),
        (put(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX: ", b"y", 400),
    ],
)
def test_nothing_comes_without_end(server: Server, before: bytes, repeated: bytes, status: int) -> None:
    """More than a head's worth of what is no body is not taken; what was asked before is answered."""
    endless = repeated * (HEAD_MAX_BYTES // len(repeated) // 2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S) as sock:
        sock.sendall(before)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1000):
                sock.sendall(endless)
                assert server.client.get("/v2/").status_code == 200  # so that it comes piece by piece
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    data = sock.recv(65536)
                    if b"HTTP/1.1 %d " % status in data:
                        return
                sock.settimeout(ANSWER_LIMIT_S)
    raise AssertionError("it never ended")


def test_empty_lines_keep_nothing_open() -> None:
    server = Server("--driver", "memory", "--set", "limits.keep_alive_s=0.2")
    try:
        for after in (b"", b"\r\n", b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S) as sock:
                sock.sendall(PING)
                assert sock.recv(12) == b"HTTP/1.1 200"
                sock.sendall(after)
                while sock.recv(65536):
                    pass
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("version", "hosts", "expected"), [("1.1", 0, 400), ("1.1", 2, 400), ("1.0", 0, 200), ("1.0", 2, 400)]
)
def test_one_host(server: Server, version: str, hosts: int, expected: int) -> None:
    head = f"GET /v2/ HTTP/{version}\r\n" + "Host: x\r\n" * hosts + "\r\n"
    assert statuses(said(server, head.encode())) == [expected]


@pytest.mark.parametrize("garbage", [b"\0", b"get / HTTP/1.1\r\n\r\n", b"GET /v2/ HTTP/1.1\r\n\r\n"])
def test_what_came_before_garbage_is_answered_first(server: Server, garbage: bytes) -> None:
    data = said(server, PING * 3 + garbage + PING)
    assert statuses(data) == [200, 200, 200, 400]
    assert NOT_UNDERSTOOD in data


def test_a_body_that_breaks_is_answered_once(server: Server) -> None:
    broken = put(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\nnonsense\r\n" + PING
    assert statuses(said(server, broken)) == [400]
    assert statuses(said(server, PING, broken)) == [200, 400]
    refused_early = b"PUT /v2/A/manifests/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S) as sock:
        sock.sendall(refused_early)
        data = sock.recv(65536)
        sock.sendall(b"nonsense\r\n")
        while part := sock.recv(65536):
            data += part
    assert statuses(data) == [400]
    assert b"NAME_INVALID" in data


UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_a_body_after_a_declined_upgrade_is_a_body(server: Server, chunked: bool, together: bool) -> None:
    """Some clients wish for HTTP/2 with any request; who takes its body for requests lets others smuggle."""
    body = PING * 3
    digest = sha(body).encode()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    lines = (b"POST /v2/a/blobs/uploads/?digest=" + digest + b" HTTP/1.1", b"Host: x", *UPGRADE, framing)
    head = b"\r\n".join((*lines, b"", b""))
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    data = said(server, head + sent + LAST) if together else said(server, head, sent, LAST)
    assert statuses(data) == [201, 200]
    assert server.client.get(f"/v2/a/blobs/{digest.decode()}").content == body


def test_upgrades_without_a_body_are_declined(server: Server) -> None:
    upgrade = b"\r\n".join((b"GET /v2/ HTTP/1.1", b"Host: x", *UPGRADE, b"", b""))
    empty = put(*UPGRADE, b"Content-Length: 0")
    assert statuses(said(server, upgrade + empty + upgrade + LAST)) == [200, 400, 200, 200]


def test_garbage_of_clients_that_are_gone(tmp_path: Path) -> None:
    """The answer finds nobody, which is no reason to complain."""
    log = tmp_path / "log"
    server = Server("--driver", "memory", log=log)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(PING + b"garbage")
    assert statuses(said(server, LAST)) == [200]
    assert server.stop() == 0
    assert log.read_text() == ""
