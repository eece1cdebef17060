"""Drawing plans with Hypothesis' generation phase, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.internal.conjecture import providers
from hypothesis.stateful import run_state_machine_as_test

from harness.machines.base import Family, PlanMachine, Scope
from harness.machines.dice import Dice
from harness.machines.families import FAMILIES, machine_for
from harness.plan.plan import Plan

BATCH = 10
"""Examples in one run of Hypothesis. From the eleventh on it would mutate earlier examples, and the mutants
share their swarm (which features are on); many short runs, each with a salt of its own, see more."""
_BARREN_BATCHES = 20


class StopDrawing(BaseException):
    """Raised by ``run`` to end the whole draw. (No `Exception`: Hypothesis would take it for a failure.)"""


def draw(
    family: str,
    *,
    seed: int,
    examples: int,
    scope: Scope,
    run: Callable[[Plan], None],
    steps: int | None = None,
) -> None:
    """Draw ``examples`` different plans of a family (``"P1"`` … ``"P12"``) and call ``run`` with each.

    The same seed, family, scope and steps give the same plans in the same order, in every process. ``run``
    may raise `StopDrawing`, which ends the draw quietly; anything else that it raises ends the draw and is
    raised here. What it returns or finds changes no plan. While it runs, Hypothesis has seeded the *global*
    random generator with a constant: salts have to come from elsewhere. ``steps``: the number of rules in
    each plan, instead of the family's range.

    The settings are explicit, so that no profile (Hypothesis loads one of its own in CI, which derandomises)
    changes what is drawn. Raises `KeyError` for a family that does not exist.
    """
    described = FAMILIES[family]
    collector = _Collector(examples, run)
    dice = Dice(seed)
    machine = _fresh(described, scope, collector.take)
    barren = 0
    while not collector.full and barren < _BARREN_BATCHES:
        had = collector.count
        machine.salt = dice.number(0, (1 << 53) - 1)
        count = steps if steps is not None else dice.number(*described.steps)
        try:
            with _own_constants_only():
                _run(machine, machine.salt, count)
        except StopDrawing:
            break
        barren = barren + 1 if collector.count == had else 0
    if collector.failure is not None:
        raise collector.failure


class _Collector:
    """Passes plans on that were not seen before, until there are enough."""

    def __init__(self, wanted: int, run: Callable[[Plan], None]) -> None:
        self.wanted = wanted
        self.run = run
        self.seen: set[str] = set()
        self.failure: BaseException | None = None

    @property
    def count(self) -> int:
        return len(self.seen)

    @property
    def full(self) -> bool:
        return self.count >= self.wanted

    def take(self, plan: Plan) -> None:
        if plan.digest in self.seen:
            return
        self.seen.add(plan.digest)
        try:
            self.run(plan)
        except (StopDrawing, KeyboardInterrupt):
            raise
        except BaseException as error:  # also what pytest raises: Hypothesis would run the example again
            self.failure = error
            raise StopDrawing from error
        if self.full:
            raise StopDrawing


def _fresh(family: Family, scope: Scope, take: Callable[[Plan], None]) -> type[PlanMachine]:
    """A machine class of its own for one draw, so that nothing leaks from one to the next."""
    parent = machine_for(family)
    attributes: dict[str, Any] = {
        "family": family,
        "scope": scope,
        "finish": staticmethod(take),
        "memory": {},
    }
    return type(parent.__name__, (parent,), attributes)


def _run(machine: type[PlanMachine], number: int, steps: int) -> None:
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=BATCH,
            stateful_step_count=steps,
            phases=(Phase.generate,),
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            backend="hypothesis",
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        ),
    )


@contextmanager
def _own_constants_only() -> Iterator[None]:
    """Keep Hypothesis from mixing integers that it finds in the source of loaded modules into what it draws:
    the same seed would mean other plans wherever other modules happen to be imported."""
    gather = getattr(providers, "_get_local_constants", None)
    cache = getattr(providers, "CONSTANTS_CACHE", None)
    constants = getattr(providers, "Constants", None)
    if gather is None or cache is None or constants is None:
        yield
        return
    vars(providers)["_get_local_constants"] = constants
    cache.cache.clear()
    try:
        yield
    finally:
        vars(providers)["_get_local_constants"] = gather
        cache.cache.clear()
