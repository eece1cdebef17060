"""The registry as a whole: is it there, what repositories it has, what extensions (rows 3, 94)."""

from __future__ import annotations

from itertools import islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..auth.base import CATALOG, Access
from ..registry import names
from ..registry.repositories import every
from .paging import next_link, page_size
from .resource import Context


class Catalog:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def ping(self, request: Request) -> Response:
        await self._context.authorize(request, Access(None, ()))
        return JSONResponse({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})

    async def extensions(self, request: Request) -> Response:
        await self._context.authorize(request, Access(None, ()))
        return JSONResponse({"extensions": []})

    async def repositories(self, request: Request) -> Response:
        await self._context.authorize(request, Access(None, (CATALOG,)))
        limit = page_size(request, self._context.limits.page_size)
        last = request.query_params.get("last", "")
        page, has_more = await self._context.run(self._page, last, limit)
        headers = {}
        if has_more and page:
            headers = next_link("/v2/_catalog", {"n": str(limit), "last": page[-1]})
        return JSONResponse({"repositories": page}, headers=headers)

    def _page(self, last: str, limit: int) -> tuple[list[str], bool]:
        # What others put into the store under a name that nobody can ask for is not a repository.
        found = filter(names.is_repository, every(self._context.registry.driver, last))
        page = list(islice(found, limit + 1))
        return page[:limit], len(page) > limit
