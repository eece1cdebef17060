"""P2: what collections keep and remove, and what follows from a hazard."""

from __future__ import annotations

import pytest

from harness.history import FOREVER_NS, Promises
from tests.unit.checkers.image import pushed, tale
from tests.unit.checkers.tell import ALL, Tale


def test_a_collection_keeps_what_a_manifest_names() -> None:
    t = pushed()
    t.collect(op="gc")
    t.pull("r1", "b", 200)
    assert not t.findings()
    t = pushed()
    t.collect(op="gc")
    t.pull("r1", "b", 404, op="pull")
    (finding,) = t.findings()
    assert (finding.property, finding.check, finding.level) == ("P2", "closure.collected", "promise")
    assert finding.witness == ("upload.single0", "manifest.put1", "gc", "pull")


def test_a_collection_removes_what_nothing_names() -> None:
    t = tale()
    t.push("r1", "b")
    t.collect()
    t.pull("r1", "b", 404)
    assert not t.findings()


def test_what_a_deleted_manifest_named_may_go() -> None:
    t = pushed()
    t.erase("r1", "m")
    t.collect()
    t.pull("r1", "b", 404)
    assert not t.findings()


def test_another_repository_does_not_keep_a_blob_here() -> None:
    t = tale()
    t.push("r1", "b")
    t.push("r2", "b")
    t.put("r2", "m", "t")
    t.collect()
    t.pull("r1", "b", 404)
    t.pull("r2", "b", 200)
    assert not t.findings()


def beside(promise: str, *, checks: bool = False) -> Tale:
    """The classic: the collector marks, the manifest arrives, the collector sweeps."""
    t = tale(collection=promise)
    if checks:
        t.supports = ALL | {"missing-blobs-refused"}
    t.push("r1", "b")
    t.control("collect.start", "gc", untagged=False, online=True)
    t.put("r1", "m", "t")
    t.control("collect.end", "gc", code=0, removed=1)
    t.pull("r1", "b", 404)
    return t


@pytest.mark.parametrize(("promise", "level"), [("offline", "hazard"), ("online", "promise")])
def test_a_collector_beside_a_push_is_a_hazard_or_a_failure(promise: str, level: str) -> None:
    (finding,) = beside(promise, checks=True).findings()
    assert (finding.check, finding.level) == ("closure.collected", level)


def test_who_checks_no_blobs_may_accept_what_was_just_collected() -> None:
    assert not beside("offline").findings()
    assert beside("online").checks() == {"P2 closure.collected"}


def test_a_manifest_accepted_although_its_blob_was_collected_before() -> None:
    t = tale()
    t.supports = ALL | {"missing-blobs-refused"}
    t.push("r1", "b")
    t.collect()
    t.put("r1", "m", "t")
    t.pull("r1", "b", 404)
    assert t.checks() == {"P2 closure.incomplete"}
    t.supports = ALL
    assert not t.findings()


def test_untagged_manifests_stay_unless_asked_for() -> None:
    for untagged in (False, True):
        t = tale()
        t.push("r1", "b")
        t.put("r1", "m")
        t.collect(untagged=untagged)
        t.fetch("r1", "m", 404)
        t.pull("r1", "b", 404)
        assert bool(t.findings()) == (not untagged)


@pytest.mark.parametrize("tag", ["t", None])
def test_children_of_a_tagged_index_stay(tag: str | None) -> None:
    t = tale()
    t.push("r1", "b")
    t.put("r1", "m")
    t.put("r1", "index", tag)
    t.collect(untagged=True)
    t.fetch("r1", "m", 404)
    t.pull("r1", "b", 404)
    assert t.checks() == ({"P2 closure.collected"} if tag else set())
    assert len(t.findings()) == (2 if tag else 0)


def test_a_manifest_that_is_read_after_a_collection_was_there_all_the_while() -> None:
    t = tale()
    t.push("r1", "b")
    t.put("r1", "m")
    t.collect(untagged=True)
    t.pull("r1", "b", 404)
    assert not t.findings()
    t.fetch("r1", "m", 200)
    assert "P2 closure.collected" in t.checks()


def test_a_manifest_that_came_again_after_a_collection_says_nothing_of_before() -> None:
    t = tale()
    t.push("r1", "b")
    t.put("r1", "m")
    t.collect(untagged=True)
    t.pull("r1", "b", 404)
    t.put("r1", "m")
    t.fetch("r1", "m", 200)
    assert not t.findings()


def test_a_tag_that_may_have_moved_away_keeps_nothing() -> None:
    t = pushed()
    t.put("r1", "m2", "t", None, error="reset", cut="reset")
    t.collect(untagged=True)
    t.fetch("r1", "m", 404)
    assert not t.findings()


def test_an_untagged_referrer_of_a_live_subject_should_stay() -> None:
    t = pushed()
    t.push("r1", "s")
    t.put("r1", "sig")
    t.collect(untagged=True)
    t.fetch("r1", "sig", 404)
    assert t.all_checks() == {("should", "closure.referrer_collected")}


def test_a_loss_is_told_once() -> None:
    t = pushed()
    t.collect()
    for _ in range(4):
        t.pull("r1", "b", 404)
    assert len(t.findings()) == 1


def test_a_registry_that_collects_by_itself_may_remove_garbage_at_any_time() -> None:
    for controls, lost in ((frozenset({"collect"}), True), (frozenset(), False)):
        t = tale(collection="online")
        t.controls_of = controls
        t.push("r1", "b")
        t.pull("r1", "b", 404)
        assert bool(t.findings()) == lost


def test_never_answered_is_for_ever() -> None:
    t = tale()
    t.push("r1", "b", None, at=(0, FOREVER_NS))
    t.collect()
    t.pull("r1", "b", 200)
    assert not t.findings()


def test_promises_default_to_what_the_history_says() -> None:
    assert Tale(promises=Promises()).history().promises == Promises()


def hazardous() -> Tale:
    t = pushed()
    t.collect(online=True, op="gc")
    return t


def test_what_a_hazard_took_away_is_a_hazard() -> None:
    for status, body in ((404, None), (200, b""), (500, None)):
        t = hazardous()
        t.pull("r1", "b", status, body)
        assert {f.level for f in t.findings()} == {"hazard"}, status


def test_a_ghost_tag_after_a_hazard_is_told_as_the_loss() -> None:
    t = hazardous()
    t.fetch("r1", tag="t", status=404)
    t.tags("r1", ["t"])
    assert {(f.level, f.check) for f in t.findings()} == {("hazard", "closure.tag_collected")}


def test_a_collection_that_fails_after_a_hazard_is_one() -> None:
    t = hazardous()
    t.collect(code=1, op="gc2")
    assert {(f.level, f.check) for f in t.findings()} == {("hazard", "collection.failed")}


def test_other_bytes_are_never_a_mere_hazard() -> None:
    t = hazardous()
    t.pull("r1", "b", body=b"other bytes")
    assert t.all_checks() == {("must", "content.mismatch")}
