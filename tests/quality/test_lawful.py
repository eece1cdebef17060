"""Registries that differ lawfully from the reference: the harness finds nothing there that fails a run.

See `tests.quality.defects.subset` for which are tried; ``python -m tests.quality.defects.lawful`` looks for
longer, and over more seeds.
"""

from __future__ import annotations

import pytest

from reference_impl.variants import VARIANTS
from tests.quality.defects.lawful import try_variant
from tests.quality.defects.subset import chosen

SEED = 0
BUDGET_S = 6.0
PLANS_MIN = 12
"""One for each family, on a machine that has much else to do."""


@pytest.mark.parametrize("name", chosen(VARIANTS))
def test_nothing_is_found(name: str) -> None:
    tried = try_variant(name, SEED, budget_s=BUDGET_S)
    assert not tried.error, tried.line
    assert not tried.red, tried.line
    assert tried.plans >= PLANS_MIN, tried.line
