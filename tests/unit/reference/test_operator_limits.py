"""Limits on what a client can draw out, spoken over bare sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from .conftest import Server, await_size, eventually
from .images import image, push_blob, sha

ANSWER_LIMIT_S = 20.0


@contextlib.contextmanager
def served(tmp_path: Path, *settings: str) -> Iterator[Server]:
    """A server with some settings of its own, ``KEY=VALUE``."""
    options = [part for setting in settings for part in ("--set", setting)]
    server = Server("--root", str(tmp_path), "--unsafe-no-fsync", "--stop-grace", "0", *options)
    try:
        yield server
    finally:
        assert server.stop() == 0


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_LIMIT_S)


def until_closed(sock: socket.socket) -> bytes:
    """All that the server still says, until it closes the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            data += part
    return data


def status(sock: socket.socket) -> int:
    """Read an answer whole; returns its status."""
    answer = HTTPResponse(sock)
    answer.begin()
    answer.read()
    return answer.status


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def begun(server: Server) -> str:
    return server.client.post("/v2/a/blobs/uploads/").headers["location"]


def test_long_heads(tmp_path: Path) -> None:
    with served(tmp_path, "limits.head_max_bytes=1024") as server:
        fits = head("GET", "/v2/", "X: " + "y" * 900)
        assert len(fits) < 1024
        too_long = head("GET", "/v2/", "X: " + "y" * 1000)
        for before in (b"", fits):  # it need not be the first head
            for sent in (too_long, too_long[:-2]):
                with connect(server) as sock:
                    if before:
                        sock.sendall(before)
                        assert status(sock) == 200
                    sock.sendall(sent[:1])
                    assert server.client.get("/v2/").status_code == 200
                    sock.sendall(sent[1:])
                    assert until_closed(sock).startswith(b"HTTP/1.1 431 ")
            with connect(server) as sock:
                sock.sendall(before + too_long)
                assert b"HTTP/1.1 431 " in until_closed(sock)
        with connect(server) as sock:
            sock.sendall(too_long[:-2])  # in one piece, and never whole
            assert until_closed(sock).startswith(b"HTTP/1.1 431 ")
        with connect(server) as sock:
            sock.sendall(fits)
            assert status(sock) == 200


def test_slow_heads(tmp_path: Path) -> None:
    with served(tmp_path, "limits.head_timeout_s=0.2") as server:
        with connect(server) as sock:
            assert until_closed(sock) == b""  # nothing asked, nothing answered
        with connect(server) as sock:
            sock.sendall(head("GET", "/v2/")[:-2])
            assert until_closed(sock).startswith(b"HTTP/1.1 408 ")
        with connect(server) as sock:
            sock.sendall(head("GET", "/v2/") + head("GET", "/v2/")[:-2])
            said = until_closed(sock)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert b"HTTP/1.1 408 " in said
        with connect(server) as sock:  # a body may take its time
            sock.sendall(head("PATCH", begun(server), "Content-Length: 2"))
            assert server.client.get("/v2/").status_code == 200


@pytest.mark.parametrize("setting", ["limits.body_idle_timeout_s=0.2", "limits.request_timeout_s=0.2"])
def test_bodies_that_stop_coming(tmp_path: Path, setting: str) -> None:
    with served(tmp_path, setting) as server:
        location = begun(server)
        with connect(server) as sock:
            sock.sendall(head("PATCH", location, "Content-Length: 10") + b"abc")
            said = until_closed(sock)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"BLOB_UPLOAD_INVALID" in said
        assert server.client.get(location).headers["range"] == "0-2"
        with connect(server) as sock:
            sock.sendall(head("PUT", "/v2/a/manifests/t", "Content-Length: 10") + b"abc")
            assert until_closed(sock).startswith(b"HTTP/1.1 408 ")
        answer = server.client.patch(location, content=b"def")
        assert (answer.status_code, answer.headers["range"]) == (202, "0-5")


def test_bodies_that_come_too_slowly(tmp_path: Path) -> None:
    """A byte for each of the server's answers to someone else is never idle, and yet too slow."""
    with served(tmp_path, "limits.body_grace_s=0.3", "limits.body_min_bytes_per_s=1000000") as server:
        location = begun(server)
        sent, said = 0, b""
        with connect(server) as sock:
            sock.sendall(head("PATCH", location, "Content-Length: 100000"))
            while not said:
                sock.sendall(b"x")
                sent += 1
                assert server.client.get("/v2/").status_code == 200
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    said = sock.recv(65536)
                sock.settimeout(ANSWER_LIMIT_S)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"too slow" in said
        kept = int(server.client.get(location).headers["range"].removeprefix("0-")) + 1
        assert 0 < kept <= sent


