"""Uploads over HTTP (rows 28 to 47, 51)."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from .conftest import Server, await_size, half_patch
from .images import error_codes, sha


@pytest.fixture
def location(client: httpx.Client, repo: str) -> str:
    answer = client.post(f"/v2/{repo}/blobs/uploads/")
    assert answer.status_code == 202
    return str(answer.headers["location"])


def _send(client: httpx.Client, location: str, data: bytes, first: int | None = None) -> httpx.Response:
    headers = {} if first is None else {"Content-Range": f"{first}-{first + len(data) - 1}"}
    return client.patch(location, content=data, headers=headers)


def _finish(client: httpx.Client, location: str, whole: bytes, last: bytes = b"") -> httpx.Response:
    return client.put(location, params={"digest": sha(whole)}, content=last)


def test_chunks(client: httpx.Client, repo: str, location: str) -> None:
    assert "range" not in client.get(location).headers
    sent = _send(client, location, b"abc", 0)
    assert (sent.status_code, sent.headers["range"]) == (202, "0-2")
    assert _send(client, location, b"de", 3).headers["range"] == "0-4"
    assert _send(client, sent.headers["location"], b"f").headers["range"] == "0-5"
    status = client.get(location)
    assert (status.status_code, status.headers["range"]) == (204, "0-5")
    assert status.headers["location"] == location
    done = _finish(client, location, b"abcdefg", b"g")
    assert done.status_code == 201
    assert done.headers["location"] == f"/v2/{repo}/blobs/{sha(b'abcdefg')}"
    assert client.get(done.headers["location"]).content == b"abcdefg"
    for answer in (client.get(location), _send(client, location, b"x"), _finish(client, location, b"x")):
        assert (answer.status_code, error_codes(answer)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_chunked_transfer_encoding(client: httpx.Client, location: str) -> None:
    def parts() -> Iterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 3000

    whole = b"".join(parts())
    assert client.patch(location, content=parts()).headers["range"] == f"0-{len(whole) - 1}"
    assert _finish(client, location, whole).status_code == 201


@pytest.mark.parametrize("data", [b"", b"one request"])
def test_post_then_put(client: httpx.Client, location: str, data: bytes) -> None:
    assert _finish(client, location, data, data).status_code == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("first", [0, 2, 4, 1000])
def test_out_of_order(client: httpx.Client, location: str, method: str, first: int) -> None:
    _send(client, location, b"abc")
    headers = {"Content-Range": f"{first}-{first + 1}"}
    params = {"digest": sha(b"abcde")} if method == "PUT" else {}
    answer = client.request(method, location, content=b"de", headers=headers, params=params)
    assert answer.status_code == 416
    assert (answer.headers["range"], answer.headers["location"]) == ("0-2", location)
    assert client.get(location).headers["range"] == "0-2"
    assert _finish(client, location, b"abcde", b"de").status_code == 201


@pytest.mark.parametrize("text", ["x", "0", "0-", "-5", "bytes 0-2/3", "3-1", "0-2,5-6", "0-" + "9" * 5000])
def test_malformed_content_range(client: httpx.Client, location: str, text: str) -> None:
    answer = client.patch(location, content=b"abc", headers={"Content-Range": text})
    assert (answer.status_code, error_codes(answer)) == (400, ["BLOB_UPLOAD_INVALID"])
    assert "range" not in client.get(location).headers


@pytest.mark.parametrize("streamed", [False, True])
def test_content_range_of_another_length(client: httpx.Client, location: str, streamed: bool) -> None:
    content = iter([b"ab", b"c"]) if streamed else b"abc"
    answer = client.patch(location, content=content, headers={"Content-Range": "0-3"})
    assert (answer.status_code, error_codes(answer)) == (400, ["SIZE_INVALID"])
    assert "range" not in client.get(location).headers


def test_wrong_digest_leaves_nothing(client: httpx.Client, repo: str, location: str) -> None:
    _send(client, location, b"abc")
    answer = client.put(location, params={"digest": sha(b"other")}, content=b"def")
    assert (answer.status_code, error_codes(answer)) == (400, ["DIGEST_INVALID"])
    for data in (b"other", b"abc", b"abcdef"):
        assert client.get(f"/v2/{repo}/blobs/{sha(data)}").status_code == 404
    assert client.get(location).headers["range"] == "0-2"
    assert _finish(client, location, b"abcdef", b"def").status_code == 201


@pytest.mark.parametrize("digest", ["", "sha256:12", "sha1:" + "a" * 40, "nonsense"])
def test_finish_with_bad_digest(client: httpx.Client, location: str, digest: str) -> None:
    answer = client.put(location, params={"digest": digest}, content=b"")
    assert (answer.status_code, error_codes(answer)) == (400, ["DIGEST_INVALID"])
    assert client.get(location).status_code == 204


def test_single_post(client: httpx.Client, repo: str) -> None:
    answer = client.post(f"/v2/{repo}/blobs/uploads/", params={"digest": sha(b"wrong")}, content=b"right")
    assert (answer.status_code, error_codes(answer)) == (400, ["DIGEST_INVALID"])
    assert client.get(f"/v2/{repo}/tags/list").status_code == 404
    answer = client.post(f"/v2/{repo}/blobs/uploads/", params={"digest": sha(b"right")}, content=b"right")
    assert answer.headers["location"] == f"/v2/{repo}/blobs/{sha(b'right')}"


def test_digest_algorithm(client: httpx.Client, repo: str) -> None:
    begun = client.post(f"/v2/{repo}/blobs/uploads/", params={"digest-algorithm": "sha512"})
    digest = sha(b"long", "sha512")
    done = client.put(begun.headers["location"], params={"digest": digest}, content=b"long")
    assert done.headers["docker-content-digest"] == digest
    refused = client.post(f"/v2/{repo}/blobs/uploads/", params={"digest-algorithm": "md5"})
    assert error_codes(refused) == ["DIGEST_INVALID"]


def test_cancel(client: httpx.Client, location: str) -> None:
    _send(client, location, b"abc")
    assert client.delete(location).status_code == 204
    for answer in (client.get(location), client.delete(location), _send(client, location, b"x")):
        assert answer.status_code == 404


def test_session_belongs_to_its_repository(client: httpx.Client, repo: str, location: str) -> None:
    foreign = location.replace(repo, "team/thief")
    for method in ("GET", "PATCH", "DELETE"):
        assert client.request(method, foreign).status_code == 404
    assert _finish(client, foreign, b"").status_code == 404
    assert client.get(location).status_code == 204


@pytest.mark.parametrize("session", ["..", "%2e%2e", "x", "..%2f..", "%00", "0" * 36, "é"])
def test_bad_session(client: httpx.Client, repo: str, session: str) -> None:
    assert client.get(f"/v2/{repo}/blobs/uploads/{session}").status_code in {400, 404}


def test_second_writer_is_refused(shared_server: Server, client: httpx.Client, location: str) -> None:
    first = half_patch(shared_server, location, b"abc", 6)
    for answer in (_send(client, location, b"XYZ"), _finish(client, location, b"abc")):
        assert (answer.status_code, answer.headers["range"]) == (416, "0-2")
    first.sendall(b"def")
    assert first.recv(100).startswith(b"HTTP/1.1 202")
    first.close()
    assert _finish(client, location, b"abcdef").status_code == 201


def test_cut_off_body_is_kept(shared_server: Server, client: httpx.Client, location: str) -> None:
    half_patch(shared_server, location, b"abc", 6).close()
    for _ in range(5000):  # until the server has noticed
        answer = _send(client, location, b"def", 3)
        if answer.status_code != 416:
            break
    assert answer.headers["range"] == "0-5"
    assert _finish(client, location, b"abcdef").status_code == 201


def test_body_and_goodbye_in_one_breath(shared_server: Server, client: httpx.Client, location: str) -> None:
    sock = socket.create_connection(("127.0.0.1", shared_server.port))
    sock.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc".encode())
    sock.close()
    await_size(client, location, 3)


def test_cancel_under_a_writer(shared_server: Server, client: httpx.Client, location: str) -> None:
    sock = half_patch(shared_server, location, b"abc", 6)
    assert client.delete(location).status_code == 204
    sock.sendall(b"def")
    assert sock.recv(100).startswith(b"HTTP/1.1 404")
    sock.close()
    assert client.get(location).status_code == 404
