"""Everyone may do everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import ANONYMOUS, Access, Account


class Everyone:
    tokens: None = None

    def may_block(self, headers: Mapping[str, str]) -> bool:
        return False

    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> Account:
        return ANONYMOUS
