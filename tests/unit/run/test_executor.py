"""The executor keeps the order that a plan asks for, delivers its faults, and always writes a history."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.history import Abilities, History
from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.operation import Cut, Hold, Operation, Place
from harness.plan.plan import Plan
from harness.run.executor import Executor, Limits
from harness.run.journal import JournalError, read
from harness.wire import Client
from tests.unit.run.registry import MemoryTarget

SALTS = itertools.count()


@pytest.fixture(scope="module")
def target() -> Iterator[MemoryTarget]:
    made = MemoryTarget()
    yield made
    made.close()


def run(target: MemoryTarget, *ops: Operation, path: Path | None = None, **limits: float) -> History:
    plan = Plan(ops, {"b": BlobSpec(5000), "c": BlobSpec(100)}, {"m": ManifestSpec(layers=("c",))}).check()
    executor = Executor(
        target,
        Abilities(controls=target.controls),
        lambda _: Client(target.url),
        namespace="t",
        limits=Limits(**limits),
    )
    return executor.run(plan, f"salt{next(SALTS)}", path=path)


def op(id_: str, lane: int | str, do: str, **more: Any) -> Operation:
    fields = {name: more.pop(name) for name in ("after", "hold", "cut") if name in more}
    args = more if do in ("collect", "quiet") else {"repo": "r", **more}
    return Operation(id_, lane, do, args, **fields)


def times(history: History, op_id: str) -> tuple[int, int]:
    found = {c.what: c.at_ns for c in history.controls if c.op == op_id}
    return found["op.start"], found["op.end"]


def test_operations_of_one_lane_run_one_after_the_other(target: MemoryTarget) -> None:
    history = run(target, op("p", 1, "blob.push", blob="c"), op("g", 1, "blob.pull", blob="c"))
    assert times(history, "p")[1] <= times(history, "g")[0]
    assert history.by_op["g"][0].status == 200


def test_an_edge_orders_lanes(target: MemoryTarget) -> None:
    history = run(target, op("p", 1, "blob.push", blob="b"), op("g", 2, "blob.pull", blob="b", after=("p",)))
    assert times(history, "p")[1] <= times(history, "g")[0]


def test_a_hold_lets_another_lane_in(target: MemoryTarget) -> None:
    history = run(
        target,
        op("p", 1, "blob.push", blob="b", hold=Hold("g", Place("put", 1, "body", 2500))),
        op("g", 2, "blob.head", blob="b", after=("p.held",)),
    )
    held, let_go = (
        next(c.at_ns for c in history.controls if c.what == w) for w in ("op.held", "op.released")
    )
    begin, end = times(history, "g")
    assert held <= begin <= end <= let_go
    assert history.by_op["g"][0].status == 404
    assert history.by_op["p"][-1].status == 201


def test_a_cut_is_delivered_at_its_byte(target: MemoryTarget) -> None:
    cut = Cut(Place("patch", 1, "body", 1234))
    history = run(target, op("p", 1, "blob.push", blob="b", way="chunked", cut=cut))
    patch = next(history.calls("upload.patch"))
    assert (patch.outcome, patch.cut, patch.sent_bytes) == ("info", "close", 1234)
    assert [c.data["fault"] for c in history.what("fault.delivered")] == ["cut"]


def test_a_cut_that_is_never_reached_is_said_to_be_missed(target: MemoryTarget) -> None:
    history = run(target, op("p", 1, "blob.push", blob="b", cut=Cut(Place("patch", 9, "body", 1))))
    assert [c.op for c in history.what("fault.missed")] == ["p"]


def test_a_collector_is_held_at_a_line(target: MemoryTarget) -> None:
    history = run(
        target,
        op("gc", "collector", "collect", hold=Hold("p", line="blobs marked")),
        op("p", 1, "blob.push", blob="c", after=("gc.held",)),
    )
    begin, end = times(history, "gc")
    inner = times(history, "p")
    assert begin < inner[0] < inner[1] < end


def test_a_hold_without_its_mark_ends_at_its_limit(target: MemoryTarget) -> None:
    history = run(
        target,
        op("p", 1, "blob.push", blob="b", hold=Hold("g", Place("put", 1, "body", 1))),
        op("q", 2, "blob.push", blob="b", hold=Hold("p.held", Place("put", 1, "body", 999_999))),
        op("g", 2, "blob.head", blob="b", after=("q",)),
        hold_s=0.2,
    )
    assert history.complete
    assert {e.op for e in history.exchanges} >= {"p", "q", "g"}


def test_a_quiet_point_reads_back_what_was_touched(target: MemoryTarget) -> None:
    history = run(
        target,
        op("p", 1, "blob.push", blob="c"),
        op("m", 1, "manifest.put", tag="t"),
        op("quiet", "operator", "quiet"),
    )
    calls = {(e.call, "tag" in e.about) for e in history.by_op["quiet"]}
    assert {
        ("blob.get", False),
        ("blob.head", False),
        ("manifest.get", False),
        ("manifest.get", True),
    } <= calls


def test_a_hold_where_the_collector_may_run_ahead_is_not_claimed(
    target: MemoryTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "controls", frozenset({"collect"}))
    history = run(
        target,
        op("gc", "collector", "collect", hold=Hold("p", line="blobs marked")),
        op("p", 1, "blob.push", blob="c", after=("gc.held",)),
    )
    assert not list(history.what("fault.delivered"))
    assert [control.op for control in history.what("fault.missed")] == ["gc"]


def test_each_execution_has_bytes_and_names_of_its_own(target: MemoryTarget) -> None:
    plan = Plan((op("p", 1, "blob.push", blob="c"),), {"c": BlobSpec(100)})
    executor = Executor(target, Abilities(), lambda _: Client(target.url), namespace="t")
    one, two = executor.run(plan, "one"), executor.run(plan, "two")
    assert one.symbols.blob_digest("c") != two.symbols.blob_digest("c")
    assert not {e.target for e in one.calls("blob.get")} & {e.target for e in two.calls("blob.get")}


def test_what_was_written_is_what_is_read(target: MemoryTarget, tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    history = run(target, op("p", 1, "blob.push", blob="c"), op("m", 1, "manifest.put", tag="t"), path=path)
    again = read(path)
    assert again.exchanges == history.exchanges
    assert again.controls == history.controls
    assert again.plan == history.plan
    assert again.complete


def test_a_history_that_was_cut_off_can_be_read(target: MemoryTarget, tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    run(target, op("p", 1, "blob.push", blob="c"), path=path)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    again = read(path)
    assert not again.complete
    assert again.exchanges


def test_a_file_that_is_no_history_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text('{"kind": "invoke"}\nnonsense\n{"kind": "end"}\n')
    with pytest.raises(JournalError, match=r"^[^\n]*$"):
        read(path)
