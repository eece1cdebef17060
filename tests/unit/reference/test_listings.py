"""Tags, referrers, catalog, and what is shared by all endpoints."""

from __future__ import annotations

import json
import re
import socket
import tracemalloc
from typing import Any

import httpx
import pytest

from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import referrers
from reference_impl.registry.digests import Digest
from reference_impl.registry.manifests import Manifest
from reference_impl.registry.names import digest
from reference_impl.registry.store import Registry

from .conftest import Server
from .images import (
    INDEX,
    descriptor,
    error_codes,
    image,
    index,
    push_blob,
    push_image,
    put_manifest,
    sha,
    store_manifest,
)

TAGS = ["0.1.2", "0.1.20", "A", "Z", "_", "a", "x", "x-y", "x.y", "x0", "x_y"]


@pytest.fixture
def tagged(client: httpx.Client, repo: str) -> str:
    body = index()
    query = "&".join(f"tag={tag}" for tag in reversed(TAGS))
    assert put_manifest(client, repo, f"{sha(body)}?{query}", body, INDEX).status_code == 201
    return repo


def _follow(client: httpx.Client, path: str, key: str) -> list[Any]:
    found = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200
        found += answer.json()[key]
        match = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        path = match[1] if match else ""
    return found


@pytest.mark.parametrize("query", ["", "?n=1", "?n=3", "?n=1000000000000"])
def test_tags_in_order_over_all_pages(client: httpx.Client, tagged: str, query: str) -> None:
    assert _follow(client, f"/v2/{tagged}/tags/list{query}", "tags") == TAGS


@pytest.mark.parametrize(
    ("query", "tags", "has_link"),
    [
        ("n=0", [], False),
        ("n=2", ["0.1.2", "0.1.20"], True),
        ("n=2&last=x", ["x-y", "x.y"], True),
        ("last=x-y", ["x.y", "x0", "x_y"], False),
        ("last=x_y", [], False),
        ("last=w", ["x", "x-y", "x.y", "x0", "x_y"], False),
        ("n=5&last=w", ["x", "x-y", "x.y", "x0", "x_y"], False),
    ],
)
def test_tag_pages(client: httpx.Client, tagged: str, query: str, tags: list[str], has_link: bool) -> None:
    answer = client.get(f"/v2/{tagged}/tags/list?{query}")
    assert answer.json() == {"name": tagged, "tags": tags}
    assert ("link" in answer.headers) == has_link


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "9" * 5000, "١"])
def test_bad_n(client: httpx.Client, tagged: str, n: str) -> None:
    for path in (f"/v2/{tagged}/tags/list", "/v2/_catalog"):
        assert client.get(path, params={"n": n}).status_code == 400


def test_unknown_repository(client: httpx.Client, repo: str) -> None:
    client.post(f"/v2/{repo}/blobs/uploads/")
    for path in ("tags/list", "manifests/latest", f"manifests/{sha(b'')}"):
        answer = client.get(f"/v2/{repo}/{path}")
        assert (answer.status_code, error_codes(answer)) == (404, ["NAME_UNKNOWN"])
    push_image(client, repo, "v1")
    assert error_codes(client.get(f"/v2/{repo}/manifests/absent")) == ["MANIFEST_UNKNOWN"]


def test_catalog(client: httpx.Client, repo: str) -> None:
    names = [repo, repo + "-a", repo + "/b", repo + "/b/c", repo + "0"]
    for name in names:
        push_blob(client, name, b"{}")
    every = _follow(client, "/v2/_catalog?n=3", "repositories")
    assert every == sorted(set(every))
    assert [name for name in every if name in names] == sorted(names)


def test_referrers(client: httpx.Client, repo: str) -> None:
    subject = push_image(client, repo, "v1")
    about: dict[str, Any] = {"subject": descriptor(subject)}
    plain = image(b"{}", **about)
    typed = image(b"{}", **about, artifactType="application/x.sbom", annotations={"k": "ü"})
    listing = index(**about, annotations={"l": "m"})
    path = f"/v2/{repo}/referrers/{sha(subject)}"
    assert client.get(path).json()["manifests"] == []
    for body, media_type in ((plain, ""), (typed, ""), (listing, INDEX)):
        answer = put_manifest(client, repo, sha(body), body, media_type)
        assert (answer.status_code, answer.headers["oci-subject"]) == (201, sha(subject))
    answer = client.get(path)
    assert answer.headers["content-type"] == INDEX
    found = {one["digest"]: one for one in answer.json()["manifests"]}
    assert set(found) == {sha(plain), sha(typed), sha(listing)}
    assert found[sha(plain)]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert found[sha(typed)]["artifactType"] == "application/x.sbom"
    assert found[sha(typed)]["annotations"] == {"k": "ü"}
    assert found[sha(typed)]["size"] == len(typed)
    assert "artifactType" not in found[sha(listing)]
    filtered = client.get(path, params={"artifactType": "application/x.sbom"})
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [one["digest"] for one in filtered.json()["manifests"]] == [sha(typed)]
    client.delete(f"/v2/{repo}/manifests/{sha(typed)}")
    assert sha(typed) not in client.get(path).text


def test_referrers_in_pages(client: httpx.Client, repo: str) -> None:
    subject: dict[str, Any] = {"subject": descriptor(b"not yet there")}
    bodies = [index(**subject, annotations={"n": str(number)}) for number in range(12)]
    for body in bodies:
        put_manifest(client, repo, sha(body), body, INDEX)
    path = f"/v2/{repo}/referrers/{sha(b'not yet there')}"
    found = _follow(client, path, "manifests")
    assert [one["digest"] for one in found] == sorted(map(sha, bodies))


