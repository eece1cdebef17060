"""P9: content that was pushed again."""

from __future__ import annotations

from tests.unit.checkers.image import pushed, tale


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
