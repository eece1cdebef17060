"""Lists of tags (rows 65 to 71)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .paging import next_link, page_size
from .resource import Context


class Tags:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._tags = context.registry.tags

    async def show(self, request: Request) -> Response:
        repository = request.path_params["name"]
        limit = page_size(request, self._context.limits.page_size)
        last = request.query_params.get("last") or None
        tags, has_more = await self._context.run(self._tags.page, repository, last, limit)
        headers = {}
        if has_more and tags:
            query = {"n": str(limit), "last": tags[-1]}
            headers = next_link(f"/v2/{repository}/tags/list", query)
        return JSONResponse({"name": repository, "tags": tags}, headers=headers)
