"""Cutting plans without losing their order."""

from __future__ import annotations

import random

import pytest

from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.operation import Hold, Lane, Operation
from harness.plan.plan import Plan
from harness.shrink.order import before, carve, concurrent, named, runnable, tidy

from .registry import Draft


def op(id_: str, lane: Lane, *after: str, do: str = "tags.list", hold: Hold | None = None) -> Operation:
    args = {"repo": "r"} if do == "tags.list" else {}
    return Operation(id_, lane, do, args, after, hold)


def plan(*operations: Operation) -> Plan:
    return Plan(operations).check()


def test_lanes_barriers_edges_and_holds_make_the_order() -> None:
    found = before(
        plan(
            op("a", 1),
            op("q", "operator", do="quiet"),
            op("c", "collector", do="collect", hold=Hold("p", None, "x")),
            op("p", 2, "c.held"),
            op("g", 1, "c"),
        )
    )
    assert found["c"] == {"a", "q"}
    assert found["p"] == {"a", "q"}
    assert found["g"] == {"a", "q", "c", "p"}


def test_concurrent_pairs() -> None:
    assert list(concurrent(plan(op("a", 1), op("b", 2), op("c", 1), op("d", 2, "a")))) == [
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
    ]


def test_order_through_what_is_gone_is_written_down() -> None:
    whole = plan(op("a", 1), op("q", "operator", do="quiet"), op("b", 2), op("c", 2))
    small = carve(whole, {"a", "b", "c"})
    assert small["b"].after == ("a",)
    assert small["c"].after == ()


def test_a_retry_of_what_is_gone_goes_with_the_hold_and_the_edges_that_name_it() -> None:
    whole = plan(
        op("c", "collector", do="collect", hold=Hold("retry", None, "x")),
        op("first", 1, "c.held"),
        Operation("retry", 1, "again", {"of": "first"}),
        op("last", 2, "retry"),
    )
    small = carve(whole, {"c", "retry", "last"}).check()
    assert [one.id for one in small] == ["c", "last"]
    assert small["c"].hold is None
    assert before(small)["last"] == {"c"}


@pytest.mark.parametrize("seed", range(25))
def test_carving_keeps_the_order_of_what_is_kept(seed: int) -> None:
    rng = random.Random(seed)
    whole = Draft(rng, 25, online=bool(seed % 2)).plan()
    ids = {op.id for op in whole if rng.random() < 0.5}
    small = carve(whole, ids).check()
    assert [op.id for op in small] == [op.id for op in whole if op.id in ids]
    old, new = before(whole), before(small)
    for id_ in ids:
        assert new[id_] == old[id_] & ids


@pytest.mark.parametrize("seed", range(10))
def test_tidying_changes_no_order(seed: int) -> None:
    whole = Draft(random.Random(seed), 25).plan()
    assert before(tidy(whole)) == before(whole)
    assert sum(len(op.after) for op in tidy(whole)) < sum(len(op.after) for op in whole)


def test_definitions_that_nothing_names_go() -> None:
    push = Operation("p", 1, "blob.push", {"repo": "r", "blob": "b"})
    put = Operation("m", 1, "manifest.put", {"repo": "r"})
    whole = Plan(
        (push, put),
        {"b": BlobSpec(of="inner"), "l": BlobSpec(1), "x": BlobSpec(2), "d": BlobSpec()},
        {"m": ManifestSpec(layers=("l", "d")), "inner": ManifestSpec(), "y": ManifestSpec()},
    )
    assert [set(found) for found in named(whole)] == [{"b", "l", "d"}, {"m", "inner"}]
    assert tidy(whole).blobs.keys() == {"b", "l"}
    assert tidy(whole).manifests.keys() == {"m", "inner"}


def test_circles_cannot_run_and_do_no_harm() -> None:
    circle = Plan((op("a", 1, hold=Hold("b", None, "x")), op("b", 2, hold=Hold("a", None, "x")), op("c", 1)))
    assert not runnable(circle)
    assert set(before(tidy(circle))) == {"a", "b", "c"}


def test_nothing_cannot_run() -> None:
    assert not runnable(Plan(()))
