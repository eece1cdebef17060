"""Pages of listings, and the Link to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from starlette.requests import Request

from ..registry import names


def page_size(request: Request, maximum: int) -> int:
    """Return how many entries to send: what ``n`` asks for, at most ``maximum``.

    Raises PAGE_SIZE_INVALID.
    """
    text = request.query_params.get("n")
    return maximum if text is None else min(names.page_size(text), maximum)


def next_link(path: str, query: Mapping[str, str]) -> dict[str, str]:
    """The header that leads to the next page (rows 69 and 79)."""
    encoded = urlencode(query, quote_via=quote, safe=":")
    return {"Link": f'<{path}?{encoded}>; rel="next"'}
