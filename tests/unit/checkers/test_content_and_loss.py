"""P1, P2, P3, P5, P8, P9: content that is wrong, lost, back, leaked, or cannot be healed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.history import FOREVER_NS, Promises
from harness.plan.content import BlobSpec, ManifestSpec
from tests.unit.checkers.tell import ALL, Tale

MANIFESTS = {
    "m": ManifestSpec(layers=("b",)),
    "m2": ManifestSpec(layers=("b2",)),
    "index": ManifestSpec(kind="index", children=("m",)),
    "sig": ManifestSpec(kind="artifact", layers=("s",), subject="m", type="application/x"),
    "big": ManifestSpec(layers=("b",), alg="sha512"),
}
BLOBS = {"b": BlobSpec(100), "b2": BlobSpec(200), "tiny": BlobSpec(1), "long": BlobSpec(64, "sha512")}


def tale(**promises: object) -> Tale:
    return Tale(BLOBS, MANIFESTS).promising(**promises)


def pushed(**promises: object) -> Tale:
    """A tagged image with its blob, in r1."""
    t = tale(**promises)
    t.push("r1", "b")
    t.put("r1", "m", "t")
    return t


# --- P1 ---------------------------------------------------------------------------------------------------


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


# --- P3 ---------------------------------------------------------------------------------------------------


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


# --- P5 ---------------------------------------------------------------------------------------------------


def test_deleted_content_stays_gone() -> None:
    t = pushed()
    t.drop("r1", "b")
    t.pull("r1", "b", 404)
    assert not t.findings()
    t.head("r1", "b", 200, op="head")
    (finding,) = t.findings()
    assert (finding.check, finding.level, finding.clause) == ("deletion.back", "must", "row 88")
    assert finding.witness[-1] == "head"


def test_pushed_again_it_may_be_back() -> None:
    t = pushed()
    t.drop("r1", "b")
    t.push("r1", "b", None, error="timeout", cut="half")
    t.pull("r1", "b", 200)
    assert not t.findings()


def test_a_push_beside_a_deletion_may_win_or_lose() -> None:
    for status in (200, 404):
        t = tale()
        t.push("r1", "b", at=(0, 50))
        t.drop("r1", "b", at=(40, 60))
        t.pull("r1", "b", status, at=(70, 80))
        assert not t.findings()


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_refused_deletion_removes_nothing(status: int) -> None:
    t = pushed()
    t.drop("r1", "b", status) if status != 404 else t.drop("r2", "b", 404)
    t.pull("r1", "b", 200)
    assert not t.findings()
    t.pull("r1", "b", 404)
    assert t.checks() == {"P3 durability.lost"}


def test_a_deletion_of_which_nobody_knows_is_both() -> None:
    t = pushed()
    t.drop("r1", "b", None, error="reset", cut="reset")
    t.pull("r1", "b", 200)
    t.pull("r1", "b", 404)
    assert not t.findings()
    t.pull("r1", "b", 200)
    assert t.checks() == {"P5 deletion.back"}


def test_a_deletion_undone_by_a_restart() -> None:
    for durable in (True, False):
        t = pushed(durable=durable)
        t.drop("r1", "b")
        t.restart()
        t.pull("r1", "b", 200)
        assert [(f.check, f.clause) for f in t.findings()] == (
            [("deletion.back", "promise: durable")] if durable else []
        )


def test_deleting_a_tag_keeps_its_manifest() -> None:
    t = pushed()
    t.untag("r1", "t")
    t.fetch("r1", tag="t", status=404)
    t.fetch("r1", "m", 200)
    assert not t.findings()
    t = pushed()
    t.untag("r1", "t")
    t.fetch("r1", "m", 404)
    assert t.checks() == {"P5 deletion.too_much"}


def test_deleting_by_tag_meant_the_manifest_in_the_first_version() -> None:
    t = pushed(spec="1.0")
    t.untag("r1", "t")
    t.fetch("r1", "m", 404)
    assert not t.findings()


def test_deleting_a_manifest_removes_the_tags_that_point_at_it() -> None:
    t = pushed()
    t.erase("r1", "m")
    t.fetch("r1", tag="t", status=404)
    t.fetch("r1", "m", 404)
    assert not t.findings()
    t.fetch("r1", tag="t", shows="m")
    assert t.checks() == {"P5 deletion.back", "P5 deletion.tag_back"}


def test_deleting_a_manifest_leaves_other_tags_alone() -> None:
    t = pushed()
    t.push("r1", "b2")
    t.put("r1", "m2", "other")
    t.erase("r1", "m")
    t.fetch("r1", tag="other", status=404)
    assert t.checks() == {"P5 deletion.too_much"}


def test_referrers_that_go_with_their_subject_are_no_failure() -> None:
    t = pushed()
    t.push("r1", "s")
    t.put("r1", "sig")
    t.erase("r1", "m")
    t.fetch("r1", "sig", 404)
    assert t.all_checks() == {("should", "deletion.too_much")}


# --- P8 ---------------------------------------------------------------------------------------------------


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


# --- P9 ---------------------------------------------------------------------------------------------------


def test_pushed_again_it_must_work() -> None:
    t = pushed()
    t.drop("r1", "b")
    t.pull("r1", "b", 404)
    t.push("r1", "b", op="closing.repush")
    t.pull("r1", "b", 200, op="closing.repush")
    assert not t.findings()
    for body, status in ((None, 404), (b"junk", 200), (None, 500)):
        t = pushed()
        t.drop("r1", "b")
        t.pull("r1", "b", 404)
        t.push("r1", "b", op="closing.repush")
        t.pull("r1", "b", status, body, op="closing.repush")
        (finding,) = t.findings()
        assert (finding.property, finding.check) == ("P9", "healing.repush")
        assert finding.witness[-1] == "closing.repush"


def test_a_first_push_cannot_be_a_healing_one() -> None:
    t = tale()
    t.pull("r1", "b", 404)
    t.push("r1", "b")
    t.pull("r1", "b", 404)
    assert t.checks() == {"P3 durability.lost"}


def test_a_push_again_that_gets_an_error() -> None:
    t = pushed()
    t.drop("r1", "b")
    t.pull("r1", "b", 404)
    t.push("r1", "b", 500)
    assert t.checks() == {"P9 healing.refused"}


# --- P2 ---------------------------------------------------------------------------------------------------


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


# --- what only a HEAD ever said ---------------------------------------------------------------------------


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


# --- requests of the protocol table -----------------------------------------------------------------------


def test_a_request_of_the_table_may_have_done_anything_to_what_it_names() -> None:
    t = pushed()
    t.step("request", "DELETE", "/", 202, repo="r1", manifest="m", tag="t", case="some.case")
    t.fetch("r1", tag="t", status=404)
    t.fetch("r1", "m", 404)
    t.tags("r1", ["made-by-the-case"])
    assert not t.findings()


def test_a_refused_request_of_the_table_did_nothing() -> None:
    t = pushed()
    t.step("request", "DELETE", "/", 400, repo="r1", manifest="m", tag="t", case="some.case")
    t.fetch("r1", "m", 404)
    assert t.checks() == {"P3 durability.lost"}


# --- what follows from a hazard is one ----------------------------------------------------------------------


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
