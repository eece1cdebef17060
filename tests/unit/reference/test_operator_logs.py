"""Logs: a line for each request if that is asked for; faults with their traceback; no secret, no escape."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from reference_impl.api.app import build
from reference_impl.auth.htpasswd import entry
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.logs import HumanFormatter, JsonFormatter
from reference_impl.registry.store import Registry

from .conftest import Server, eventually, half_patch
from .images import push_blob, push_image, sha

PASSWORD = "not to be told"


def served(tmp_path: Path, *options: str) -> Server:
    return Server("--root", str(tmp_path / "store"), "--unsafe-no-fsync", *options, log=tmp_path / "log")


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.logged().splitlines()]


def test_access_log(tmp_path: Path) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(entry("alice", PASSWORD, 4) + "\n")
    options = ("--access-log", "--log-format", "json", "--stop-grace", "0")
    server = served(tmp_path, *options, "--set", "auth.kind=basic", "--set", f"auth.htpasswd={htpasswd}")
    client = server.client
    refused = client.get("/v2/", headers={"X-Request-Id": "mine"})
    client.auth = ("alice", PASSWORD)
    push_blob(client, "team/app", b"four")
    answer = client.get(f"/v2/team/app/blobs/{sha(b'four')}", params={"token": PASSWORD})
    unknown = client.get("/nowhere/at/all")
    location = client.post("/v2/a/blobs/uploads/").headers["location"]
    login = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(
        f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n"
        "Content-Length: 9\r\n\r\nabc".encode()
    )
    eventually(lambda: client.get(location).headers.get("range") == "0-2")
    sock.close()
    eventually(lambda: '"status": 499' in server.logged())
    assert server.stop() == 0
    assert PASSWORD not in server.logged()
    assert login not in server.logged()
    told = lines(server)
    assert {line["logger"] for line in told} == {"reference_impl.access"}
    first, push, pull, odd = told[:4]
    assert first["status"] == 401
    assert "account" not in first
    assert first["request_id"] == refused.headers["x-request-id"] != "mine"
    assert (
        push
        | {
            "method": "POST",
            "route": "/v2/{name}/blobs/uploads/",
            "path": "/v2/team/app/blobs/uploads/",
            "repository": "team/app",
            "status": 201,
            "received_bytes": 4,
            "account": "alice",
            "client": "127.0.0.1",
        }
        == push
    )
    assert pull["sent_bytes"] == 4
    assert pull["route"] == "/v2/{name}/blobs/{digest}"
    assert 0 <= pull["duration_ms"] < 20_000
    assert pull["user_agent"].startswith("python-httpx/")
    assert pull["request_id"] == answer.headers["x-request-id"]
    assert (odd["status"], odd["route"], odd["path"]) == (unknown.status_code, "unknown", "/nowhere/at/all")
    assert len({line["request_id"] for line in told}) == len(told)
    [cut] = [line for line in told if line["status"] == 499]
    assert (cut["method"], cut["route"]) == ("PATCH", "/v2/{name}/blobs/uploads/{session}")
    assert cut["received_bytes"] in (0, 3)  # not counted where it was not asked for before the end


def test_nothing_is_logged_unless_asked_for(tmp_path: Path) -> None:
    server = served(tmp_path)
    push_image(server.client, "a", "t")
    assert "x-request-id" not in server.client.get("/v2/").headers
    assert server.stop() == 0
    assert server.logged() == ""


@pytest.mark.parametrize("form", ["json", "human"])
def test_hostile_text_stays_in_its_line(tmp_path: Path, form: str) -> None:
    server = served(tmp_path, "--access-log", "--log-format", form)
    hostile = "/v2/%1b%5b2J%0a%0dFAKE%c2%9b%e2%80%ae%7f/tags/list"
    request = f"GET {hostile} HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x9bb\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(request.encode("latin-1"))
        while sock.recv(65536):
            pass
    assert server.stop() == 0
    text = (tmp_path / "log").read_bytes().decode()
    assert len(text.splitlines()) == 1
    assert text.rstrip("\n").isprintable()
    assert "FAKE" in text
    assert "\\n" in text


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_fault_of_ours(tmp_path: Path, form: str) -> None:
    """A store that is not as it has to be: the client gets an id, and the log the reason under it."""
    server = served(tmp_path, "--log-format", form)
    push_image(server.client, "a", "t")
    tags = tmp_path / "store/docker/registry/v2/repositories/a/_manifests/tags/t/current/link"
    tags.unlink()
    tags.mkdir()
    answer = server.client.get("/v2/a/manifests/t")
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["code"] == "UNKNOWN"
    identity = answer.headers["x-request-id"]
    assert server.stop() == 0
    assert identity in server.logged()
    if form == "json":
        [line] = lines(server)
        assert (line["level"], line["request_id"], line["path"]) == ("error", identity, "/v2/a/manifests/t")
        assert line["traceback"].startswith("Traceback")
        assert "IsADirectoryError" in line["traceback"]
    else:
        first, *more = server.logged().splitlines()
        assert "error a request failed" in first
        assert more[0] == "    Traceback (most recent call last):"
        assert all(line.startswith("    ") for line in more)


def test_a_fault_after_the_answer_began(tmp_path: Path) -> None:
    """The blob's file is cut short while it is sent: the client can tell, and so can the log."""
    server = served(tmp_path, "--log-format", "json")
    digest = push_blob(server.client, "a", bytes(64 << 20))
    shard, name = digest[7:9], digest[7:]
    data = tmp_path / f"store/docker/registry/v2/blobs/sha256/{shard}/{name}/data"
    with server.client.stream("GET", f"/v2/a/blobs/{digest}") as answer:
        parts = answer.iter_bytes()
        next(parts)
        with data.open("r+b") as file:
            file.truncate(1 << 20)
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
    assert server.client.get("/v2/").status_code == 200
    assert server.stop() == 0
    [line] = lines(server)
    assert "became shorter" in line["message"]
    assert line["path"] == f"/v2/a/blobs/{digest}"


