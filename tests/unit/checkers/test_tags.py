"""P4 and what else can be wrong with a tag."""

from __future__ import annotations

import pytest

from harness.plan.content import ALL_MANIFEST_TYPES, ManifestSpec
from tests.unit.checkers.tell import Tale

MANIFESTS = {name: ManifestSpec(layers=("b",)) for name in ("old", "new", "other")}


def moved(**promises: object) -> Tale:
    """A tag that was moved from ``old`` to ``new``."""
    t = Tale(manifests=MANIFESTS).promising(**promises)
    t.push("r", "b")
    t.put("r", "old", "t", op="first")
    t.put("r", "new", "t", op="second")
    return t


def test_the_new_value_is_right() -> None:
    t = moved()
    t.fetch("r", tag="t", shows="new")
    t.fetch("r", tag="t", shows="new", method="HEAD")
    t.fetch("r", "old", 200)
    assert not t.findings()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_old_value_is_a_lost_move(method: str) -> None:
    t = moved()
    t.fetch("r", tag="t", shows="old", method=method, op="pull")
    (finding,) = t.findings()
    assert (finding.property, finding.check, finding.level) == ("P4", "tags.register", "must")
    assert finding.witness == ("first", "second", "pull")
    assert finding.subject == "tag r:t"


def test_a_missing_tag_that_nobody_removed() -> None:
    t = moved()
    t.fetch("r", tag="t", status=404)
    assert t.checks() == {"P4 tags.register"}


def test_while_it_moves_either_value_is_right_but_never_back() -> None:
    t = Tale(manifests=MANIFESTS)
    t.push("r", "b")
    t.put("r", "old", "t")
    t.put("r", "new", "t", at=(100, 200))
    t.fetch("r", tag="t", shows="new", at=(110, 120), lane=2)
    t.fetch("r", tag="t", shows="old", at=(115, 150), lane=3)
    assert not t.findings()
    t.fetch("r", tag="t", shows="old", at=(130, 150), lane=2)
    assert t.checks() == {"P4 tags.register"}


def test_a_move_of_which_nobody_knows() -> None:
    t = Tale(manifests=MANIFESTS)
    t.push("r", "b")
    t.put("r", "old", "t")
    t.put("r", "new", "t", None, error="reset", cut="reset")
    t.fetch("r", tag="t", shows="old")
    t.fetch("r", tag="t", shows="new")
    assert not t.findings()
    t.fetch("r", tag="t", shows="old")
    assert t.checks() == {"P4 tags.register"}


def test_a_refused_move_is_none() -> None:
    t = moved()
    t.put("r", "other", "t", 400)
    t.fetch("r", tag="t", shows="new")
    assert not t.findings()


@pytest.mark.parametrize(("end", "check"), [(5, "P4 tags.error"), (0, "P11 availability.error")])
def test_an_error_belongs_to_the_move_only_while_it_moves(end: int, check: str) -> None:
    t = moved()
    if end:
        t.put("r", "old", "t", at=(100, 200))
        t.fetch("r", tag="t", status=500, at=(110, 120), lane=2)
    else:
        t.fetch("r", tag="t", status=500)
    assert t.checks() == {check}


def test_a_crash_that_reverts_a_move() -> None:
    for durable in (True, False):
        t = moved(durable=durable)
        t.crash()
        t.fetch("r", tag="t", shows="old", op="closing.read")
        assert t.checks() == ({"P3 durability.tag"} if durable else set())


def test_a_crash_that_tears_a_move() -> None:
    t = moved()
    t.put("r", "old", "t", None, error="reset", at=(t.now, t.now + 40))
    t.now -= 30
    t.kill()
    t.now += 40
    t.started()
    t.fetch("r", tag="t", status=500)
    assert t.checks() == {"P3 durability.tag_broken"}


