"""I: lists with too much in them, or too little."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..api.paging import next_link
from ..api.tags import Tags as TagEndpoint
from ..deviations import Defect
from ..drivers.base import NotFound
from ..registry import layout
from ..registry.tags import Tags

Page = tuple[list[str], bool]
ALL = 1 << 30


class _DropsExtensions(Tags):
    """As where folders are told from keys by their prefix: what extends another name is below it."""

    def _names(self, repository: str) -> list[str]:
        kept: list[str] = []
        for name in super()._names(repository):
            if not kept or not name.startswith(kept[-1]):
                kept.append(name)
        return kept


class _Unsorted(Tags):
    """In the order of the file system, which is that of hashes."""

    def page(self, repository: str, last: str | None, limit: int) -> Page:
        tags, _ = super().page(repository, last, ALL)
        tags.sort(key=lambda tag: sha256(tag.encode()).hexdigest())
        return tags[:limit], len(tags) > limit


class _Unpaged(Tags):
    """Neither ``n`` nor ``last`` is read."""

    def page(self, repository: str, last: str | None, limit: int) -> Page:
        return super().page(repository, None, ALL)


class _LastIncluded(Tags):
    def page(self, repository: str, last: str | None, limit: int) -> Page:
        tags, has_more = super().page(repository, last, limit)
        if last is None or not limit or self.resolve(repository, last) is None:
            return tags, has_more
        return [last, *tags][:limit], has_more or len(tags) == limit


class _LastNeedsLimit(TagEndpoint):
    async def show(self, request: Request) -> Response:
        if "n" in request.query_params:
            return await super().show(request)
        repository = request.path_params["name"]
        tags, _ = await self._context.run(self._tags.page, repository, None, ALL)
        return JSONResponse({"name": repository, "tags": tags})


class _ZeroIsAll(Tags):
    def page(self, repository: str, last: str | None, limit: int) -> Page:
        return super().page(repository, last, limit or ALL)


class _LinkSkips(TagEndpoint):
    """The next page is said to begin after its own first tag."""

    async def show(self, request: Request) -> Response:
        response = await super().show(request)
        shown = request.query_params.get("n", "")
        if "link" not in response.headers or not shown.isdecimal():
            return response
        repository, last = request.path_params["name"], request.query_params.get("last")
        more, _ = await self._context.run(self._tags.page, repository, last, int(shown) + 1)
        link = next_link(f"/v2/{repository}/tags/list", {"n": shown, "last": more[-1]})
        response.headers["link"] = link["Link"]
        return response


class _LinkRepeats(TagEndpoint):
    """The next page is said to begin before the last tag of this one."""

    async def show(self, request: Request) -> Response:
        response = await super().show(request)
        shown = request.query_params.get("n", "")
        if "link" not in response.headers or not shown.isdecimal() or int(shown) < 2:
            return response
        repository, last = request.path_params["name"], request.query_params.get("last")
        page, _ = await self._context.run(self._tags.page, repository, last, int(shown))
        link = next_link(f"/v2/{repository}/tags/list", {"n": shown, "last": page[-2]})
        response.headers["link"] = link["Link"]
        return response


class _CutWithoutLink(TagEndpoint):
    """The backend's list has at most so many entries, and nobody asks for the rest."""

    MOST = 5

    async def show(self, request: Request) -> Response:
        repository, query = request.path_params["name"], request.query_params
        limit = min(self.MOST, int(query["n"]) if query.get("n", "").isdecimal() else self.MOST)
        tags, _ = await self._context.run(self._tags.page, repository, query.get("last") or None, limit)
        return JSONResponse({"name": repository, "tags": tags})


class _KeepsNames(Tags):
    """Removing a tag removes what it points to, and leaves its name."""

    def remove(self, repository: str, tag: str) -> None:
        with contextlib.suppress(NotFound):
            self._driver.delete(layout.tag_current_link(repository, tag))

    def _is_live(self, repository: str, tag: str) -> bool:
        return True


class _EveryFolder(Tags):
    """The list is of a repository and of all those below it."""

    def _names(self, repository: str) -> list[str]:
        found = set(super()._names(repository))
        with contextlib.suppress(NotFound):
            for below in self._driver.list(layout.repository(repository)):
                if not below.startswith("_"):
                    found |= set(super()._names(f"{repository}/{below}"))
        return sorted(found)

    def _is_live(self, repository: str, tag: str) -> bool:
        return True


def _defect(name: str, title: str, wrap: type, source: str, **more: Any) -> Defect:
    given: dict[str, Any] = {"operations": 6} | more
    return Defect(name, title, (wrap,), kind="I", sources=(source,), violates=("P7", "P12"), **given)


DEFECTS: tuple[Defect, ...] = (
    _defect(
        "list-drops-longer-tag",
        "a tag whose name begins with that of another is not listed",
        _DropsExtensions,
        "distribution #4891 (S3, 3.1.0), fixed by #4898",
    ),
    _defect("list-unsorted", "tags are listed in no order", _Unsorted, "distribution 2.8, fixed in 3.0.0"),
    _defect(
        "list-limit-ignored",
        "all tags are listed, however few were asked for",
        _Unpaged,
        "distribution 2.8, fixed in 3.0.0",
    ),
    _defect(
        "list-includes-last",
        "a page begins with the tag that it should begin after",
        _LastIncluded,
        "specification, row 71",
    ),
    _defect(
        "list-last-needs-limit",
        "a list after a tag begins at the beginning if no limit is given",
        _LastNeedsLimit,
        "zot #1777, fixed in 2.0.0",
    ),
    _defect(
        "list-zero-is-all",
        "a limit of 0 lists all tags",
        _ZeroIsAll,
        "zot #1777, fixed in 2.0.0; cue-labs/oci 5eb5795",
    ),
    _defect("list-link-skips", "a tag between two pages is on neither", _LinkSkips, "specification, row 69"),
    _defect("list-link-repeats", "a tag is on two pages", _LinkRepeats, "specification, row 71"),
    _defect(
        "list-cut-without-link",
        "a list ends after five tags, and does not say that there are more",
        _CutWithoutLink,
        "go-containerregistry #1430, fixed in 0.12",
        operations=8,
    ),
    _defect(
        "list-keeps-deleted",
        "a tag that was deleted is listed still",
        _KeepsNames,
        "distribution #1319, fixed in 2.3",
    ),
    _defect(
        "list-of-repositories-below",
        "a list has the tags of the repositories below it, too",
        _EveryFolder,
        "specification, row 66",
    ),
)
