"""Stopping a server: open requests are finished, or parked; nothing that a client sent is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from http.client import HTTPResponse
from pathlib import Path

from .conftest import Server, eventually, half_patch
from .images import push_image, sha


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return True
    return False


def stopping(server: Server, *numbers: signal.Signals) -> None:
    """Ask for a stop, and see that it has begun."""
    for number in numbers:
        server.process.send_signal(number)
        eventually(lambda: refuses(server.port))


def test_a_request_in_time_is_finished(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--stop-grace", "60")
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    with half_patch(server, location, b"abc", 6) as sock:
        stopping(server, signal.SIGTERM)
        sock.sendall(b"def")
        answer = HTTPResponse(sock)
        answer.begin()
        assert (answer.status, answer.headers["range"]) == (202, "0-5")
        assert answer.headers["connection"] == "close"
        assert server.process.wait(20) == 0
    server.stop()
    server.start()
    assert server.client.get(location).headers["range"] == "0-5"
    server.stop()


def test_an_upload_that_takes_longer_is_parked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = Server("--root", str(tmp_path), "--stop-grace", "0.1", log=log)
    body = push_image(server.client, "a", "t", b"layer")
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    data = bytes(range(256)) * 1000
    with half_patch(server, location, data[:100_000], len(data)) as sock:
        assert server.stop() == 0
        assert sock.recv(100) == b""  # no answer, as if it had been killed
    assert "breaking off 1 connections" in server.logged()
    server.start()
    client = server.client
    assert client.get(location).headers["range"] == "0-99999"
    rest = client.patch(location, content=data[100_000:], headers={"Content-Range": "100000-255999"})
    assert rest.status_code == 202
    assert client.put(location, params={"digest": sha(data)}).status_code == 201
    assert client.get(f"/v2/a/blobs/{sha(data)}").content == data
    assert client.get("/v2/a/manifests/t").content == body
    assert server.stop() == 0


def test_other_requests_that_take_longer_leave_nothing(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--stop-grace", "0.1")
    socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    requests = ("PUT /v2/a/manifests/t", f"POST /v2/a/blobs/uploads/?digest={sha(b'abc')}", "GET /v2/")
    for sock, request in zip(socks, requests, strict=True):
        sock.sendall(f"{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab".encode())
    answer = HTTPResponse(socks[2])
    answer.begin()
    assert answer.status == 200
    assert server.stop() == 0
    for sock in socks[:2]:
        assert sock.recv(100) == b""
    files = [one for one in tmp_path.rglob("*") if one.is_file() and "locks" not in one.parts]
    assert files == []
    for sock in socks:
        sock.close()


def test_sigint_is_as_good(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path))
    stopping(server, signal.SIGINT)
    assert server.process.wait(20) == 0
    server.stop()


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--stop-grace", "1000")
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    with half_patch(server, location, b"abc", 6):
        stopping(server, signal.SIGTERM, signal.SIGINT)
        assert server.process.wait(20) == 128 + signal.SIGINT
    server.stop()
    server.start()
    assert server.client.get(location).headers["range"] == "0-2"
    assert server.stop() == 0


def test_idle_connections_do_not_hold_it_up(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--stop-grace", "1000")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as silent:
        assert server.client.get("/v2/").status_code == 200
        stopping(server, signal.SIGTERM)
        assert silent.recv(1) == b""
        assert server.process.wait(20) == 0
    server.stop()


def test_storage_that_hangs_does_not_hold_it_up(tmp_path: Path) -> None:
    """A pipe in the place of a file: whoever reads it waits for ever."""
    server = Server("--root", str(tmp_path), "--stop-grace", "0.1", log=tmp_path / "log")
    push_image(server.client, "a", "t")
    link = tmp_path / "docker/registry/v2/repositories/a/_manifests/tags/t/current/link"
    link.unlink()
    os.mkfifo(link)
    pipe: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):
            pipe.append(os.open(link, os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipe)

    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"GET /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(is_read)
        assert server.stop() == 1
    os.close(pipe[0])
    assert "does not let go" in server.logged()