def test_levels(tmp_path: Path) -> None:
    server = served(tmp_path, "--log-level", "error", "--stop-grace", "0")
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    sock = half_patch(server, location, b"abc", 6)
    assert server.stop() == 0  # of which a warning would tell
    sock.close()
    assert server.logged() == ""


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("reference_impl.x", logging.WARNING, "", 0, message, (), None)
    made.fields = fields
    return made


def test_lines() -> None:
    odd = record(
        "über\n\x1b", plain="a/b:c", quoted='say "a=b"', none=None, number=3, empty="", long="x" * 999
    )
    _, level, *rest = HumanFormatter().format(odd).split(" ")
    assert level == "warning"
    assert " ".join(rest) == (
        'über\\n\\u001b plain=a/b:c quoted="say \\"a=b\\"" number=3 empty="" long="' + "x" * 500 + '…"'
    )
    told = json.loads(JsonFormatter().format(odd))
    assert told.pop("time")[-1] == "Z"
    assert told == {
        "level": "warning",
        "logger": "reference_impl.x",
        "message": "über\n\x1b",
        "plain": "a/b:c",
        "quoted": 'say "a=b"',
        "number": 3,
        "empty": "",
        "long": "x" * 500 + "…",
    }
    assert JsonFormatter().format(odd).isascii()


def test_a_defect_of_ours_is_told_apart_from_the_storage(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryDriver):
        def list(self, path: str) -> list[str]:
            raise RuntimeError(f"{path}: not even an error of storage")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build(Registry(Broken())))
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.example") as client:
            return await client.get("/v2/_catalog")

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert "not even" not in answer.text
    [logged] = caplog.records
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], RuntimeError)


def test_storage_that_is_gone(tmp_path: Path) -> None:
    server = served(tmp_path)
    push_image(server.client, "a", "t")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("not a folder")
    assert server.client.post("/v2/a/blobs/uploads/").status_code == 500
    assert server.stop() == 0
    assert "Error" in server.logged()
