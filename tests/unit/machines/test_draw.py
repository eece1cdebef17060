"""Drawing: how many, which, in which order, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import settings

from harness.machines import FAMILIES, StopDrawing, draw
from harness.plan.plan import Plan, plain, unplain
from tests.unit.machines.scopes import BLACK_BOX, EVERYTHING, plans

PROGRAM = """
import sys
{imports}
from tests.unit.machines.scopes import plans
for family in ("P2", "P6", "P11"):
    for plan in plans(family, seed=5, examples=15):
        print(plan.digest)
"""


def elsewhere(hash_seed: str, imports: str = "", **more: str) -> list[str]:
    """Digests of what another process draws."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(imports=imports)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path), **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()


def test_the_same_seed_gives_the_same_plans_in_every_process() -> None:
    here = [plan.digest for family in ("P2", "P6", "P11") for plan in plans(family, seed=5, examples=15)]
    assert elsewhere("1") == here
    # Other modules bring other constants, which Hypothesis would mix in; CI makes it load other settings.
    assert elsewhere("4242", "import harness.report, harness.targets.base, json, decimal", CI="true") == here


def test_another_seed_gives_other_plans() -> None:
    first = {plan.digest for plan in plans("P1", seed=1, examples=20)}
    second = {plan.digest for plan in plans("P1", seed=2, examples=20)}
    assert not first & second


@pytest.mark.parametrize("examples", [0, 1, 7, 25])
def test_as_many_different_plans_as_were_asked_for(examples: int) -> None:
    drawn = plans("P3", examples=examples)
    assert len(drawn) == len({plan.digest for plan in drawn}) == examples


@pytest.mark.parametrize("family", FAMILIES)
def test_plans_can_be_run_and_have_a_sensible_length(family: str) -> None:
    for plan in plans(family, seed=3, examples=15):
        plan.check()
        assert unplain(plain(plan)).digest == plan.digest
        assert 8 <= len(plan) <= 40
        assert sum(isinstance(lane, int) for lane in plan.lanes) <= 3


def test_the_profile_of_hypothesis_changes_nothing() -> None:
    here = [plan.digest for plan in plans("P4", seed=9, examples=12)]
    settings.register_profile("other", derandomize=True, max_examples=1, stateful_step_count=2)
    before = settings.get_current_profile_name()
    settings.load_profile("other")
    try:
        assert [plan.digest for plan in plans("P4", seed=9, examples=12)] == here
    finally:
        settings.load_profile(before)


def test_steps_can_be_given() -> None:
    few: list[Plan] = []
    many: list[Plan] = []
    draw("P1", seed=1, examples=20, scope=BLACK_BOX, run=few.append, steps=4)
    draw("P1", seed=1, examples=20, scope=BLACK_BOX, run=many.append, steps=30)
    assert sum(map(len, few)) < sum(map(len, many))


def test_run_ends_the_whole_draw() -> None:
    seen: list[Plan] = []

    def run(plan: Plan) -> None:
        seen.append(plan)
        if len(seen) == 13:
            raise StopDrawing

    draw("P2", seed=1, examples=100, scope=EVERYTHING, run=run)
    assert len(seen) == 13
    assert len(plans("P2", examples=3)) == 3


class Unusable(Exception):
    pass


@pytest.mark.parametrize("kind", [Unusable, KeyboardInterrupt, pytest.fail.Exception])
def test_what_run_raises_is_raised_once(kind: type[BaseException]) -> None:
    seen: list[Plan] = []

    def run(plan: Plan) -> None:
        seen.append(plan)
        if len(seen) == 4:
            raise kind("gone")

    with pytest.raises(kind, match="gone") as caught:
        draw("P2", seed=1, examples=100, scope=EVERYTHING, run=run)
    assert len(seen) == 4
    assert not isinstance(caught.value, StopDrawing)


def test_a_draw_inside_the_handling_of_an_error_runs_its_plans() -> None:
    try:
        raise Unusable
    except Unusable:
        assert len(plans("P1", examples=5)) == 5


def test_what_run_does_changes_no_plan() -> None:
    quiet = [plan.digest for plan in plans("P5", seed=4, examples=15)]
    busy: list[str] = []

    def run(plan: Plan) -> None:
        busy.append(plan.digest)
        if len(busy) % 3 == 0:
            plans("P1", seed=len(busy), examples=2)

    draw("P5", seed=4, examples=15, scope=EVERYTHING, run=run)
    assert busy == quiet


def test_a_family_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        draw("P99", seed=1, examples=1, scope=EVERYTHING, run=lambda plan: None)
