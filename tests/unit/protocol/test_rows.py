"""Every row of the specification is checked, or says why it is not."""

from __future__ import annotations

import re

import pytest

from harness.checkers import CHECKERS
from harness.checkers.protocol.__main__ import lines
from harness.checkers.protocol.cases import CASES
from harness.checkers.protocol.passive import ROWS_CITED
from harness.checkers.protocol.rows import RELEASED, ROWS, Row, at_most

CASE_ROWS = {case.row for case in CASES.values()}


def test_all_94_rows_are_there() -> None:
    assert sorted(ROWS) == list(range(1, 95))
    assert all(row.number == number for number, row in ROWS.items())


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: str(row.number))
def test_a_row_is_checked_as_it_says(row: Row) -> None:
    claims = {
        "passive": row.number in ROWS_CITED,
        "case": row.number in CASE_ROWS,
        "model": row.by in CHECKERS and row.by != "P12",
        "none": bool(row.why_none),
    }
    assert claims[row.how]
    assert bool(row.why_none) == (row.how == "none")
    assert bool(row.by) == (row.how == "model")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: str(row.number))
def test_a_row_can_be_read(row: Row) -> None:
    assert row.words
    assert "\n" not in row.words
    assert row.since in RELEASED
    assert row.endpoints
    assert row.url.startswith("https://")


def test_a_row_without_a_check_is_no_demand_on_a_registry() -> None:
    for row in ROWS.values():
        if row.how == "none":
            assert row.number not in ROWS_CITED
            assert row.number not in CASE_ROWS


@pytest.mark.parametrize(
    ("number", "spec", "level"),
    [
        (15, "dev", "must"),
        (15, "1.1", "should"),
        (42, "1.1", "should"),
        (44, "1.1", "must"),
        (44, "1.0", "should"),
        (69, "1.1", "must"),
        (12, "1.0", "must"),
    ],
)
def test_what_only_a_later_version_demands_is_advice(number: int, spec: str, level: str) -> None:
    assert at_most("must", ROWS[number], spec) == level
    assert at_most("note", ROWS[number], spec) == "note"


def test_the_document_has_a_line_for_each_row() -> None:
    table = [line for line in lines() if re.match(r"\| \d+ \|", line)]
    assert len(table) == 94
    assert all(line.count("|") == 7 for line in table)
    assert not [line for line in table if line.endswith("|  |")]
