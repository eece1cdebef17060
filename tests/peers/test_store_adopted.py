"""The reference serves, continues and collects a store that CNCF Distribution wrote."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from reference_impl.registry import layout

from ..unit.reference.images import sha
from .contents import Filler, begin, compare, fill, finish, send, session_of
from .registries import Distribution, Reference, collect_by_reference
from .stores import path_of, stored

pytestmark = pytest.mark.peer("docker-registry")

REPOSITORY = "open/uploads"
ARRIVAL_LIMIT_S = 20.0
FIRST, SECOND, REST = b"first chunk ", b"second chunk " * 1000, b"the rest"
ORPHAN = b"no manifest names this "


def test_the_reference_serves_a_store_of_distribution(ours: Reference, theirs: Distribution) -> None:
    contents = fill(Filler(theirs.start().client), "by Distribution")
    theirs.stop()
    ours.start()
    compare(ours.client, contents)
    # It goes on with it: more of the same, and other versions under the same tags.
    filler = Filler(ours.client)
    filler.contents = contents
    filler.image("x", "t", b"another version")
    filler.delete_tag("x", "a")
    multi = contents.repositories["multi"]
    filler.delete_manifest("multi", multi.manifests[multi.tags["arch"]])
    filler.mount("x/y", b"another version", "x")
    compare(ours.client, contents)
    ours.stop()
    theirs.start()
    compare(theirs.client, contents)


def test_attached_manifests_are_listed_that_distribution_took_for_images(
    ours: Reference, theirs: Distribution
) -> None:
    contents = fill(Filler(theirs.start().client), "by Distribution")
    theirs.stop()
    ours.start()
    subject = contents.repositories["attached"].tags["t"]
    listed = ours.client.get(f"/v2/attached/referrers/{subject}").json()["manifests"]
    assert [one["artifactType"] for one in listed] == ["application/vnd.example.0"]
    missing = ours.client.get(f"/v2/attached/referrers/{sha(b'nowhere')}").json()["manifests"]
    assert [one["artifactType"] for one in missing] == ["application/vnd.example.1"]


def test_the_reference_collects_a_store_of_distribution(ours: Reference, theirs: Distribution) -> None:
    filler = Filler(theirs.start().client)
    fill(filler, "by Distribution")
    filler.blob("odd", ORPHAN)
    theirs.stop()
    contents = filler.contents
    unnamed = contents.unnamed()
    assert ORPHAN in unnamed
    ours.start()
    collected = collect_by_reference(ours.root)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    left = contents.without_blobs(unnamed)
    compare(ours.client, left)
    assert stored(ours.root) == {
        sha(data)
        for one in left.repositories.values()
        for data in (*one.blobs.values(), *one.manifests.values())
    }
    ours.stop()
    theirs.start()
    compare(theirs.client, left)


# -- upload sessions -------------------------------------------------------------------------


def open_upload(theirs: Distribution, *chunks: bytes) -> str:
    """Begin an upload and send it chunks; returns the session's id."""
    location = begin(theirs.client, REPOSITORY)
    for chunk in chunks:
        location = send(theirs.client, location, chunk)
    return session_of(location)


def open_half_sent_upload(theirs: Distribution, before: bytes, half: bytes) -> str:
    """Begin an upload, and kill Distribution when some of a chunk is on disk and more has yet to come."""
    location = begin(theirs.client, REPOSITORY)
    if before:
        location = send(theirs.client, location, before)
    session, url = session_of(location), httpx.URL(location)
    host, _, port = theirs.place.partition(":")
    path = url.raw_path.decode()
    head = f"PATCH {path} HTTP/1.1\r\nHost: {theirs.place}\r\nContent-Length: 1000000\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(head.encode() + half)
        data = path_of(theirs.root, layout.session_data(REPOSITORY, session))
        limit = time.monotonic() + ARRIVAL_LIMIT_S
        while data.stat().st_size <= len(before):
            assert time.monotonic() < limit, "nothing of the chunk arrives"
            time.sleep(0.005)
        theirs.kill()
    return session


@pytest.mark.parametrize("chunks", [(), (FIRST,), (FIRST, SECOND)], ids=["fresh", "one chunk", "two chunks"])
@pytest.mark.parametrize("way", ["chunk and end", "end at once", "end only"])
def test_the_reference_continues_an_upload_of_distribution(
    ours: Reference, theirs: Distribution, chunks: tuple[bytes, ...], way: str
) -> None:
    session = open_upload(theirs.start(), *chunks)
    theirs.stop()
    path = continue_upload(ours.start(), session, b"".join(chunks), way)
    ours.stop()
    theirs.start()
    assert theirs.client.get(path).status_code == 200


@pytest.mark.parametrize("before", [b"", FIRST], ids=["first chunk", "second chunk"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_reference_continues_an_upload_that_was_broken_off(
    ours: Reference, theirs: Distribution, before: bytes, killed: bool
) -> None:
    """The status tells how much arrived; Distribution itself cannot go on with such an upload."""
    half = bytes(range(256)) * 400
    session = open_half_sent_upload(theirs.start(), before, half)
    ours.start()
    status = ours.client.get(f"/v2/{REPOSITORY}/blobs/uploads/{session}")
    arrived = int(status.headers["range"].removeprefix("0-")) + 1
    assert len(before) < arrived <= len(before + half)
    if killed:
        ours.kill()
        ours.start()
    continue_upload(ours, session, (before + half)[:arrived], "chunk and end")


def continue_upload(ours: Reference, session: str, sofar: bytes, way: str) -> str:
    """Go on from where the status says it is, end the upload, and pull the blob; returns its path."""
    location = f"/v2/{REPOSITORY}/blobs/uploads/{session}"
    status = ours.client.get(location)
    assert status.status_code == 204
    assert status.headers.get("range") == (f"0-{len(sofar) - 1}" if sofar else None)
    wrong = {"Content-Range": f"{len(sofar) + 1}-{len(sofar) + 1}"}
    assert ours.client.patch(location, content=b"x", headers=wrong).status_code == 416
    whole = sofar if way == "end only" else sofar + REST
    if way == "chunk and end":
        location = send(ours.client, location, REST, len(sofar))
    finish(ours.client, location, sha(whole), REST if way == "end at once" else b"")
    path = f"/v2/{REPOSITORY}/blobs/{sha(whole)}"
    assert ours.client.get(path).content == whole
    assert ours.client.get(location).status_code == 404
    assert not path_of(ours.root, layout.session_folder(REPOSITORY, session)).exists()
    return path


def test_an_upload_of_distribution_is_cancelled(ours: Reference, theirs: Distribution) -> None:
    session = open_upload(theirs.start(), FIRST)
    theirs.stop()
    ours.start()
    location = f"/v2/{REPOSITORY}/blobs/uploads/{session}"
    assert ours.client.delete(location).status_code == 204
    assert ours.client.get(location).status_code == 404


def test_an_old_upload_of_distribution_expires(ours: Reference, theirs: Distribution) -> None:
    session = open_upload(theirs.start(), FIRST)
    theirs.stop()
    ours.start()
    assert collect_by_reference(ours.root).returncode == 0
    location = f"/v2/{REPOSITORY}/blobs/uploads/{session}"
    assert ours.client.get(location).status_code == 204
    assert collect_by_reference(ours.root, "--session-age", "0.001").returncode == 0
    assert ours.client.get(location).status_code == 404
