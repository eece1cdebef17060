"""The kill matrix tells what the hunts came to, and shows when a check is taken out of the harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference_impl.defects import DEFECTS
from tests.quality.defects.hunts import Caught, Outcome, look_for, told_apart
from tests.quality.defects.matrix import hunts, keep, read
from tests.quality.defects.pages import html, markdown, row

NAME, CHECKS = "patch-out-of-order", ("uploads.order", "uploads.last_order")
ALONE, ONLY = "commit-without-location", "protocol.row-31.location"
"""A defect that shows in one way, and surely."""
CAUGHT = Caught("P6-order-1", "P6", CHECKS[0], "x", ("upload.start", "upload.patch"), (9, 10), 3, 0.5)
FOUND, MISSED = Outcome((NAME,), 0, (CAUGHT,), 3, 2.0), Outcome((NAME,), 1, (), 900, 40.0)
ELSEWHERE = Caught("P1-x-1", "P1", "content.x", "x", ("upload.start",), (1, 10), 3, 0.5)


def test_a_row_counts_what_was_found_and_what_was_not() -> None:
    made = row(DEFECTS[NAME], [FOUND, MISSED])
    assert (made.found, made.hunts) == (1, 2)
    assert (made.plans, made.seconds, made.operations, made.replays) == (3, 0.5, 2, 0.9)
    assert made.properties == ("P6",)
    for page in (markdown([made], 60), html([made], 60)):
        assert NAME in page
        assert "1 of 2" in page
        assert "0 of 1 defects were found with every seed; 1 of 2 hunts found theirs" in page
    assert f"* `{NAME}`: once, none of the 900 plans of a hunt showed it" in markdown([made], 60)
    assert "missed" not in markdown([row(DEFECTS[NAME], [FOUND])], 60)


def test_a_hunt_that_breaks_off_is_told_and_ends_no_other() -> None:
    broken, found = sorted(hunts([("no-such-defect", 0), (ALONE, 1)], jobs=2), key=lambda one: one.seed)
    assert "no-such-defect" in broken.error
    assert not found.error
    assert row(DEFECTS[NAME], [FOUND, broken]).cells[5] == "1 of 2, 1 broken"


def test_what_is_written_down_is_gone_on_with(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], 0.0)
    keep(tmp_path, [FOUND, MISSED], 60.0)
    assert read(tmp_path) == ([FOUND, MISSED], 60.0)


def test_a_defect_is_not_found_by_what_it_does_not_explain() -> None:
    assert Outcome((NAME,), 0, (ELSEWHERE,), 3, 2.0).of(DEFECTS[NAME]) is None
    assert row(DEFECTS[NAME], [Outcome((NAME,), 0, (ELSEWHERE,), 3, 2.0)]).found == 0


@pytest.mark.parametrize(
    ("properties", "enough"),
    [(["P6"], False), (["P7"], False), (["P7", "P6"], True), (["P6", "P6"], False)],
)
def test_several_defects_need_a_finding_each(properties: list[str], enough: bool) -> None:
    assert told_apart([DEFECTS[NAME], DEFECTS["list-unsorted"]], properties) is enough


def test_checks_that_are_taken_out_find_nothing() -> None:
    caught = look_for((ALONE,)).of(DEFECTS[ALONE])
    assert caught is not None
    assert caught.check == ONLY
    without = look_for((ALONE,), budget_s=4, without=(ONLY,))
    assert without.plans
    assert not without.caught
