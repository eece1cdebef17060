"""Registries that differ lawfully from the reference: the harness finds nothing there that fails a run.

``python -m tests.quality.defects.lawful`` looks for longer, and over more seeds.
"""

from __future__ import annotations

import pytest

from reference_impl.variants import VARIANTS
from tests.quality.defects.lawful import try_variant

SEEDS = (0, 1)
BUDGET_S = 4.0
PLANS_MIN = 12
"""One for each family, on a machine that has much else to do."""


@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_found(name: str) -> None:
    for seed in SEEDS:
        tried = try_variant(name, seed, budget_s=BUDGET_S)
        assert not tried.error, tried.line
        assert not tried.red, tried.line
        assert tried.plans >= PLANS_MIN, tried.line
