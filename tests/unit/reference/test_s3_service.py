"""A registry over S3 through two accidents: it is killed in the middle of a PATCH, or loses its server."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from reference_impl.drivers.s3.place import PART_MIN_BYTES

from .buckets import Backend, Shop, server_options
from .conftest import Server, half_patch
from .images import error_codes, push_image, sha

REPO = "team/app"
MIB = 1 << 20
BODY = random.Random(3).randbytes(23 * MIB)
HALF_BYTES = 13 * MIB


@pytest.fixture
def shop(backend: Backend, tmp_path: Path) -> Shop:
    return Shop(backend.bucket, str(tmp_path / "coordination"), PART_MIN_BYTES)


@pytest.fixture
def serve(shop: Shop) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*options: str) -> Server:
        started.append(Server(*server_options(shop.place, shop.folder, shop.prefix), *options))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill()


def begun(server: Server) -> str:
    return str(server.client.post(f"/v2/{REPO}/blobs/uploads/").headers["location"])


def size_told(server: Server, location: str) -> int:
    answer = server.client.get(location)
    assert answer.status_code == 204, answer.text
    return int(answer.headers["range"].partition("-")[2]) + 1


def finished(server: Server, location: str, first: int) -> None:
    """Send what is missing, in two chunks, and pull the blob."""
    middle = first + (len(BODY) - first) // 2
    for chunk, at in ((BODY[first:middle], first), (BODY[middle:], middle)):
        headers = {"Content-Range": f"{at}-{at + len(chunk) - 1}"}
        answer = server.client.patch(location, content=chunk, headers=headers, timeout=60)
        assert answer.status_code == 202, answer.text
    answer = server.client.put(location, params={"digest": sha(BODY)}, timeout=60)
    assert answer.status_code == 201, answer.text
    assert server.client.get(f"/v2/{REPO}/blobs/{sha(BODY)}", timeout=60).content == BODY


@pytest.mark.parametrize("same_host", [True, False])
def test_killed_in_the_middle_of_a_multipart_patch(
    shop: Shop, serve: Callable[..., Server], same_host: bool
) -> None:
    """Restarted, asked, resumed, finished, pulled: on the same host nothing that the status told is lost,
    and on another one, which has only the bucket, no part."""
    server = serve()
    location = begun(server)
    sock = half_patch(server, location, BODY[:HALF_BYTES], len(BODY))
    server.kill()
    sock.close()
    if not same_host:
        shutil.rmtree(shop.folder)
    server = serve(*([] if same_host else ["--set=storage.s3.take_over=true"]))
    size_bytes = size_told(server, location)
    assert size_bytes == (HALF_BYTES if same_host else HALF_BYTES // PART_MIN_BYTES * PART_MIN_BYTES)
    finished(server, location, size_bytes)
    assert shop.uploads() == []
    assert server.client.get(location).status_code == 404


def test_killed_between_two_chunks(shop: Shop, serve: Callable[..., Server]) -> None:
    """What was acknowledged is in the bucket, whatever becomes of the host."""
    server = serve()
    location = begun(server)
    assert server.client.patch(location, content=BODY[:HALF_BYTES], timeout=60).status_code == 202
    server.kill()
    shutil.rmtree(shop.folder)
    server = serve("--set=storage.s3.take_over=true")
    assert size_told(server, location) == HALF_BYTES
    finished(server, location, HALF_BYTES)


def test_another_host_is_refused_in_one_line(
    shop: Shop, serve: Callable[..., Server], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    serve()
    shop.folder = str(tmp_path / "other")
    with pytest.raises(AssertionError):
        serve()
    (line,) = capfd.readouterr().err.splitlines()
    assert shop.place.bucket in line
    assert "take_over" in line


def test_the_server_stops_for_a_while(backend: Backend, shop: Shop, serve: Callable[..., Server]) -> None:
    """503 to everything, never a 404 or a success; then all is as it was, and what was begun goes on."""
    server = serve()
    manifest = push_image(server.client, REPO, "t", b"layer")
    location, stuck = begun(server), begun(server)
    assert server.client.patch(location, content=BODY[:HALF_BYTES], timeout=60).status_code == 202
    sock = half_patch(server, stuck, BODY[: PART_MIN_BYTES - 1], len(BODY))
    backend.stop()
    sock.sendall(BODY[PART_MIN_BYTES - 1 :])
    asked: list[tuple[str, str, bytes]] = [
        ("GET", f"/v2/{REPO}/manifests/t", b""),
        ("HEAD", f"/v2/{REPO}/manifests/t", b""),
        ("GET", f"/v2/{REPO}/manifests/{sha(manifest)}", b""),
        ("GET", f"/v2/{REPO}/manifests/absent", b""),
        ("PUT", f"/v2/{REPO}/manifests/u", manifest),
        ("DELETE", f"/v2/{REPO}/manifests/t", b""),
        ("GET", f"/v2/{REPO}/blobs/{sha(b'layer')}", b""),
        ("HEAD", f"/v2/{REPO}/blobs/{sha(b'layer')}", b""),
        ("HEAD", f"/v2/{REPO}/blobs/{sha(b'absent')}", b""),
        ("GET", f"/v2/{REPO}/tags/list", b""),
        ("GET", f"/v2/{REPO}/referrers/{sha(manifest)}", b""),
        ("GET", "/v2/_catalog", b""),
        ("GET", location, b""),
        ("PATCH", location, BODY[HALF_BYTES:]),
        ("PUT", f"{location}?digest={sha(BODY)}", b""),
        ("DELETE", location, b""),
        ("POST", f"/v2/{REPO}/blobs/uploads/", b""),
        ("POST", f"/v2/{REPO}/blobs/uploads/?digest={sha(b'new')}", b"new"),
        ("POST", f"/v2/other/blobs/uploads/?mount={sha(b'layer')}&from={REPO}", b""),
    ]

    def ask(one: tuple[str, str, bytes]) -> httpx.Response:
        method, path, content = one
        return httpx.request(method, server.url + path, content=content, timeout=60)

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(ask, asked))
    assert {(answer.request.method, answer.request.url.path): answer.status_code for answer in answers} == {
        (method, path.partition("?")[0]): 503 for method, path, _ in asked
    }
    for answer in answers:
        assert int(answer.headers["retry-after"]) > 0
        assert answer.request.method == "HEAD" or error_codes(answer) == ["UNAVAILABLE"]
    assert server.client.get("/v2/").status_code == 200
    assert b" 503 " in sock.recv(65536).partition(b"\r\n")[0] + b" "
    sock.close()

    backend.start()
    assert server.client.get(f"/v2/{REPO}/manifests/t").content == manifest
    assert server.client.get(f"/v2/{REPO}/tags/list").json()["tags"] == ["t"]
    for layer in json.loads(manifest)["layers"]:
        assert sha(server.client.get(f"/v2/{REPO}/blobs/{layer['digest']}").content) == layer["digest"]
    size_bytes = size_told(server, location)
    assert size_bytes >= HALF_BYTES
    finished(server, location, size_bytes)
    assert PART_MIN_BYTES - 1 <= size_told(server, stuck) < len(BODY)
    finished(server, stuck, size_told(server, stuck))
    assert shop.uploads() == []
