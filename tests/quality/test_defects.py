"""Each defect of the catalogue is found: the right property, in time, shrunk to a few operations.

See `tests.quality.defects.subset` for which are tried.
"""

from __future__ import annotations

import pytest

from reference_impl.defects import DEFECTS, KINDS

from .defects.hunts import look_for
from .defects.subset import chosen

SEED = 0
CLASS_MIN = {"A": 15, "B": 12, "C": 12, "D": 6, "E": 8, "F": 6, "G": 6, "H": 6, "I": 5}


@pytest.mark.parametrize("name", chosen(DEFECTS))
def test_it_is_found_and_cut_down(name: str) -> None:
    defect = DEFECTS[name]
    outcome = look_for((name,), SEED)
    assert not outcome.error
    caught = outcome.of(defect)
    assert caught is not None, f"found instead: {outcome.caught}"
    assert caught.plans <= defect.plans, caught
    assert caught.operations <= defect.operations, caught
    assert caught.rate[0] > 0, caught


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
