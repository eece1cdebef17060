"""P5: what was deleted, and what was not."""

from __future__ import annotations

import pytest

from tests.unit.checkers.image import pushed, tale


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
