"""Lists of what is attached to a manifest (rows 72 to 82)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ..registry import names
from ..registry.documents import OCI_INDEX
from .paging import next_link, page_size
from .resource import Context

_ENVELOPE = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[%s]}}'


class _Entry(NamedTuple):
    """A descriptor as JSON."""

    digest: str
    text: str


class Referrers:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._referrers = context.registry.referrers

    async def show(self, request: Request) -> Response:
        repository = request.path_params["name"]
        subject = names.digest(request.path_params["digest"])
        artifact_type = request.query_params.get("artifactType") or None
        limit = page_size(request, self._context.limits.page_size)
        last = request.query_params.get("last", "")
        page, has_more = await self._context.run(
            lambda: self._page(self._referrers.of(repository, subject, artifact_type, last), limit)
        )
        headers = {}
        if artifact_type is not None:
            headers["OCI-Filters-Applied"] = "artifactType"
        if has_more and page:
            query = {"last": page[-1].digest}
            if "n" in request.query_params:
                query["n"] = str(limit)
            if artifact_type is not None:
                query["artifactType"] = artifact_type
            headers |= next_link(f"/v2/{repository}/referrers/{subject}", query)
        body = _ENVELOPE % ",".join(entry.text for entry in page)
        return Response(body, headers=headers, media_type=OCI_INDEX)

    def _page(self, descriptors: Iterable[dict[str, Any]], limit: int) -> tuple[list[_Entry], bool]:
        """Return the first descriptors that fit one manifest, and whether some are left."""
        page: list[_Entry] = []
        left_bytes = self._context.limits.referrers_max_bytes - len(_ENVELOPE)
        for descriptor in descriptors:
            # ASCII: annotations may have escapes in them that no other encoding can write.
            entry = _Entry(descriptor["digest"], json.dumps(descriptor, separators=(",", ":")))
            left_bytes -= len(entry.text) + 1
            if len(page) == limit or (page and left_bytes < 0):
                return page, True
            page.append(entry)
        return page, False
