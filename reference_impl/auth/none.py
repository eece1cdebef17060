"""Everyone may do everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import Access


class Everyone:
    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> None:
        return None
