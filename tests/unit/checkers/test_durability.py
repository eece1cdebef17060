"""P3: content that was lost, or was refused and is there."""

from __future__ import annotations

import pytest

from tests.unit.checkers.image import pushed, tale


def test_acknowledged_content_that_is_missing_is_lost() -> None:
    t = pushed()
    t.pull("r1", "b", 404, op="pull")
    (finding,) = t.findings()
    assert (finding.property, finding.check, finding.level, finding.clause) == (
        "P3",
        "durability.lost",
        "must",
        "row 19",
    )
    assert finding.witness == ("upload.single0", "pull")
    assert finding.subject == "blob r1/b"


def test_a_push_that_nobody_knows_of_may_be_missing() -> None:
    t = tale()
    t.push("r1", "b", None, error="reset", cut="reset")
    t.pull("r1", "b", 404)
    t.pull("r1", "b", 200)  # it took effect late
    assert not t.findings()


def test_once_seen_it_must_stay() -> None:
    t = tale()
    t.push("r1", "b", None, error="reset", cut="reset")
    t.pull("r1", "b", 200)
    t.pull("r1", "b", 404)
    assert t.checks() == {"P3 durability.lost"}


def test_a_concurrent_read_may_come_first() -> None:
    t = tale()
    t.push("r1", "b", at=(0, 100))
    t.pull("r1", "b", 404, at=(10, 99))
    t.pull("r1", "b", 404, at=(50, 150))
    assert not t.findings()


@pytest.mark.parametrize("durable", [True, False])
def test_a_crash_loses_only_what_is_not_promised(durable: bool) -> None:
    t = pushed(durable=durable)
    t.crash()
    t.pull("r1", "b", 404, op="closing.read")
    found = t.findings()
    assert [(f.property, f.check, f.clause) for f in found] == (
        [("P3", "durability.lost", "promise: durable")] if durable else []
    )
    if found:
        assert found[0].witness == ("upload.single0", "kill", "closing.read")


def test_an_error_after_a_crash_is_a_broken_promise_and_not_told_twice() -> None:
    t = pushed()
    t.crash()
    t.pull("r1", "b", 500)
    t.head("r1", "b", 500)
    assert [f.check for f in t.findings()] == ["durability.broken"]


def test_what_was_refused_leaves_no_trace() -> None:
    t = tale()
    t.push("r1", "b", 400, declare="b2")
    t.pull("r1", "b", 404)
    t.pull("r1", "b2", 404)
    assert not t.findings()
    t.pull("r1", "b2", 200)
    assert t.checks() == {"P3 durability.trace"}


def test_a_refused_manifest_leaves_no_trace() -> None:
    t = tale()
    t.put("r1", "m", "t", 404)
    t.fetch("r1", "m", 200)
    t.fetch("r1", tag="t", shows="m")
    assert t.checks() == {"P3 durability.trace"}


def test_a_mount_is_a_promise_like_any_other() -> None:
    t = tale()
    t.push("r1", "b")
    t.mount("r2", "b", "r1")
    t.drop("r1", "b")
    t.pull("r2", "b", 404)
    (finding,) = t.findings()
    assert finding.check == "deletion.too_much"
    assert finding.witness[1] == "blob.delete2"


def test_a_mount_that_was_not_made_promises_nothing() -> None:
    t = tale()
    t.push("r1", "b")
    t.mount("r2", "b", "r1", 202)
    t.pull("r2", "b", 404)
    assert not t.findings()


@pytest.mark.parametrize(
    ("first", "blamed"), [("power", "P3 durability.lost"), ("gc", "P2 closure.collected")]
)
def test_of_a_power_cut_and_a_collection_the_first_is_blamed(first: str, blamed: str) -> None:
    t = pushed(durable=True)
    if first == "gc":
        t.collect()
    t.control("power", "cut")
    t.control("killed", "cut")
    t.started()
    if first == "power":
        t.collect()
    t.pull("r1", "b", 404)
    assert t.checks() == {blamed}
