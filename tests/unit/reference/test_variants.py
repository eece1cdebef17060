"""Each variant differs from the reference, in the way that its title says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from reference_impl.variants import VARIANTS
from reference_impl.variants.answers import BUSY_EVERY, DELAY_S

from .conftest import Server, half_patch
from .images import IMAGE, image, index, push_blob, push_image, put_manifest, sha

LAYER = b"layer of the image"


def _deletes(server: Server) -> list[int]:
    body = push_image(server.client, "a", "t", LAYER)
    names = ("manifests/t", f"manifests/{sha(body)}", f"blobs/{sha(LAYER)}")
    return [server.client.delete(f"/v2/a/{name}").status_code for name in names]


def _blobs_of_deleted(server: Server) -> list[int]:
    push_image(server.client, "collected", "kept", b"shared")
    body = push_image(server.client, "collected", "t", b"shared", b"its own")
    server.client.delete(f"/v2/collected/manifests/{sha(body)}")
    return [server.client.head(f"/v2/collected/blobs/{sha(b)}").status_code for b in (b"shared", b"its own")]


def _mounts(server: Server) -> list[int]:
    digest = push_blob(server.client, "a", b"mounted")
    queries: list[dict[str, str]] = [{"mount": digest, "from": "a"}, {"mount": digest}]
    places = zip(("b", "c"), queries, strict=True)
    return [server.client.post(f"/v2/{to}/blobs/uploads/", params=q).status_code for to, q in places]


def _session(server: Server, repo: str = "a") -> str:
    return server.client.post(f"/v2/{repo}/blobs/uploads/").headers["location"]


def _status(server: Server, location: str) -> int:
    return server.client.get(location).status_code


def _single_post(server: Server) -> tuple[int, int]:
    url = "/v2/a/blobs/uploads/"
    answer = server.client.post(url, params={"digest": sha(b"single")}, content=b"single")
    stored = server.client.head(f"/v2/a/blobs/{sha(b'single')}")
    return answer.status_code, stored.status_code


def _streamed(server: Server) -> int:
    return server.client.patch(_session(server), content=iter([b"streamed"])).status_code


def _short_chunks(server: Server) -> tuple[str | None, list[int]]:
    opened = server.client.post("/v2/a/blobs/uploads/")
    location = opened.headers["location"]
    sizes = (1000, 10, 10)
    statuses = [server.client.patch(location, content=b"x" * size).status_code for size in sizes]
    return opened.headers.get("oci-chunk-min-length"), statuses


def _after_restart(server: Server) -> int:
    location = _session(server)
    server.kill()
    server.start()
    return _status(server, location)


def _after_error(server: Server) -> tuple[int, int]:
    location = _session(server)
    refused = server.client.patch(location, content=b"xy", headers={"Content-Range": "5-6"})
    return refused.status_code, _status(server, location)


def _after_break(server: Server) -> int:
    location = _session(server)
    half_patch(server, location, b"abc", 10).close()
    while True:  # until the server has seen that nobody is there
        answer = server.client.patch(location, content=b"d", headers={"Content-Range": "3-3"})
        if answer.status_code != 416:
            return answer.status_code


def _empty(server: Server) -> dict[str, str]:
    headers = server.client.get(_session(server)).headers
    return {name: value for name, value in headers.items() if name == "range"}


def _cancel(server: Server) -> int:
    return server.client.delete(_session(server)).status_code


def _critical_query(server: Server) -> tuple[bool, int, int]:
    location = _session(server)
    return "://" in location, _status(server, location), _status(server, urlsplit(location).path)


def _old_location(server: Server) -> list[int]:
    first = _session(server)
    chunk = server.client.patch(first, content=b"a")
    second = chunk.headers["location"]
    again = [server.client.patch(where, content=b"b") for where in (first, second)]
    return [chunk.status_code, *(answer.status_code for answer in again)]


def _other_port(server: Server) -> tuple[bool, int, int, int]:
    location = server.client.base_url.join(_session(server))
    moved = location.netloc != server.client.base_url.netloc
    at_home = _status(server, location.path)
    done = server.client.put(location, params={"digest": sha(b"moved")}, content=b"moved")
    stored = server.client.get(done.url.join(done.headers["location"]))
    return moved, at_home, done.status_code, stored.status_code


def _pull(server: Server) -> tuple[int, bytes, bool]:
    path = f"/v2/a/blobs/{push_blob(server.client, 'a', LAYER)}"
    followed = server.client.get(path, follow_redirects=True)
    return server.client.get(path).status_code, followed.content, "docker-content-digest" in followed.headers


def _range(server: Server) -> tuple[int, bytes]:
    digest = push_blob(server.client, "a", LAYER)
    answer = server.client.get(f"/v2/a/blobs/{digest}", headers={"Range": "bytes=0-4"})
    return answer.status_code, answer.content


def _missing(server: Server) -> int:
    return put_manifest(server.client, "a", "missing", image(b"nobody's", b"nobody's")).status_code


def _sha512(server: Server) -> int:
    url, digest = "/v2/a/blobs/uploads/", sha(b"long", "sha512")
    return server.client.post(url, params={"digest": digest}, content=b"long").status_code


def _moved(server: Server) -> tuple[int, int, bool]:
    first = push_image(server.client, "moving", "t", b"first")
    second = image(b"{}", b"first", annotations={"a": "b"})
    answers = [put_manifest(server.client, "moving", "t", body).status_code for body in (first, second)]
    return answers[0], answers[1], server.client.get("/v2/moving/manifests/t").content == second


def _more_tags(server: Server) -> tuple[str | None, int]:
    body = index()
    answer = put_manifest(server.client, "a", f"{sha(body)}?tag=more", body, json.loads(body)["mediaType"])
    return answer.headers.get("oci-tag"), server.client.head("/v2/a/manifests/more").status_code


def _accepting(server: Server) -> list[int]:
    body = push_image(server.client, "a", "t", LAYER)
    asked = [(name, accept) for accept in (IMAGE, "text/plain") for name in ("t", sha(body))]
    return [
        server.client.get(f"/v2/a/manifests/{name}", headers={"Accept": accept}).status_code
        for name, accept in asked
    ]


def _tags(server: Server) -> tuple[list[str], str | None]:
    for tag in ("a", "B", "c"):
        push_image(server.client, "tagged", tag, LAYER)
    answer = server.client.get("/v2/tagged/tags/list", params={"n": 3})
    return answer.json()["tags"], answer.headers.get("link")


def _link(server: Server) -> tuple[str, list[str]]:
    link = _tags(server)[1] or ""
    place = link[1:].partition(">")[0]
    return link.replace(server.url, "HERE"), server.client.get(place).json()["tags"] if place else []


def _emptied(server: Server) -> int:
    body = push_image(server.client, "emptied", "t", LAYER)
    server.client.delete(f"/v2/emptied/manifests/{sha(body)}")
    return server.client.get("/v2/emptied/tags/list").status_code


def _referring(server: Server) -> list[httpx.Response]:
    subject = {"mediaType": IMAGE, "digest": sha(b"subject"), "size": 7}
    bodies = [index(subject=subject, artifactType=f"x/{number}") for number in range(3)]
    media_type = json.loads(bodies[0])["mediaType"]
    return [put_manifest(server.client, "a", sha(body), body, media_type) for body in bodies]


def _referrers(server: Server) -> tuple[bool, int]:
    pushed = _referring(server)
    listed = server.client.get(f"/v2/a/referrers/{sha(b'subject')}")
    return "oci-subject" in pushed[0].headers, listed.status_code


def _listed(server: Server, query: str = "") -> tuple[int, bool, bool]:
    _referring(server)
    answer = server.client.get(f"/v2/a/referrers/{sha(b'subject')}{query}")
    headers = answer.headers
    return len(answer.json()["manifests"]), "oci-filters-applied" in headers, "link" in headers


def _filtered(server: Server) -> tuple[int, bool, bool]:
    return _listed(server, "?artifactType=x/1")


def _ping(server: Server) -> httpx.Response:
    return server.client.get("/v2/")


def _capitals(server: Server) -> bool:
    return all(name.isupper() for name, _ in _ping(server).headers.raw)


def _extra(server: Server) -> tuple[str | None, int]:
    headers = _ping(server).headers
    return headers.get("x-empty"), len(headers.get_list("set-cookie"))


def _framing(server: Server) -> tuple[bytes, str | None, bool]:
    answer = _ping(server)
    return answer.content, answer.headers.get("transfer-encoding"), "content-length" in answer.headers


def _version(server: Server) -> tuple[str, str | None]:
    answer = _ping(server)
    return answer.http_version, answer.headers.get("connection")


def _slow(server: Server) -> bool:
    answers = [server.client.post("/v2/a/blobs/uploads/") for _ in range(20)]
    return min(answer.elapsed.total_seconds() for answer in answers) >= DELAY_S


def _error(server: Server) -> str:
    return server.client.get("/v2/a/manifests/unknown").headers["content-type"].partition(";")[0]


def _warned(server: Server) -> bool:
    return "warning" in _ping(server).headers


def _busy(server: Server) -> list[str | None]:
    answers = [_ping(server) for _ in range(BUSY_EVERY)]
    return [one.headers.get("retry-after") for one in answers if one.status_code == 429]


DIFFERENCES: dict[str, tuple[Callable[[Server], Any], Any, Any]] = {
    "deletes-refused-400": (_deletes, [202, 202, 202], [400, 400, 400]),
    "deletes-refused-405": (_deletes, [202, 202, 202], [405, 405, 405]),
    "tag-deletes-refused": (_deletes, [202, 202, 202], [400, 202, 202]),
    "blob-deletes-refused": (_deletes, [202, 202, 202], [202, 202, 405]),
    "manifest-delete-collects": (_blobs_of_deleted, [200, 200], [200, 404]),
    "mount-refused": (_mounts, [201, 202], [405, 405]),
    "mount-opens-session": (_mounts, [201, 202], [202, 202]),
    "mount-from-anywhere": (_mounts, [201, 202], [201, 201]),
    "single-post-opens-session": (_single_post, (201, 200), (202, 404)),
    "length-required": (_streamed, 202, 411),
    "chunk-minimum": (_short_chunks, (None, [202, 202, 202]), ("1000", [202, 202, 416])),
    "sessions-lost-at-restart": (_after_restart, 204, 404),
    "session-gone-after-error": (_after_error, (416, 204), (416, 404)),
    "broken-chunk-ends-session": (_after_break, 202, 404),
    "empty-session-at-0-0": (_empty, {}, {"range": "0-0"}),
    "cancel-refused": (_cancel, 204, 405),
    "location-absolute": (_critical_query, (False, 204, 204), (True, 204, 404)),
    "location-renewed": (_old_location, [202, 202, 202], [202, 404, 202]),
    "location-other-port": (_other_port, (False, 204, 201, 200), (True, 404, 201, 200)),
    "blobs-redirected": (_pull, (200, LAYER, True), (307, LAYER, False)),
    "ranges-ignored": (_range, (206, LAYER[:5]), (200, LAYER)),
    "missing-blobs-accepted": (_missing, 404, 201),
    "missing-blobs-refused-400": (_missing, 404, 400),
    "no-sha512": (_sha512, 201, 400),
    "tags-immutable": (_moved, (201, 201, True), (201, 400, False)),
    "no-tag-parameters": (_more_tags, ("more", 200), (None, 404)),
    "accept-or-406": (_accepting, [200, 200, 200, 200], [200, 200, 406, 406]),
    "accept-or-404-by-tag": (_accepting, [200, 200, 200, 200], [200, 200, 404, 200]),
    "tags-paginated": (
        _tags,
        (["B", "a", "c"], None),
        (["B", "a"], '</v2/tagged/tags/list?n=2&last=a>; rel="next"'),
    ),
    "link-without-n": (
        _tags,
        (["B", "a", "c"], None),
        (["B", "a"], '</v2/tagged/tags/list?last=a>; rel="next"'),
    ),
    "link-in-full": (
        _link,
        ("", []),
        ('<HERE/v2/tagged/tags/list?n=2&last=a>;title="more, much more" ; rel=Next', ["c"]),
    ),
    "tags-ignoring-case": (_tags, (["B", "a", "c"], None), (["a", "B", "c"], None)),
    "repository-gone-when-empty": (_emptied, 200, 404),
    "no-referrers-api": (_referrers, (True, 200), (False, 404)),
    "referrers-unfiltered": (_filtered, (1, True, False), (3, False, False)),
    "referrers-paginated": (_listed, (3, False, False), (2, False, True)),
    "headers-in-capitals": (_capitals, False, True),
    "more-headers": (_extra, (None, 0), ("", 2)),
    "answers-without-length": (_framing, (b"{}", None, True), (b"{}", "chunked", False)),
    "close-after-each-answer": (_version, ("HTTP/1.1", None), ("HTTP/1.0", "close")),
    "slow-answers": (_slow, False, True),
    "errors-in-plain-text": (_error, "application/json", "text/plain"),
    "warnings": (_warned, False, True),
    "now-and-then-busy": (_busy, [], ["5"]),
}
"""For each variant: what a client does, what it sees of the reference, and what of the variant."""

FAST = ("--unsafe-no-fsync", "--root")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(*FAST, str(tmp_path_factory.mktemp("reference")))
    yield server
    server.kill()


def test_each_is_tried() -> None:
    assert set(DIFFERENCES) == set(VARIANTS)
    assert all(usual != other for _, usual, other in DIFFERENCES.values())


@pytest.mark.parametrize("name", DIFFERENCES)
def test_variant_differs(name: str, reference: Server, tmp_path: Path) -> None:
    look, usual, other = DIFFERENCES[name]
    assert look(reference) == usual
    server = Server(*FAST, str(tmp_path), "--variant", name, log=tmp_path / "log")
    try:
        assert look(server) == other
    finally:
        server.kill()
    assert f"different on purpose: {name}" in server.logged()
