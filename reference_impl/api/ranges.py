"""Byte ranges of a blob (row 22, RFC 9110 section 14)."""

from __future__ import annotations

import re

_SINGLE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


class Unsatisfiable(Exception):
    """Nothing of the range is in the blob."""


def select(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return offset and length of the one range asked for; None to send the whole.

    What is malformed, of another unit, or several ranges at once, is ignored, as HTTP allows.
    Raises Unsatisfiable.
    """
    match = _SINGLE.fullmatch(header.replace(" ", "")) if header else None
    if match is None:
        return None
    first_text, last_text, suffix_text = match.groups()
    if suffix_text is not None:
        length = min(int(suffix_text), size_bytes)
        if length == 0:
            raise Unsatisfiable
        return size_bytes - length, length
    first = int(first_text)
    last = int(last_text) if last_text else size_bytes - 1
    if last_text and last < first:
        return None
    if first >= size_bytes:
        raise Unsatisfiable
    return first, min(last, size_bytes - 1) - first + 1
