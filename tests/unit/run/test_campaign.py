"""The whole road in one process: drawn, run, judged, shrunk, saved and replayed, against a liar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