def test_a_tag_that_a_collection_removed() -> None:
    t = moved()
    t.collect(op="gc")
    t.fetch("r", tag="t", status=404)
    found = t.findings()
    assert [(f.property, f.check) for f in found] == [("P2", "closure.tag_collected")]
    assert "gc" in found[0].witness


def test_a_tag_whose_digest_is_not_found() -> None:
    t = moved()
    t.fetch("r", tag="t", shows="new")
    t.fetch("r", "new", 404)
    assert t.checks() == {"P4 tags.dangling"}


def test_a_deleted_tag_is_gone_until_it_is_put_again() -> None:
    t = moved()
    t.untag("r", "t")
    t.fetch("r", tag="t", status=404)
    assert not t.findings()
    t.fetch("r", tag="t", shows="new")
    assert t.checks() == {"P5 deletion.tag_back"}
    t = moved()
    t.untag("r", "t")
    t.put("r", "old", "t")
    t.fetch("r", tag="t", shows="old")
    assert not t.findings()


def test_a_value_of_another_repository() -> None:
    t = moved()
    t.put("q", "other", "t")
    t.fetch("r", tag="t", shows="other")
    assert "P8 isolation.tag" in t.checks()


def test_negotiation_may_hide_a_manifest() -> None:
    t = moved()
    t.fetch("r", tag="t", status=404, accept="application/vnd.oci.image.index.v1+json")
    t.fetch("r", "new", 404, accept="none")
    assert not t.findings()


def test_weights_hide_nothing_unless_they_are_zero() -> None:
    t = moved()
    t.fetch("r", tag="t", status=404, accept=";q=0.5,".join(ALL_MANIFEST_TYPES) + ";q=0")
    assert not t.findings()
    t.fetch("r", tag="t", status=404, accept=";q=0.5,".join(ALL_MANIFEST_TYPES))
    assert t.checks() == {"P4 tags.register"}


def rotten() -> Tale:
    """A tag of which the manifest was damaged, and that showed nothing then."""
    t = moved()
    digest = t.symbols.manifest_digest("new")
    t.control("fault.delivered", "flip", fault="disk.flip", digest=digest)
    t.fetch("r", tag="t", status=404)
    return t


def test_a_tag_may_show_nothing_while_its_manifest_is_damaged() -> None:
    t = rotten()
    t.put("r", "new")
    t.fetch("r", tag="t", shows="new")
    t.fetch("r", tag="t", status=404)
    t.fetch("r", tag="t", shows="new")
    assert not t.findings()


def test_a_damaged_manifest_excuses_nothing_once_the_tag_is_put_again() -> None:
    t = rotten()
    t.put("r", "new", "t")
    t.fetch("r", tag="t", status=404)
    assert t.checks() == {"P4 tags.register"}
    t = rotten()
    t.put("r", "other", "t")
    t.fetch("r", tag="t", shows="new")
    assert t.checks() == {"P4 tags.register"}


def test_many_tags_in_one_put() -> None:
    t = moved()
    t.put("r", "other", tags=["x", "y"], headers={"OCI-Tag": "x, y"})
    t.fetch("r", tag="x", shows="other")
    t.fetch("r", tag="y", status=404)
    assert t.checks() == {"P4 tags.register"}
    t = moved()
    t.put("r", "other", tags=["x", "y"], headers={"OCI-Tag": "x"})
    t.fetch("r", tag="y", status=404)
    assert not t.findings()


def test_too_many_orders_are_unknown() -> None:
    names = [f"m{i}" for i in range(14)]
    t = Tale(manifests={name: ManifestSpec(layers=("b",)) for name in names})
    t.push("r", "b")
    for lane, name in enumerate(names):
        t.put("r", name, "t", at=(100, 300), lane=lane + 1)
    t.fetch("r", tag="t", status=404, at=(200, 310), lane=20)
    t.now = 320
    for name in names[:1]:
        t.fetch("r", tag="t", shows=name, at=(201, 315), lane=21)
    from harness.checkers import judge

    report = judge(t.history())["P4"]
    assert not report.findings
    assert report.unknown
