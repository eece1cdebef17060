"""CNCF Distribution serves, continues and collects a store of the reference, and then the reference again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from reference_impl.registry import documents

from ..unit.reference.images import image, index, push_blob, put_manifest, sha
from .contents import Contents, Filler, begin, compare, fill, finish, send, session_of
from .registries import Distribution, Reference, collect_by_reference
from .stores import stored

pytestmark = pytest.mark.peer("docker-registry")

LOST = b"what Distribution loses "
UNNAMED = b"no manifest names this "


def fill_by_reference(ours: Reference) -> Contents:
    """What `fill` pushes, and what only the reference takes."""
    filler = Filler(ours.client)
    fill(filler, "by the reference")
    body = filler.image("only", "t", b"pushed by two digests")
    filler.manifest("only", body, algorithm="sha512")
    filler.image("only", "gone", b"the tag is deleted, not the manifest")
    filler.delete_tag("only", "gone")
    filler.blob("only", b"{}")
    plain = json.loads(image(b"{}"))
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": sha(b"elsewhere"),
        "size": len(b"elsewhere"),
        "urls": ["http://127.0.0.1/elsewhere"],
    }
    filler.manifest("only", json.dumps(plain | {"layers": [foreign]}).encode(), "foreign")
    del plain["mediaType"]
    filler.manifest("only", json.dumps(plain).encode(), "untyped")
    # Distribution 2.8 overlooks a repository that never had a blob, unless it finds the folder for them.
    filler.manifest("bare", index(annotations={"in": "a repository without blobs"}), "t")
    return filler.contents


def push_layer_named_by_sha512(filler: Filler) -> None:
    filler.blob("lost", b"{}")
    digest = filler.blob("lost", LOST, "sha512")
    layer = {"mediaType": "application/octet-stream", "digest": digest, "size": len(LOST)}
    filler.manifest("lost", json.dumps(json.loads(image(b"{}")) | {"layers": [layer]}).encode(), "t")


def push_child_as_a_blob(filler: Filler) -> None:
    """An index whose child was pushed as a blob, and not as a manifest of its own."""
    child = image(b"{}", LOST)
    for data in (b"{}", LOST, child):
        filler.blob("lost", data)
    filler.manifest("lost", index(child), "t")


KNOWN_LOSSES: dict[str, Callable[[Filler], None]] = {
    # It marks a layer by the digest in the manifest, and sweeps by the digest that it is stored under.
    "named by sha512": push_layer_named_by_sha512,
    # It does not look into what an index names: the layers of a child are only kept for the child's own link.
    "below a child that is a blob": push_child_as_a_blob,
}
"""What Distribution's collector takes away though a manifest leads to it, and how to push it."""


def test_distribution_serves_a_store_of_the_reference(ours: Reference, theirs: Distribution) -> None:
    contents = fill_by_reference(ours.start())
    compare(ours.client, contents)
    ours.stop()
    theirs.start()
    compare(theirs.client, contents)


def test_distribution_collects_a_store_of_the_reference(ours: Reference, theirs: Distribution) -> None:
    """What it takes away is what no manifest names, and nothing else."""
    filler = Filler(ours.client)
    filler.contents = fill_by_reference(ours.start())
    filler.blob("odd", UNNAMED)
    ours.stop()
    collected = theirs.collect()
    assert collected.returncode == 0, collected.stderr
    unnamed = filler.contents.unnamed()
    assert UNNAMED in unnamed
    left = filler.contents.without_blobs(unnamed)
    theirs.start()
    compare(theirs.client, left)
    theirs.stop()
    ours.start()
    compare(ours.client, left)
    # There is nothing more to remove but links to what is gone.
    again = collect_by_reference(ours.root)
    assert again.returncode == 0, again.stdout + again.stderr
    compare(ours.client, left)
    filler.blob("odd", UNNAMED)
    compare(ours.client, left.with_blob("odd", UNNAMED))


def test_distribution_collects_untagged_manifests_where_all_have_a_tag(
    ours: Reference, theirs: Distribution
) -> None:
    """Elsewhere its ``-m`` loses the children of indexes, and what is attached: it only looks at tags."""
    ours.start()
    filler = Filler(ours.client)
    children = [filler.image("multi", name, name.encode()) for name in ("amd64", "arm64")]
    filler.manifest("multi", index(*children), "all")
    filler.image("inner/multi", "t", b"amd64", b"more")
    doomed = filler.image("multi", None, b"untagged")
    ours.stop()
    collected = theirs.collect("-m")
    assert collected.returncode == 0, collected.stderr
    left = filler.contents
    del left.repositories["multi"].manifests[sha(doomed)]
    left.gone.add(f"/v2/multi/manifests/{sha(doomed)}")
    left = left.without_blobs(left.unnamed())
    assert f"/v2/multi/blobs/{sha(b'untagged')}" in left.gone
    ours.start()
    compare(ours.client, left)


