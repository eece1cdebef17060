"""Manifests over HTTP (rows 12 to 18, 52 to 64, 84 to 87)."""

from __future__ import annotations

import itertools
import json
import threading
from typing import Any

import httpx
import pytest

from .images import (
    IMAGE,
    INDEX,
    descriptor,
    error_codes,
    image,
    index,
    push_blob,
    push_image,
    put_manifest,
    sha,
)


def test_push_by_tag_pull_by_both(client: httpx.Client, repo: str) -> None:
    body = push_image(client, repo, "v1", b"layer")
    for reference in ("v1", sha(body)):
        got = client.get(f"/v2/{repo}/manifests/{reference}")
        looked = client.head(f"/v2/{repo}/manifests/{reference}")
        assert got.content == body
        for answer in (got, looked):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == IMAGE
            assert answer.headers["docker-content-digest"] == sha(body)
            assert answer.headers["content-length"] == str(len(body))


def test_push_answers(client: httpx.Client, repo: str) -> None:
    push_blob(client, repo, b"{}")
    body = image(b"{}")
    answer = put_manifest(client, repo, "v1", body, IMAGE + "; charset=utf-8")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v2/{repo}/manifests/{sha(body)}"
    assert answer.headers["docker-content-digest"] == sha(body)
    assert put_manifest(client, repo, "v1", body).status_code == 201


def test_sha512(client: httpx.Client, repo: str) -> None:
    push_blob(client, repo, b"{}", "sha512")
    fields = json.loads(image(b"{}"))
    fields["config"]["digest"] = sha(b"{}", "sha512")
    body = json.dumps(fields).encode()
    name = sha(body, "sha512")
    assert put_manifest(client, repo, name, body).headers["docker-content-digest"] == name
    assert client.get(f"/v2/{repo}/manifests/{name}").headers["docker-content-digest"] == name
    assert client.delete(f"/v2/{repo}/manifests/{name}").status_code == 202
    for gone in (name, sha(body)):
        assert client.get(f"/v2/{repo}/manifests/{gone}").status_code == 404


def test_tags_along_with_a_digest(client: httpx.Client, repo: str) -> None:
    push_blob(client, repo, b"{}")
    body = image(b"{}")
    tags = [f"t{number}" for number in range(12)]
    answer = put_manifest(client, repo, sha(body) + "?" + "&".join(f"tag={tag}" for tag in tags), body)
    assert answer.status_code == 201
    assert answer.headers.get_list("oci-tag") == tags
    assert client.get(f"/v2/{repo}/manifests/t11").content == body
    many = "&".join(f"tag=x{number}" for number in range(65))
    assert put_manifest(client, repo, f"{sha(body)}?{many}", body).status_code == 414
    assert put_manifest(client, repo, f"{sha(body)}?tag=!bad", body).status_code == 400


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", IMAGE),
        (b"not json", IMAGE),
        (b"\xff\xfe{}", IMAGE),
        (b"[]", IMAGE),
        (b"NaN", IMAGE),
        (b"[" * 100_000, IMAGE),
        (b'{"schemaVersion":2}', IMAGE),
        (b'{"schemaVersion":1,"config":{},"layers":[]}', IMAGE),
        (b'{"schemaVersion":2,"config":{},"layers":[]}', IMAGE),
        (b'{"schemaVersion":2,"manifests":{}}', INDEX),
        (b'{"schemaVersion":2,"manifests":[1]}', INDEX),
        (b'{"schemaVersion":2,"manifests":[],"layers":[]}', INDEX),
        (b'{"schemaVersion":2,"mediaType":7,"manifests":[]}', INDEX),
        (b'{"schemaVersion":2,"mediaType":"a\\r\\nb: c/d","manifests":[]}', ""),
        (index(), IMAGE),
        (index(subject={"digest": "../../x", "size": 1}), INDEX),
        (index(annotations={"a": 1}), INDEX),
        (index(), "no type"),
    ],
)
def test_malformed(client: httpx.Client, repo: str, body: bytes, media_type: str) -> None:
    answer = put_manifest(client, repo, "bad", body, media_type)
    assert (answer.status_code, error_codes(answer)) == (400, ["MANIFEST_INVALID"])
    assert client.get(f"/v2/{repo}/manifests/bad").status_code == 404


def test_missing_references(client: httpx.Client, repo: str) -> None:
    push_blob(client, repo, b"{}")
    push_blob(client, repo + "-2", b"elsewhere")
    answer = put_manifest(client, repo, "v1", image(b"{}", b"absent", b"elsewhere"))
    assert (answer.status_code, error_codes(answer)) == (404, ["MANIFEST_BLOB_UNKNOWN"] * 2)
    assert put_manifest(client, repo, "v1", index(b"absent"), INDEX).status_code == 404
    assert client.get(f"/v2/{repo}/tags/list").json()["tags"] == []