def test_referrers_that_no_utf8_can_hold(client: httpx.Client, repo: str) -> None:
    """JSON can say more than text can be: half of a surrogate pair, as an escape."""
    odd = {"k\ud800": "\udfff"}
    body = index(subject=descriptor(b"odd"), annotations=odd, artifactType="a/\ud800")
    assert put_manifest(client, repo, sha(body), body, INDEX).status_code == 201
    answer = client.get(f"/v2/{repo}/referrers/{sha(b'odd')}")
    assert answer.status_code == 200
    (found,) = json.loads(answer.content.decode("ascii"))["manifests"]
    assert (found["annotations"], found["artifactType"]) == (odd, "a/\ud800")


def test_what_is_remembered_of_referrers_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(MemoryDriver())
    monkeypatch.setattr(referrers, "REMEMBERED_BYTES", 50_000)
    about: dict[str, Any] = {"subject": descriptor(b"s")}
    bodies = [index(**about, annotations={"k": f"{n}" * 5000}) for n in range(20)]
    for body in bodies:
        store_manifest(registry, "a", sha(body), body)
    tracemalloc.start()
    try:
        for _ in range(3):
            found = [str(one["digest"]) for one in registry.referrers.of("a", digest(sha(b"s")))]
            assert found == sorted(map(sha, bodies))
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 70_000
    assert peak_bytes < 120_000


def test_referrers_are_read_as_far_as_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(MemoryDriver())
    for number in range(9):
        body = index(subject=descriptor(b"s"), annotations={"k": str(number)})
        store_manifest(registry, "a", sha(body), body)
    read: list[Digest] = []
    before = registry.manifests.read

    def watched(repository: str, one: Digest) -> Manifest | None:
        read.append(one)
        return before(repository, one)

    monkeypatch.setattr(registry.manifests, "read", watched)
    every = registry.referrers.of("a", digest(sha(b"s")))
    first = [next(every)["digest"], next(every)["digest"]]
    assert len(read) == 2
    rest = [one["digest"] for one in registry.referrers.of("a", digest(sha(b"s")), after=str(first[1]))]
    assert len(rest) == 7
    assert sorted([*first, *rest]) == [*first, *rest]


def test_referrers_of_the_unknown(client: httpx.Client, repo: str) -> None:
    answer = client.get(f"/v2/{repo}/referrers/{sha(b'')}")
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])
    assert client.get(f"/v2/{repo}/referrers/sha256:12").status_code == 400


def test_sha512_referrer_is_listed_once(client: httpx.Client, repo: str) -> None:
    subject = sha(b"s", "sha512")
    body = index(subject=descriptor(b"s", algorithm="sha512"))
    put_manifest(client, repo, sha(body, "sha512"), body, INDEX)
    found = client.get(f"/v2/{repo}/referrers/{subject}").json()["manifests"]
    assert [one["digest"] for one in found] == [sha(body, "sha512")]


def test_ping_and_extensions(client: httpx.Client) -> None:
    assert client.get("/v2/").status_code == client.get("/v2").status_code == 200
    assert client.get("/v2/_oci/ext/discover").json() == {"extensions": []}


@pytest.mark.parametrize("path", ["/", "/v1/", "/v2/a", "/v2/a/b/c", "/v2/a/tags", "/v2//", "/v2/a/_x/y"])
def test_unknown_endpoints(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, error_codes(answer)) == (404, ["UNSUPPORTED"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2/", "GET, HEAD"),
        ("PUT", "/v2/a/tags/list", "GET, HEAD"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("PATCH", "/v2/a/manifests/b", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/v2/a/blobs/b", "DELETE, GET, HEAD"),
    ],
)
def test_unknown_methods(client: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert error_codes(answer) == ["UNSUPPORTED"]


@pytest.mark.parametrize(
    "name",
    ["A", "a//b", "a/../b", "..", "a..b", "a___b", "-a", "a-", "_x", "a/_layers", "é", "a%00b", "a" * 256],
)
def test_bad_names(client: httpx.Client, name: str) -> None:
    encoded = name.replace("/", "%2f").replace("..", "%2e%2e")
    for path in ("tags/list", "manifests/x", f"blobs/{sha(b'')}"):
        answer = client.get(f"/v2/{encoded}/{path}")
        assert (answer.status_code, error_codes(answer)) == (400, ["NAME_INVALID"])
    assert client.post(f"/v2/{encoded}/blobs/uploads/").status_code == 400


@pytest.mark.parametrize(
    "name", ["a", "a.b_c__d---e/f0", "blobs/uploads", "manifests/tags", "v2/v2", "a" * 255]
)
def test_odd_but_good_names(client: httpx.Client, name: str) -> None:
    push_image(client, name, "list")
    assert "list" in client.get(f"/v2/{name}/tags/list").json()["tags"]
    assert client.get(f"/v2/{name}/manifests/list").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2/\xff/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/a\x00b/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/%ff%fe/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_hostile_requests(shared_server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as sock:
        sock.sendall(request_bytes)
        assert re.match(rb"HTTP/1.1 4\d\d ", sock.recv(1000))


def test_bytes_after_a_long_head_are_body(shared_server: Server, client: httpx.Client, repo: str) -> None:
    """A body larger than the bound on heads, in the same data as its head, is not refused."""
    data = b"z" * 300_000
    head = f"POST /v2/{repo}/blobs/uploads/?digest={sha(data)} HTTP/1.1\r\n"
    head += f"Host: x\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as sock:
        for _ in range(2):
            sock.sendall(head.encode() + data)
            assert sock.recv(1000).startswith(b"HTTP/1.1 201")


def test_errors_are_json(client: httpx.Client, repo: str) -> None:
    error = json.loads(client.get(f"/v2/{repo}/tags/list").text)["errors"][0]
    assert set(error) == {"code", "message", "detail"}
