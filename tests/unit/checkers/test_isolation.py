"""P8: content of another repository."""

from __future__ import annotations

from tests.unit.checkers.image import pushed, tale


def test_content_of_another_repository_is_not_there() -> None:
    t = pushed()
    t.head("r2", "b", 404)
    t.fetch("r2", "m", 404)
    assert not t.findings()
    t.head("r2", "b", 200)
    t.fetch("r2", "m", 200)
    assert t.checks() == {"P8 isolation.content"}
    assert len(t.findings()) == 2


def test_common_bytes_belong_to_nobody() -> None:
    t = tale()
    t.push("r1", "tiny")
    t.pull("r2", "tiny", 200)
    assert not t.findings()


def test_content_that_is_there_before_it_was_pushed() -> None:
    t = tale()
    t.push("r1", "b")
    t.head("r2", "b", 200)
    t.push("r2", "b")
    t.head("r2", "b", 200)
    assert t.checks() == {"P8 isolation.content"}


def test_another_algorithm_is_the_same_content() -> None:
    t = tale()
    t.push("r1", "long")
    t.pull("r1", "long", 200, digest=t.symbols.blob_digest("long", "sha256"))
    t.pull("r1", "long", 404, digest=t.symbols.blob_digest("long", "sha256"))
    found = t.checks()
    assert found == {"P3 durability.lost"}  # it was seen there, so it must stay
    t = tale()
    t.push("r1", "long")
    t.pull("r1", "long", 404, digest=t.symbols.blob_digest("long", "sha256"))
    assert not t.findings()


def test_a_manifest_with_a_sha512_digest_may_be_unknown_under_sha256() -> None:
    t = tale()
    t.push("r1", "b")
    t.put("r1", "big")
    t.fetch("r1", "big", 404, digest=t.symbols.manifest_digest("big", "sha256"))
    t.fetch("r1", "big", 200)
    assert not t.findings()
