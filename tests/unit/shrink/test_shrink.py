"""The shrinker on a simulated registry: what it costs, how small it gets, and what it never does."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import pytest

from harness.checkers.finding import Finding
from harness.plan.operation import Operation
from harness.plan.plan import Plan
from harness.shrink import Budget, Shrunk, SpentError, shrink
from harness.shrink.remove import without

from .registry import failing, finding, system

DETERMINISTIC = ("untagged", "chunks", "mount", "index", "pages")
SMALLEST = {"untagged": 4, "chunks": 2, "mount": 4, "index": 6, "pages": 5}
"""Operations that it takes to show a defect; a mount or an untagged child may need one or two more."""
EACH = 12


@cache
def shrunk(defect: str) -> list[tuple[Plan, Shrunk]]:
    cases = failing(defect, EACH)
    return [(plan, shrink(plan, found, system(defect))) for plan, found in cases]


class Counting:
    """A trial that counts its runs, by digest."""

    def __init__(self, trial: Callable[[Plan], Sequence[Finding]]) -> None:
        self.trial, self.runs = trial, Counter[str]()

    def __call__(self, plan: Plan) -> Sequence[Finding]:
        self.runs[plan.digest] += 1
        return self.trial(plan.check())


# --- certain findings ------------------------------------------------------------------------------------


def test_median_cost_of_fifty_operations() -> None:
    executions = [result.executions for defect in DETERMINISTIC for _, result in shrunk(defect)]
    assert len(executions) == EACH * len(DETERMINISTIC)
    assert statistics.median(executions) <= 25
    assert sorted(executions)[len(executions) * 9 // 10] <= 50


@pytest.mark.parametrize("defect", DETERMINISTIC)
def test_result_is_small(defect: str) -> None:
    sizes = [len(result.plan) for _, result in shrunk(defect)]
    assert min(sizes) >= SMALLEST[defect] - 1
    assert statistics.median(sizes) <= SMALLEST[defect] + 2
    assert max(sizes) <= SMALLEST[defect] + 4


@pytest.mark.parametrize("defect", DETERMINISTIC)
def test_result_shows_the_finding_every_time(defect: str) -> None:
    for _, result in shrunk(defect):
        assert defect in {found.check for found in system(defect)(result.plan)}
        assert result.rate == (10, 10)
        assert result.certain
        assert not result.hardened
        assert set(result.finding.witness) <= {op.id for op in result.plan}


@pytest.mark.parametrize("defect", DETERMINISTIC)
def test_no_operation_can_go_alone(defect: str) -> None:
    for _, result in shrunk(defect):
        if "stopped: the budget is used up" in result.steps:
            continue
        for op in result.plan:
            assert not system(defect)(without(result.plan, {op.id})), (op.id, result.steps)


@pytest.mark.parametrize("defect", DETERMINISTIC)
def test_what_does_not_matter_is_plain(defect: str) -> None:
    for _, result in shrunk(defect):
        if "stopped: the budget is used up" in result.steps:
            continue
        assert result.plan.closing == "read"
        assert {spec.alg for spec in result.plan.blobs.values()} <= {"sha256"}
        assert not any(spec.annotations or spec.docker for spec in result.plan.manifests.values())
        assert {lane for lane in result.plan.lanes if isinstance(lane, int)} == {1}
        assert not any(op.after for op in result.plan if isinstance(op.lane, int))
        assert "r" in {op.get("repo") for op in result.plan}


def test_sizes_stop_at_the_boundary_that_matters() -> None:
    for _, result in shrunk("chunks"):
        pushes = [op for op in result.plan if op.do == "blob.push" and "chunks" in op.args]
        assert [result.plan.blobs[op["blob"]].size_bytes for op in pushes] == [4097]
        assert [len(op["chunks"]) for op in pushes] == [2]


def test_no_candidate_runs_twice() -> None:
    for plan, found in failing("untagged", 5):
        trial = Counting(system("untagged"))
        result = shrink(plan, found, trial, budget=Budget(confirmations=0))
        assert set(trial.runs.values()) == {1}
        assert sum(trial.runs.values()) == result.executions


@pytest.mark.parametrize("executions", [0, 1, 2, 5, 9, 17])
@pytest.mark.parametrize("defect", ["mount", "pages"])
def test_budget_holds_and_the_best_so_far_comes_back(defect: str, executions: int) -> None:
    plan, found = failing(defect, 1)[0]
    trial = Counting(system(defect))
    result = shrink(plan, found, trial, budget=Budget(executions, confirmations=3))
    assert result.executions <= executions
    assert sum(trial.runs.values()) <= executions + 3
    assert system(defect)(result.plan)


@pytest.mark.parametrize("later", [0, 4, 50])
def test_when_the_time_is_up_the_best_so_far_comes_back_with_its_rate(later: int) -> None:
    """The trial refuses once to end the search; ``later`` says after how many replays it refuses again."""
    plan, found = failing("index", 1)[0]
    trial = system("index")
    runs = 0

    def until_time_is_up(candidate: Plan) -> Sequence[Finding]:
        nonlocal runs
        runs += 1
        if runs == 8 or runs > 8 + later:
            raise SpentError
        return trial(candidate)

    result = shrink(plan, found, until_time_is_up)
    assert len(result.plan) < len(plan)
    assert result.rate == {0: (1, 1), 4: (4, 4), 50: (10, 10)}[later]


def test_steps_say_what_was_done() -> None:
    _, result = shrunk("mount")[0]
    assert any(step.startswith("sliced by the witness:") for step in result.steps)
    assert all("\n" not in step for step in result.steps)


def test_other_findings_do_not_count() -> None:
    """A plan that shows something else when it is smaller must not be taken for a smaller one."""
    plan, found = failing("untagged", 1)[0]

    def trial(candidate: Plan) -> Sequence[Finding]:
        same = [finding("untagged", found.witness)] if len(candidate) == len(plan) else []
        return [*same, finding("other", found.witness)]

    result = shrink(plan, found, trial)
    assert len(result.plan) == len(plan)
    assert result.finding.check == "untagged"


def test_finding_about_the_same_object_is_kept() -> None:
    plan, found = failing("untagged", 1)[0]
    about = [Finding("P2", "must", "c", "x", "t", "", found.witness, subject=name) for name in "ab"]
    result = shrink(plan, about[1], lambda _: about, budget=Budget(20, 0))
    assert result.finding.subject == "b"


def test_witness_at_the_closing_is_no_operation() -> None:
    plan = Plan(
        (Operation("a", 1, "blob.push", {"repo": "r", "blob": "b"}), Operation("k", "operator", "kill"))
    )
    found = finding("c", ("a", "closing.read"))
    result = shrink(plan, found, lambda p: [found] if "a" in p else [])
    assert [op.id for op in result.plan] == ["a"]


# --- racy findings ---------------------------------------------------------------------------------------


@cache
def raced() -> list[Shrunk]:
    cases = enumerate(failing("collect", 16, racy=True))
    return [shrink(plan, found, system("collect", seed)) for seed, (plan, found) in cases]


def test_races_become_certain() -> None:
    """These races are lost in 4 to 60 of 100 runs of the whole plan."""
    certain = [result for result in raced() if result.hardened]
    assert len(certain) >= 14
    assert statistics.median(len(result.plan) for result in certain) <= 5
    for result in certain:
        assert result.rate == (10, 10)
        assert any(step.startswith("hardened: ") for step in result.steps)
    replays = [system("collect", seed)(result.plan) for result in certain for seed in range(9000, 9020)]
    assert sum(map(bool, replays)) >= 0.97 * len(replays)


def test_races_keep_to_the_budget() -> None:
    assert max(result.executions for result in raced()) <= Budget().executions


def test_rate_of_what_stays_racy_is_told() -> None:
    """A finding in 40 of 100 runs whatever the order: smaller, reproduced, and honest about its rate."""
    plan, found = failing("untagged", 1)[0]
    real = system("untagged")
    for seed in range(8):
        rng = random.Random(seed)
        hits: set[str] = set()

        def trial(candidate: Plan, rng: random.Random = rng, hits: set[str] = hits) -> Sequence[Finding]:
            findings = real(candidate) if rng.random() < 0.4 else []
            hits.update(candidate.digest for _ in findings)
            return findings

        result = shrink(plan, found, trial, budget=Budget(150, 20))
        assert result.plan.digest in hits
        assert len(result.plan) < 20
        assert not result.certain
        assert not result.hardened
        assert 1 <= result.rate[0] < 20 == result.rate[1]


def test_what_never_happens_again_comes_back_whole() -> None:
    plan, found = failing("mount", 1)[0]
    result = shrink(plan, found, lambda _: [])
    assert result.plan == plan
    assert result.finding == found
    assert result.rate == (0, 15)
    assert not result.certain
    assert "not seen again" in result.steps[-1]


def test_luck_is_taken_back() -> None:
    """A candidate that failed only once is given up for an earlier plan that does fail."""
    plan, found = failing("mount", 1)[0]
    runs = Counter[str]()
    real = system("mount")

    def trial(candidate: Plan) -> Sequence[Finding]:
        runs[candidate.digest] += 1
        lucky = candidate.closing == "read" and runs[candidate.digest] > 1
        return [] if lucky else real(candidate)

    result = shrink(plan, found, trial)
    assert result.rate == (10, 10)
    assert result.plan.closing == "restart"
    assert "went back: the result did not fail again" in result.steps
