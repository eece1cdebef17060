"""Which deviations the quality tests try: some of them by default, so that they fit between other tests.

``SEATRIAL_QUALITY=all pytest tests/quality -n auto --dist loadgroup`` tries all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

EVERY = 8


def chosen(names: Iterable[str], always: Iterable[str] = ()) -> list[str]:
    """Every eighth name, and those that are always tried; all of them where that is asked for."""
    wanted = set(always)
    whole = os.environ.get("SEATRIAL_QUALITY") == "all"
    return [name for number, name in enumerate(names) if whole or name in wanted or number % EVERY == 0]
