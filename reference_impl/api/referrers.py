"""Lists of what is attached to a manifest (rows 72 to 82)."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..registry import names
from ..registry.documents import OCI_INDEX
from .paging import next_link, page_size
from .resource import Context

_ENVELOPE_BYTES = 256


class Referrers:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._referrers = context.registry.referrers

    async def show(self, request: Request) -> Response:
        repository = request.path_params["name"]
        subject = names.digest(request.path_params["digest"])
        artifact_type = request.query_params.get("artifactType") or None
        limit = page_size(request, self._context.limits.page_size)
        of = self._referrers.of
        found = await self._context.run(of, repository, subject, artifact_type)
        last = request.query_params.get("last", "")
        page, has_more = self._page([one for one in found if one["digest"] > last], limit)
        headers = {}
        if artifact_type is not None:
            headers["OCI-Filters-Applied"] = "artifactType"
        if has_more and page:
            query = {"last": page[-1]["digest"]}
            if "n" in request.query_params:
                query["n"] = str(limit)
            if artifact_type is not None:
                query["artifactType"] = artifact_type
            headers |= next_link(f"/v2/{repository}/referrers/{subject}", query)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}
        body = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
        return Response(body, headers=headers, media_type=OCI_INDEX)

    def _page(self, descriptors: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the first descriptors that fit one manifest, and whether some are left."""
        page: list[dict[str, Any]] = []
        left_bytes = self._context.limits.referrers_max_bytes - _ENVELOPE_BYTES
        for descriptor in descriptors:
            left_bytes -= len(json.dumps(descriptor, ensure_ascii=False).encode()) + 1
            if len(page) == limit or (page and left_bytes < 0):
                return page, True
            page.append(descriptor)
        return page, False
