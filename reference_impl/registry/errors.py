"""Refusals of the registry, named by the codes of distribution-spec (rows 90 and 91)."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """The registry will not do what was asked.

    ``reason`` is a key of the table in ``api/errors.py``: one of the codes of the specification,
    or a finer name of our own that the table maps onto one.
    """

    def __init__(self, reason: str, detail: Any = None) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class SeveralRefusals(Exception):
    """More than one thing is wrong with the same request."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__(*refusals)
        self.refusals = refusals


class OutOfOrder(Refusal):
    """A chunk does not start where the upload ends, or another writer is at work (rows 41, 42)."""

    def __init__(self, reason: str, size_bytes: int, detail: Any = None) -> None:
        super().__init__(reason, detail)
        self.size_bytes = size_bytes