@pytest.mark.parametrize("loss", [*KNOWN_LOSSES])
def test_what_distribution_loses_can_be_pushed_again(
    ours: Reference, theirs: Distribution, loss: str
) -> None:
    filler = Filler(ours.client)
    filler.contents = fill_by_reference(ours.start())
    KNOWN_LOSSES[loss](filler)
    unnamed = filler.contents.unnamed() - {LOST}
    ours.stop()
    collected = theirs.collect()
    assert collected.returncode == 0, collected.stderr
    ours.start()
    compare(ours.client, filler.contents.without_blobs({LOST} | unnamed))
    KNOWN_LOSSES[loss](filler)
    compare(ours.client, filler.contents.without_blobs(unnamed))


def test_distribution_collects_nothing_where_it_cannot_read_a_manifest(
    ours: Reference, theirs: Distribution
) -> None:
    """The reference takes manifests of any type; Distribution's collector stops at one it does not know."""
    contents = fill_by_reference(ours.start())
    push_blob(ours.client, "zz/unknown", b"{}")
    fields = {**json.loads(image(b"{}")), "mediaType": documents.OCI_ARTIFACT}
    fields["blobs"] = fields.pop("layers")
    body = json.dumps(fields).encode()
    assert put_manifest(ours.client, "zz/unknown", "t", body, documents.OCI_ARTIFACT).status_code == 201
    ours.stop()
    before = stored(ours.root)
    collected = theirs.collect()
    assert collected.returncode != 0
    assert stored(ours.root) == before
    contents.repositories["zz/unknown"].manifests[sha(body)] = body
    contents.repositories["zz/unknown"].tags["t"] = sha(body)
    ours.start()
    compare(ours.client, contents)


def test_uploads_of_the_reference_outlast_distribution(ours: Reference, theirs: Distribution) -> None:
    ours.start()
    locations = [begin(ours.client, name) for name in ("open", "open/none", "open/one")]
    locations[0] = send(ours.client, locations[0], b"one")
    locations[0] = send(ours.client, locations[0], b" two", 3)
    locations[2] = send(ours.client, locations[2], b"one")
    ours.stop()
    theirs.start()
    Filler(theirs.client).image("open", "t", b"between")
    theirs.stop()
    assert theirs.collect().returncode == 0
    ours.start()
    for location, sofar in zip(locations, (b"one two", b"", b"one"), strict=True):
        status = ours.client.get(location)
        assert status.status_code == 204
        assert status.headers.get("range") == (f"0-{len(sofar) - 1}" if sofar else None)
        location = send(ours.client, location, b" three", len(sofar))
        finish(ours.client, location, sha(sofar + b" three"))
    assert ours.client.get(f"/v2/open/blobs/{sha(b'one two three')}").content == b"one two three"


def test_distribution_continues_an_upload_of_the_reference(ours: Reference, theirs: Distribution) -> None:
    """Given the token that it would have made itself: the folder has all that it needs."""
    ours.start()
    location = send(ours.client, begin(ours.client, "go/on"), b"from the reference ")
    session = session_of(location)
    ours.stop()
    theirs.start()
    state = _token(theirs.secret, "go/on", session, len(b"from the reference "))
    location = send(theirs.client, f"/v2/go/on/blobs/uploads/{session}?_state={quote(state)}", b"on")
    finish(theirs.client, location, sha(b"from the reference on"))
    path = f"/v2/go/on/blobs/{sha(b'from the reference on')}"
    assert theirs.client.get(path).content == b"from the reference on"
    theirs.stop()
    ours.start()
    assert ours.client.get(path).content == b"from the reference on"


def _token(secret: str, name: str, session: str, offset: int) -> str:
    """What Distribution's clients hand back with each chunk (registry/handlers/hmac.go)."""
    state = {"Name": name, "UUID": session, "Offset": offset, "StartedAt": "2026-01-01T00:00:00Z"}
    text = json.dumps(state).encode()
    seal = hmac.digest(secret.encode(), text, hashlib.sha256)
    return base64.urlsafe_b64encode(seal + text).decode()