def test_slow_is_measured_from_the_grace_on(tmp_path: Path) -> None:
    with served(tmp_path, "limits.body_grace_s=60", "limits.body_min_bytes_per_s=1000000") as server:
        location = begun(server)
        with connect(server) as sock:
            sock.sendall(head("PATCH", location, "Content-Length: 4"))
            for size_bytes in range(1, 4):
                sock.sendall(b"x")
                await_size(server.client, location, size_bytes)
            sock.sendall(b"x")
            assert status(sock) == 202


def test_the_rest_of_a_refused_body(tmp_path: Path) -> None:
    """What was answered early is not waited for without end."""
    with served(tmp_path, "limits.body_idle_timeout_s=0.2") as server, connect(server) as sock:
        sock.sendall(head("PUT", "/v2/a/manifests/t", "Content-Length: 9999999") + b"{")
        assert until_closed(sock).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_large_manifests(tmp_path: Path, chunked: bool) -> None:
    body = image(b"{}", annotations={"k": "v" * 2000})
    with served(tmp_path, f"limits.manifest_max_bytes={len(body)}") as server:
        push_blob(server.client, "a", b"{}")
        for content, expected in ((body, 201), (body + b" ", 413)):
            headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
            sent = iter([content[:100], content[100:]]) if chunked else content
            answer = server.client.put(f"/v2/a/manifests/{sha(content)}", content=sent, headers=headers)
            assert answer.status_code == expected
        assert answer.json()["errors"][0]["detail"] == {"max_bytes": len(body)}


def test_answers_that_nobody_reads(tmp_path: Path) -> None:
    """They do not hold a connection, and the blob's file, for ever; others are served meanwhile."""
    with served(tmp_path) as server:
        digest = push_blob(server.client, "a", bytes(32 << 20))
    with served(tmp_path, "limits.request_timeout_s=0.3") as server:
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        with connect(server) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(head("GET", f"/v2/a/blobs/{digest}"))
            assert sock.recv(12) == b"HTTP/1.1 200"
            assert any(one.name == "data" for one in _targets(descriptors))
            assert server.client.get("/v2/").status_code == 200
            eventually(lambda: all(one.name != "data" for one in _targets(descriptors)))


def _targets(folder: Path) -> list[Path]:
    found = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.readlink())
    return found


def test_connections(tmp_path: Path) -> None:
    with served(tmp_path, "limits.connections=3") as server, contextlib.ExitStack() as stack:
        assert server.client.get("/v2/").status_code == 200  # one is the client's
        open_ones = [stack.enter_context(connect(server)) for _ in range(2)]
        for sock in open_ones:
            sock.sendall(head("GET", "/v2/"))
            assert status(sock) == 200
        with connect(server) as sock:
            sock.sendall(head("GET", "/v2/"))
            said = until_closed(sock)
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"TOOMANYREQUESTS" in said
            assert b"retry-after: " in said
        open_ones[0].sendall(head("GET", "/v2/", "Connection: close"))
        assert until_closed(open_ones[0]).startswith(b"HTTP/1.1 200 ")
        with connect(server) as sock:
            sock.sendall(head("GET", "/v2/"))
            assert status(sock) == 200


def test_very_many_connections_are_dropped(tmp_path: Path) -> None:
    with served(tmp_path, "limits.connections=1") as server, contextlib.ExitStack() as stack:
        assert server.client.get("/v2/").status_code == 200
        socks = [stack.enter_context(connect(server)) for _ in range(100)]
        assert until_closed(socks[-1]) == b""
        socks[0].sendall(head("GET", "/v2/"))
        assert until_closed(socks[0]).startswith(b"HTTP/1.1 503 ")
        assert server.client.get("/v2/").status_code == 200


def test_open_uploads(tmp_path: Path) -> None:
    with served(tmp_path, "limits.open_sessions=2") as server:
        first, _ = begun(server), begun(server)
        refused = server.client.post("/v2/a/blobs/uploads/")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
        assert int(refused.headers["retry-after"]) > 0
        assert server.client.delete(first).status_code == 204
        assert server.client.post("/v2/a/blobs/uploads/").status_code == 202


def test_many_uploads_at_once_wait_for_a_thread(tmp_path: Path) -> None:
    with served(tmp_path, "limits.storage_threads=1") as server, contextlib.ExitStack() as stack:
        locations = [begun(server) for _ in range(5)]
        socks = [stack.enter_context(connect(server)) for _ in locations]
        for sock, location in zip(socks, locations, strict=True):
            sock.sendall(head("PATCH", location, "Content-Length: 3") + b"ab")
        for sock in socks:
            sock.sendall(b"c")
            assert status(sock) == 202
