"""Blobs over HTTP: pull, ranges, mount, delete (rows 19 to 26, 48 to 50, 88)."""

from __future__ import annotations

import httpx
import pytest

from .images import error_codes, push_blob, sha


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("data", [b"", b"x", b"y" * 3_000_000], ids=["empty", "one", "large"])
def test_pull(client: httpx.Client, repo: str, data: bytes, algorithm: str) -> None:
    digest = push_blob(client, repo, data, algorithm)
    got = client.get(f"/v2/{repo}/blobs/{digest}")
    looked = client.head(f"/v2/{repo}/blobs/{digest}")
    assert got.status_code == looked.status_code == 200
    assert got.content == data
    for answer in (got, looked):
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-length"] == str(len(data))


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=x", 200, b"0123456789", None),
        ("bytes=", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
    ],
)
def test_ranges(
    client: httpx.Client, repo: str, header: str, status: int, body: bytes, content_range: str | None
) -> None:
    digest = push_blob(client, repo, b"0123456789")
    answer = client.get(f"/v2/{repo}/blobs/{digest}", headers={"Range": header})
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-range") == content_range


def test_range_of_a_streamed_blob(client: httpx.Client, repo: str) -> None:
    data = bytes(range(256)) * 12_000
    digest = push_blob(client, repo, data)
    answer = client.get(f"/v2/{repo}/blobs/{digest}", headers={"Range": "bytes=1000-2999999"})
    assert answer.status_code == 206
    assert answer.content == data[1000:3_000_000]


def test_absent(client: httpx.Client, repo: str) -> None:
    digest = sha(b"absent")
    answer = client.get(f"/v2/{repo}/blobs/{digest}")
    assert (answer.status_code, error_codes(answer)) == (404, ["NAME_UNKNOWN"])
    push_blob(client, repo, b"other")
    answer = client.get(f"/v2/{repo}/blobs/{digest}")
    assert (answer.status_code, error_codes(answer)) == (404, ["BLOB_UNKNOWN"])
    assert client.head(f"/v2/{repo}/blobs/{digest}").status_code == 404
    assert client.delete(f"/v2/{repo}/blobs/{digest}").status_code == 404


@pytest.mark.parametrize(
    "digest", ["sha256:abc", "sha256:" + "A" * 64, "md5:" + "a" * 32, "x", "sha512:" + "a" * 64]
)
def test_bad_digest(client: httpx.Client, repo: str, digest: str) -> None:
    answer = client.get(f"/v2/{repo}/blobs/{digest}")
    assert (answer.status_code, error_codes(answer)) == (400, ["DIGEST_INVALID"])


def test_delete_is_of_one_name_in_one_repository(client: httpx.Client, repo: str) -> None:
    digest = push_blob(client, repo, b"shared")
    push_blob(client, repo + "-2", b"shared")
    assert client.delete(f"/v2/{repo}/blobs/{digest}").status_code == 202
    assert client.get(f"/v2/{repo}/blobs/{digest}").status_code == 404
    assert client.get(f"/v2/{repo}-2/blobs/{digest}").status_code == 200
    push_blob(client, repo, b"shared")
    assert client.get(f"/v2/{repo}/blobs/{digest}").status_code == 200


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_mount(client: httpx.Client, repo: str, algorithm: str) -> None:
    digest = push_blob(client, repo, b"mounted", algorithm)
    answer = client.post(f"/v2/{repo}-2/blobs/uploads/", params={"mount": digest, "from": repo})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v2/{repo}-2/blobs/{digest}"
    assert client.get(answer.headers["location"]).content == b"mounted"


@pytest.mark.parametrize("source", [None, "absent/repo", "Not A Name", ""])
def test_mount_that_cannot_be_becomes_an_upload(client: httpx.Client, repo: str, source: str | None) -> None:
    digest = push_blob(client, repo, b"not mounted")
    params = {"mount": digest} | ({} if source is None else {"from": source})
    answer = client.post(f"/v2/{repo}-2/blobs/uploads/", params=params)
    assert answer.status_code == 202
    done = client.put(answer.headers["location"], params={"digest": digest}, content=b"not mounted")
    assert done.status_code == 201
