"""Two defects at once are told apart: each has a finding that shows again where it is alone.

``python -m tests.quality.defects.pairs`` tries fifty pairs.
"""

from __future__ import annotations

import pytest

from reference_impl.defects import DEFECTS
from tests.quality.defects.pairs import chosen, tell_apart

PAIRS = 4
BUDGET_S = 120.0
"""For a slow machine; a hunt ends as soon as both are found."""
CALM = [name for name, one in DEFECTS.items() if not one.needs and not one.rare]
"""Whatever shows in every run, as nothing but requests is needed."""


@pytest.mark.parametrize("pair", chosen(PAIRS, 0, CALM), ids="+".join)
def test_both_are_reported(pair: tuple[str, str]) -> None:
    apart = tell_apart(pair, budget_s=BUDGET_S)
    assert apart.told, apart.line
