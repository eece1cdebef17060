"""P1: content that is wrong, or was only ever answered from memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.plan.content import BlobSpec
from tests.unit.checkers.image import MANIFESTS, pushed, tale
from tests.unit.checkers.tell import Tale


def wrong_body(t: Tale) -> None:
    t.pull("r1", "b", body=b"x" * 100)


def empty_body(t: Tale) -> None:
    t.pull("r1", "b", body=b"")


def short_body(t: Tale) -> None:
    t.step("blob.get", "GET", "/", 200, error="short", repo="r1", blob="b", digest=t.symbols.blob_digest("b"))
    t.exchanges[-1] = replace(t.exchanges[-1], status=200)


def head_length(t: Tale) -> None:
    t.head("r1", "b", headers={"Content-Length": "99"})


def digest_header(t: Tale) -> None:
    t.head("r1", "b", headers={"Docker-Content-Digest": t.symbols.blob_digest("b2")})


def torn_manifest(t: Tale) -> None:
    t.fetch("r1", tag="t", body=t.symbols.manifest("m")[:-3])


def reordered_manifest(t: Tale) -> None:
    t.fetch("r1", "m", body=t.symbols.manifest("m") + b"\n")


def wrong_range(t: Tale) -> None:
    data = t.symbols.blob("b")[11:21]
    t.pull("r1", "b", 206, data, first=10, last=19, headers={"Content-Range": "bytes 10-19/100"})


def other_length_by_tag(t: Tale) -> None:
    t.fetch("r1", tag="t", shows="m", method="HEAD", headers={"Content-Length": "7"})


def converted(t: Tale) -> None:
    t.fetch("r1", "m", body=b"{}", accept="text/plain")


@pytest.mark.parametrize(
    ("act", "check"),
    [
        (wrong_body, "content.mismatch"),
        (empty_body, "content.empty"),
        (short_body, "content.short"),
        (head_length, "content.length_header"),
        (digest_header, "content.digest_header"),
        (torn_manifest, "content.torn"),
        (reordered_manifest, "content.mismatch"),
        (wrong_range, "content.range"),
        (other_length_by_tag, "content.length_header"),
        (converted, "content.mismatch"),
    ],
)
def test_wrong_content_is_found(act: Callable[[Tale], None], check: str) -> None:
    t = pushed()
    act(t)
    assert t.checks() == {f"P1 {check}"}


def test_right_content_is_left_alone() -> None:
    t = pushed()
    t.push("r1", "long")
    t.pull("r1", "b", headers={"Content-Length": "100"})
    t.head("r1", "b", headers={"Content-Length": "100", "Docker-Content-Digest": t.symbols.blob_digest("b")})
    t.pull("r1", "long")
    t.pull("r1", "long", digest=t.symbols.blob_digest("long", "sha256"))
    t.pull(
        "r1",
        "b",
        206,
        t.symbols.blob("b")[10:20],
        first=10,
        last=19,
        headers={"Content-Range": "bytes 10-19/100"},
    )
    t.pull("r1", "b", 206, t.symbols.blob("b")[90:], last=10, headers={"Content-Range": "bytes 90-99/100"})
    t.pull("r1", "b", 200, first=10, last=19)  # ranges may be ignored
    t.fetch("r1", tag="t", shows="m")
    t.fetch("r1", "m", method="HEAD")
    size = str(len(t.symbols.manifest("m")))
    t.fetch("r1", tag="t", shows="m", method="HEAD", headers={"Content-Length": size})
    t.fetch("r1", tag="t", body=b"{}", accept="text/plain")  # by tag it may be converted
    assert not t.findings()


def test_a_digest_header_of_another_algorithm_is_legal() -> None:
    t = pushed()
    t.fetch("r1", "m", headers={"Docker-Content-Digest": t.symbols.manifest_digest("m", "sha512")})
    assert not t.findings()


def test_a_cut_client_sees_whatever_it_likes() -> None:
    t = pushed()
    t.step(
        "blob.get",
        "GET",
        "/",
        200,
        error="cut",
        cut="reset",
        repo="r1",
        blob="b",
        digest=t.symbols.blob_digest("b"),
    )
    assert not t.findings()


def test_a_registry_that_answers_from_memory() -> None:
    """The descriptor cache of Distribution: HEAD says 200 long after the collector removed the blob."""
    t = tale()
    t.push("r1", "b")
    t.collect()
    t.head("r1", "b", 200)
    t.pull("r1", "b", 404)
    t.restart()
    t.head("r1", "b", 404)
    t.pull("r1", "b", 404)
    assert t.checks() == {"P1 content.head"}


def test_a_head_that_a_get_contradicts_proves_nothing() -> None:
    t = tale()
    t.push("r1", "b")
    t.collect()
    t.head("r1", "b", 200)
    t.pull("r1", "b", body=b"")
    t.restart()
    t.head("r1", "b", 404)
    assert t.checks() == {"P1 content.empty"}


def test_a_head_is_proof_enough_where_nothing_speaks_against_it() -> None:
    t = tale()
    t.push("r1", "b", None, error="reset", cut="reset")
    t.head("r1", "b", 200)
    t.crash()
    t.pull("r1", "b", 404)
    assert t.checks() == {"P3 durability.lost"}


def test_the_same_bytes_under_two_names() -> None:
    blobs = {"zero": BlobSpec(0), "zeros": BlobSpec(0, "sha512")}
    t = Tale(blobs, MANIFESTS)
    t.push("r1", "zero")
    t.push("r1", "zeros")
    t.head("r1", "zeros", headers={"Docker-Content-Digest": t.symbols.blob_digest("zero")})
    t.drop("r1", "zeros")
    t.pull("r1", "zero", 404)
    assert not t.findings()
