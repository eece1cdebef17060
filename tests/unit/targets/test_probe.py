"""Probing: never confused by odd answers, and right about a registry that answers sensibly."""

from __future__ import annotations

import random
from http.server import BaseHTTPRequestHandler

import pytest

from harness.history import ABILITIES
from harness.targets.probe import probe
from harness.wire import Answer, Client, Request

from .conftest import Serve

BODIES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"null",
    b"[]",
    b"{",
    b'{"manifests": 3}',
    b'{"manifests": [null]}',
    b'{"repositories": null}',
    b'{"errors": {}}',
    b"\xff",
)


class Odd:
    """Answers anything, without a socket."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.closed = False

    def send(self, request: Request) -> Answer:
        draw = self.random
        if draw.random() < 0.02:
            raise ValueError("a bug of the client")
        headers = tuple(
            (name, draw.choice(["", "/x", "http://[", "?a=b", "x y", "//h/p"]))
            for name in ("location", "oci-tag")
            if draw.random() < 0.8
        )
        status = draw.choice([None, 100, 200, 201, 202, 202, 204, 206, 301, 404, 405, 500, 999])
        error = "reset" if status is None or draw.random() < 0.1 else None
        text = draw.choice(BODIES)
        return Answer(status, headers, len(text or b""), "", "", text, error, "", 0, (), (), 0)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("seed", range(60))
def test_odd_answers_do_no_harm(seed: int) -> None:
    odd = Odd(seed)
    probed = probe("http://registry.invalid", lambda: odd, "ns")
    assert probed.supports <= ABILITIES.keys()
    assert probed.reasons.keys() == ABILITIES.keys()
    assert all(probed.reasons.values())
    assert odd.closed


@pytest.mark.parametrize(
    "reply",
    [(200, b"{}"), (201, b""), (202, b""), (204, b""), (404, b""), (405, b""), (500, b"<html>"), (401, b"")],
)
def test_who_always_says_the_same_can_do_nothing(serve: Serve, reply: tuple[int, bytes]) -> None:
    url = serve(lambda _: (reply[0], {}, reply[1]))
    assert probe(url, lambda: Client(url), "ns").supports == set()


def test_requests_stay_under_the_namespace_and_say_why(serve: Serve) -> None:
    asked: list[str] = []

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append(f"{request.command} {request.path}")
        if request.command == "POST" and "?" not in request.path:
            return 202, {"Location": "session?x=1"}, b""
        if request.command == "PUT" and "session?x=1&digest=" in request.path:
            return 201, {}, b""
        return 405, {}, b'{"errors":[{"code":"UNSUPPORTED"}]}'

    url = serve(respond)
    probed = probe(url, lambda: Client(url), "mine")
    assert probed.supports == {"push"}
    assert probed.reasons["push"] == "POST, PUT: 201"
    assert probed.reasons["index"] == "not tried: needs 'oci', which is not supported"
    assert "answered 405 UNSUPPORTED" in probed.reasons["catalog"]
    assert all(" /v2/mine/probe-" in each for each in asked if "_catalog" not in each)
    assert any(each.startswith("DELETE ") and "/blobs/sha256:" in each for each in asked)


def test_two_probings_use_different_repositories(serve: Serve) -> None:
    asked: list[str] = []

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append(request.path.split("/")[3])
        return 404, {}, b""

    url = serve(respond)
    for _ in range(2):
        probe(url, lambda: Client(url), "ns")
    assert len({each for each in asked if each.startswith("probe-")}) == 2


def test_who_accepts_chunks_in_a_wrong_way_can_be_sent_chunks(serve: Serve) -> None:
    """Otherwise nobody would ever see what is wrong."""

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if request.command == "POST" and "?" not in request.path:
            return 202, {"Location": "session"}, b""
        if request.command == "PUT" and "session?digest=" in request.path:
            return 201, {}, b""
        return (204, {}, b"") if request.command in ("PATCH", "DELETE") else (404, {}, b"")

    url = serve(respond)
    wanted = {"push", "chunked", "upload-cancel", "blob-delete"}
    assert probe(url, lambda: Client(url), "ns").supports == wanted
