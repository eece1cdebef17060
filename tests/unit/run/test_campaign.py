"""The whole road in one process: drawn, run, judged, shrunk, saved and replayed, against a liar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkers.finding import Finding
from harness.history import Abilities, Promises
from harness.machines import StopDrawing
from harness.plan.codec import load
from harness.plan.content import BlobSpec
from harness.plan.operation import Operation
from harness.plan.plan import Plan
from harness.report.findings_json import Known
from harness.run.campaign import Campaign, seed_of
from harness.run.journal import read
from harness.run.keep import Keeper
from harness.run.options import Options
from harness.run.replay import replay
from harness.run.trial import Trial
from harness.shrink import Shrunk
from harness.wire import Client
from tests.unit.run.registry import MemoryTarget


@pytest.fixture
def target() -> Iterator[MemoryTarget]:
    made = MemoryTarget()
    yield made
    made.close()


def campaign(target: MemoryTarget, out: Path, seed: int = 1) -> Campaign:
    options = Options(profile="quick", seed=seed, out=out)
    abilities = Abilities(frozenset({"push", "chunked", "oci", "index", "upload-status"}), frozenset())
    trial = Trial(target, options, Promises(collection="none"), abilities, {}, lambda _: Client(target.url))
    return Campaign(trial, options, Keeper(out), Known())


def test_a_registry_that_loses_a_byte_is_found_out(target: MemoryTarget, tmp_path: Path) -> None:
    target.server.short_bytes = 1
    run = campaign(target, tmp_path)
    names = [f"b{number}" for number in range(5)]
    pushes = [Operation(f"push{n}", 1, "blob.push", {"repo": "r", "blob": n}) for n in names]
    pulls = [Operation(f"pull{n}", 2, "blob.pull", {"repo": "r", "blob": n}, (f"push{n}",)) for n in names]
    run.try_plan(Plan((*pushes, *pulls), {name: BlobSpec(300) for name in names}))
    found = [one for one in run.found.values() if one.finding.property == "P1"]
    assert {one.finding.check for one in found} == {"content.mismatch", "content.length_header"}
    one = found[0]
    assert len(one.plan) <= 2
    assert one.executions <= 10
    assert one.rate[0] == one.rate[1] > 0
    scenario = load(Path(one.scenario).read_text(), one.scenario)
    assert replay(run.trial, scenario).expected
    assert read(Path(one.history)).plan == one.plan
    assert (tmp_path / "transcripts" / f"{one.id}.sh").exists()
    assert run.result().exit_code == 1


def test_what_never_showed_again_is_shrunk_anew_from_another_plan(
    target: MemoryTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.server.short_bytes = 1
    run = campaign(target, tmp_path)

    def plan(more: int) -> Plan:
        push = Operation("push", 1, "blob.push", {"repo": "r", "blob": "b"})
        pulls = [
            Operation(f"pull{n}", 1, "blob.pull", {"repo": "r", "blob": "b"}, ("push",)) for n in range(more)
        ]
        return Plan((push, *pulls), {"b": BlobSpec(300)})

    def by_luck(whole: Plan, finding: Finding, *_: object, **__: object) -> Shrunk:
        return Shrunk(whole, finding, 1, (0, 10), (), False)

    with monkeypatch.context() as patched:
        patched.setattr("harness.run.campaign.shrink", by_luck)
        run.try_plan(plan(2))
    assert {one.rate for one in run.found.values()} == {(0, 10)}
    checks = {one.finding.check for one in run.found.values()}
    run.try_plan(plan(3))
    assert {one.finding.check for one in run.found.values()} == checks
    assert {(one.rate, one.count) for one in run.found.values() if one.finding.red} == {((5, 5), 2)}
    assert len(run.found) == len(checks)


def test_a_run_in_which_nothing_was_tried_is_not_green(target: MemoryTarget, tmp_path: Path) -> None:
    assert campaign(target, tmp_path).result().exit_code == 1


def test_a_registry_that_stops_answering_ends_the_campaign(target: MemoryTarget, tmp_path: Path) -> None:
    run = campaign(target, tmp_path)
    plan = Plan((Operation("push", 1, "blob.push", {"repo": "r", "blob": "b"}),))
    run.try_plan(plan)
    target.close()

    def try_on() -> None:
        for size_bytes in range(1, 20):
            run.try_plan(Plan(plan.operations, {"b": BlobSpec(size_bytes)}))

    with pytest.raises(StopDrawing):
        try_on()
    result = run.result()
    assert result.exit_code == 1
    assert not any(one.status == "held" for one in result.properties)
    assert result.not_tried[0][0] == "everything after that"


def test_batches_have_seeds_of_their_own() -> None:
    seeds = {seed_of(s, f, b) for s in range(3) for f in ("P1", "P2") for b in range(3)}
    assert len(seeds) == 18