def test_nested_indexes(client: httpx.Client, repo: str) -> None:
    child = push_image(client, repo, "child")
    inner, empty = index(child), index()
    assert put_manifest(client, repo, sha(inner), inner, INDEX).status_code == 201
    assert put_manifest(client, repo, sha(empty), empty, INDEX).status_code == 201
    outer = index(inner, empty, media_type=INDEX)
    assert put_manifest(client, repo, "outer", outer, INDEX).status_code == 201


@pytest.mark.parametrize("media_type", ["application/vnd.example.custom.v1+json", IMAGE, INDEX])
def test_type_is_that_pushed(client: httpx.Client, repo: str, media_type: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        IMAGE: {"config": descriptor(b"{}"), "layers": []},
        INDEX: {"manifests": []},
    }
    push_blob(client, repo, b"{}")
    body = json.dumps({"schemaVersion": 2} | fields.get(media_type, {})).encode()
    assert put_manifest(client, repo, "v1", body, media_type).status_code == 201
    assert client.get(f"/v2/{repo}/manifests/v1").headers["content-type"] == media_type


def test_digest_of_other_content(client: httpx.Client, repo: str) -> None:
    answer = put_manifest(client, repo, sha(b"other"), index(), INDEX)
    assert (answer.status_code, error_codes(answer)) == (400, ["DIGEST_INVALID"])
    assert client.get(f"/v2/{repo}/manifests/{sha(b'other')}").status_code == 404


def test_size_limit(client: httpx.Client, repo: str) -> None:
    large = index(annotations={"pad": "x" * 4_000_000})
    assert put_manifest(client, repo, "large", large, INDEX).status_code == 201
    too_large = index(annotations={"pad": "x" * (4 << 20)})
    assert put_manifest(client, repo, "too", too_large, INDEX).status_code == 413
    parts = iter([too_large[:3_000_000], too_large[3_000_000:]])
    streamed = client.put(f"/v2/{repo}/manifests/too", content=parts, headers={"Content-Type": INDEX})
    assert streamed.status_code == 413


@pytest.mark.parametrize("tag", [".a", "-a", "a" * 129, "a b", "a%00", "é", "a%2fb"])
def test_bad_tag(client: httpx.Client, repo: str, tag: str) -> None:
    assert put_manifest(client, repo, tag, index(), INDEX).status_code in {400, 404, 405}
    assert client.get(f"/v2/{repo}/manifests/{tag}").status_code == 404


def test_delete_of_a_tag_is_only_that(client: httpx.Client, repo: str) -> None:
    body = push_image(client, repo, "a")
    put_manifest(client, repo, "b", body)
    assert client.delete(f"/v2/{repo}/manifests/a").status_code == 202
    assert client.get(f"/v2/{repo}/manifests/a").status_code == 404
    assert client.delete(f"/v2/{repo}/manifests/a").status_code == 404
    for reference in ("b", sha(body)):
        assert client.get(f"/v2/{repo}/manifests/{reference}").status_code == 200


def test_delete_by_digest_takes_its_tags(client: httpx.Client, repo: str) -> None:
    body = push_image(client, repo, "a")
    put_manifest(client, repo, "b", body)
    other = index()
    put_manifest(client, repo, "c", other, INDEX)
    assert client.delete(f"/v2/{repo}/manifests/{sha(body)}").status_code == 202
    for reference in ("a", "b", sha(body)):
        assert client.get(f"/v2/{repo}/manifests/{reference}").status_code == 404
    assert client.delete(f"/v2/{repo}/manifests/{sha(body)}").status_code == 404
    assert client.get(f"/v2/{repo}/tags/list").json()["tags"] == ["c"]
    assert put_manifest(client, repo, "a", body).status_code == 201
    assert client.get(f"/v2/{repo}/manifests/a").content == body


def test_tag_is_a_register(client: httpx.Client, repo: str) -> None:
    """Readers see the old or the new manifest, although the old one is deleted at once."""
    bodies = [index(annotations={"n": str(number)}) for number in range(30)]
    put_manifest(client, repo, "t", bodies[0], INDEX)
    begun, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def read() -> None:
        with httpx.Client(base_url=client.base_url) as reader:
            while not done.is_set():
                answer = reader.get(f"/v2/{repo}/manifests/t")
                seen.append((answer.status_code, answer.content in bodies))
                begun.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(10)
    for before, body in itertools.pairwise(bodies):
        put_manifest(client, repo, "t", body, INDEX)
        client.delete(f"/v2/{repo}/manifests/{sha(before)}")
    done.set()
    thread.join(10)
    assert set(seen) == {(200, True)}


def test_digests_that_fit_no_header(client: httpx.Client, repo: str) -> None:
    """By the grammar of digests there is no longest one; what names it in an answer has to fit in there."""
    for chars, status in ((400, 201), (513, 400), (100_000, 400)):
        subject = {"mediaType": IMAGE, "digest": f"unknown:{'a' * (chars - 8)}", "size": 1}
        answer = put_manifest(client, repo, "t", index(subject=subject), INDEX)
        assert answer.status_code == status
        assert answer.headers.get("oci-subject") == (subject["digest"] if status == 201 else None)
