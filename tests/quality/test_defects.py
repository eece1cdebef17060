"""Each defect of the catalogue is found: the right property, in time, shrunk to a few operations.

See `tests.quality.defects.subset` for which are tried.
"""

from __future__ import annotations

import pytest

from reference_impl.defects import DEFECTS, KINDS
from reference_impl.deviations import Defect

from .defects.hunts import Caught, look_for
from .defects.subset import chosen

SEEDS = (0, 1, 2, 3, 4)
"""A race may escape a default run, or be cut down less far in it; with one of five seeds it has to fit. The
kill matrix says how often it does."""
CLASS_MIN = {"A": 15, "B": 12, "C": 12, "D": 6, "E": 8, "F": 6, "G": 6, "H": 6, "I": 5}


@pytest.mark.parametrize("name", chosen(name for name, one in DEFECTS.items() if not one.rare))
def test_it_is_found_and_cut_down(name: str) -> None:
    defect, seen = DEFECTS[name], []
    for seed in SEEDS:
        outcome = look_for((name,), seed)
        assert not outcome.error
        if fits(defect, outcome.of(defect)):
            return
        seen.append(outcome.of(defect) or outcome.caught)
    pytest.fail(f"{defect.operations} operations and {defect.plans} plans are expected, but: {seen}")


def fits(defect: Defect, caught: Caught | None) -> bool:
    if caught is None or not caught.rate[0]:
        return False
    return caught.plans <= defect.plans and caught.operations <= defect.operations


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_enough_of_them(kind: str) -> None:
    assert sum(one.kind == kind for one in DEFECTS.values()) >= CLASS_MIN[kind]


def test_each_says_where_it_is_from_and_what_it_breaks() -> None:
    for one in DEFECTS.values():
        assert one.kind in KINDS
        assert one.sources, one.name
        assert one.violates, one.name
        assert set(one.violates) <= {f"P{number}" for number in range(1, 13)}, one.name
        assert set(one.needs) <= NEEDS, one.name
        assert one.title[:1].islower() or one.title[:1].isupper(), one.name
        assert len(one.title) < 120, one.name


NEEDS = {"concurrency", "collect", "kill", "power", "storage", "network", "time"}
