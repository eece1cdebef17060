"""Requests of the protocol table, and what they may have done."""

from __future__ import annotations

from tests.unit.checkers.image import pushed


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
