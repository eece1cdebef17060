"""The drawing of lanes: what a stranger sees first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.history import Control
from harness.plan.operation import Call, Cut, Hold, Operation, Place, Strike
from harness.plan.plan import Plan
from harness.report.lanes import draw
from tests.unit.report.samples import PLAIN, RACE, race_history

PLANNED = """\
           client 1                                  collector
  push     ■ push layer to a/b, 4097 B chunked       ┆
  collect  ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►┏ collect garbage
           ┆                                         ‖ held at “blobs marked” until put ends
  put      ■ put a/b:t = image (image of layer) ◄╌╌╌╌┤
           ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►┗ goes on
  pull     ■ pull a/b:t ◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤"""


def picture(text: str) -> str:
    """The drawing without its legend and its padding."""
    return text.split("\n\n")[0]


def test_the_designs_example_reads_as_a_sequence() -> None:
    assert picture(draw(RACE)) == PLANNED
    assert draw(RACE).splitlines()[2].index("►┏") == draw(RACE).splitlines()[0].index("collector") - 1


def test_a_history_gives_the_order_and_the_answers() -> None:
    text = draw(RACE, history=race_history(), witness=("put", "collect", "pull", "closing.read"))
    flat = " ".join(text.replace("┆", " ").split())
    assert "→ ✓ 201" in flat
    assert "goes on → ✓ exit 0, 1 removed" in flat
    assert "→ ✗ 404 BLOB_UNKNOWN (layer)" in flat
    assert "● closing.read" in flat
    assert "GET blob layer in a/b → ✗ 404" in flat
    marked = [line.split()[1] for line in picture(text).splitlines() if line.startswith("●")]
    assert marked == ["collect", "put", "pull", "closing.read"]


def test_the_closing_part_is_named_only_where_it_proves_something() -> None:
    text = draw(RACE, history=race_history())
    assert "closing.read" not in text
    assert "● closing.read  ── at the end everything is read back" in draw(RACE, witness=("closing.read",))
    (line,) = [line for line in text.splitlines() if "everything is read back" in line]
    assert line.strip().startswith("── at the end")


def test_a_cut_that_ends_an_operation_is_its_last_row() -> None:
    cut = Cut(Place("patch", 1, "body", 9))
    plan = Plan((Operation("a", 1, "blob.push", {"repo": "r", "blob": "x"}, cut=cut),))
    assert [line.strip()[0] for line in picture(draw(plan)).splitlines()[1:]] == ["a", "✂"]


def test_the_legend_explains_only_what_is_drawn() -> None:
    legend = draw(PLAIN).split("\n\n")[1]
    assert "■" in legend
    assert "‖" not in legend
    assert "●" not in legend


def crowd(clients: int) -> Plan:
    return Plan(
        tuple(
            Operation(
                f"operation{i}",
                1 + i % clients,
                "blob.push",
                {"repo": "some/long/repository/name", "blob": f"blob{i}"},
                (f"operation{i - 1}",) if i % 3 == 2 else (),
            )
            for i in range(2 * clients)
        )
    )


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_never_grows_wider_than_asked(clients: int, width: int) -> None:
    plan = crowd(clients)
    text = draw(plan, width=width)
    assert max(map(len, text.splitlines())) <= width
    for op in plan:
        assert op["blob"] in text.replace("\n", " ")


def test_what_nothing_orders_overlaps_and_what_waits_does_not() -> None:
    push = Operation("a", 1, "blob.push", {"repo": "r", "blob": "x"})
    other = Operation("b", 2, "blob.push", {"repo": "r", "blob": "y"})
    assert "┃" in draw(Plan((push, other)))
    assert "┃" not in draw(Plan((push, replace(other, after=("a",)))))


def test_faults_are_said() -> None:
    plan = Plan(
        (
            Operation(
                "a",
                1,
                "blob.push",
                {"repo": "r", "blob": "x"},
                cut=Cut(Place("patch", 1, "body", 4097), "reset"),
            ),
            Operation(
                "b",
                2,
                "blob.push",
                {"repo": "r", "blob": "y"},
                hold=Hold("k", place=Place("put", 1, "body", 7)),
            ),
            Operation("k", "operator", "kill", {}, ("b.held",)),
            Operation("r", "operator", "restart"),
            Operation("q", "operator", "quiet"),
        )
    )
    text = draw(plan)
    assert "✂ client vanishes at byte 4097 of PATCH (RST)" in text
    assert "held at byte 7 of PUT until k ends" in text
    assert "━━ kill: SIGKILL to the registry, while b is held ━" in text
    assert "── quiet: everything is read back ─" in text
    order = [text.index(word) for word in ("held at byte 7", "━━ kill", "goes on", "restart", "quiet:")]
    assert order == sorted(order)


STRIKE = Strike(Call("create", nth=5), "enospc")


def test_a_strike_is_the_last_row_of_its_operation_and_part_of_a_collection_by_itself() -> None:
    push = Operation("a", 1, "blob.push", {"repo": "r", "blob": "x"}, strike=STRIKE)
    plan = Plan((push, Operation("c", "collector", "collect", strike=STRIKE)))
    text = picture(draw(plan))
    words = "no space left (ENOSPC) at system call create no. 5"
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["a", "↯", "c"]
    assert f"↯ {words}" in text
    assert f"── collect garbage; {words} ──" in text


def test_a_strike_that_never_came_up_is_not_drawn() -> None:
    plan = Plan((Operation("a", 1, "blob.push", {"repo": "r", "blob": "x"}, strike=STRIKE),))
    began = (Control("op.start", 1, "a", 1), Control("op.end", 3, "a", 1, {"ok": True}))
    struck = Control("fault.delivered", 2, "a", 1, {"fault": "enospc"})
    history = replace(race_history(), plan=plan, exchanges=(), controls=began)
    assert "↯" not in draw(plan, history=history)
    assert "↯ no space left" in draw(plan, history=replace(history, controls=(*began, struck)))


def test_what_never_began_is_said() -> None:
    history = race_history()
    cut_off = replace(history, controls=history.controls[:4], complete=False)
    assert "never begun: put, pull" in draw(RACE, history=cut_off)


def test_an_empty_plan_draws_nothing() -> None:
    assert draw(Plan(())) == ""
