"""P6, drawn and tried against the target."""

from __future__ import annotations

import pytest

from harness.plugin import try_property
from harness.run.campaign import Campaign


def test_uploads(campaign: Campaign, subtests: pytest.Subtests) -> None:
    try_property(campaign, "P6", subtests)
