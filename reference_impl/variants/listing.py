"""Lists of tags and of referrers (rows 65 to 82)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from starlette.requests import Request
from starlette.responses import Response

from ..api.manifests import Manifests as ManifestEndpoints
from ..api.referrers import Referrers as ReferrerEndpoints
from ..api.tags import Tags as TagEndpoints
from ..deviations import At, Variant
from ..registry.content import Content
from ..registry.errors import Refusal
from ..registry.manifests import Manifests
from ..registry.tags import Tags

PAGE = 2
_N = re.compile(r"n=\d+&?")


def _short(page_size: Callable[..., int]) -> Callable[..., int]:
    return lambda *args: min(page_size(*args), PAGE)


class _LinkWithoutN(TagEndpoints):
    async def show(self, request: Request) -> Response:
        response = await super().show(request)
        if "link" in response.headers:
            response.headers["link"] = _N.sub("", response.headers["link"])
        return response


class _LinkInFull(TagEndpoints):
    async def show(self, request: Request) -> Response:
        response = await super().show(request)
        if "link" in response.headers:
            place, _, _ = response.headers["link"].removeprefix("<").partition(">")
            place = urljoin(str(request.url), place)
            response.headers["link"] = f'<{place}>;title="more, much more" ; rel=Next'
        return response


def _rank(tag: str) -> tuple[str, str]:
    return tag.lower(), tag


class _IgnoringCase(Tags):
    def page(self, repository: str, last: str | None, limit: int) -> tuple[list[str], bool]:
        every, _ = super().page(repository, None, 1 << 30)
        left = [tag for tag in sorted(every, key=_rank) if last is None or _rank(tag) > _rank(last)]
        return left[:limit], len(left) > limit


class _GoneWhenEmpty(Tags):
    def page(self, repository: str, last: str | None, limit: int) -> tuple[list[str], bool]:
        if not Manifests(self._driver, Content(self._driver), self).every(repository):
            raise Refusal("NAME_UNKNOWN", {"name": repository})
        return super().page(repository, last, limit)


class _NoReferrers(ReferrerEndpoints):
    async def show(self, request: Request) -> Response:
        raise Refusal("ENDPOINT_UNKNOWN")


class _NoSubject(ManifestEndpoints):
    async def push(self, request: Request) -> Response | None:
        response = await super().push(request)
        if response is not None and "oci-subject" in response.headers:
            del response.headers["oci-subject"]
        return response


class _Unfiltered(ReferrerEndpoints):
    async def show(self, request: Request) -> Response:
        query = request.scope["query_string"].split(b"&")
        kept: Any = b"&".join(one for one in query if not one.startswith(b"artifactType="))
        return await super().show(Request({**request.scope, "query_string": kept}, request.receive))


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "tags-paginated",
        f"a page of tags has at most {PAGE}, with a Link to the next one, whatever n says",
        (At(("api.tags:page_size",), _short),),
        allowed_by=("specification, rows 68 and 69",),
    ),
    Variant(
        "link-without-n",
        f"a page of tags has at most {PAGE}, and the Link to the next one has no n",
        (At(("api.tags:page_size",), _short), _LinkWithoutN),
        allowed_by=("specification, rows 69 and 71",),
    ),
    Variant(
        "link-in-full",
        f"a page of tags has at most {PAGE}, and the Link to the next one is absolute and has a title",
        (At(("api.tags:page_size",), _short), _LinkInFull),
        allowed_by=("specification, row 69", "RFC 8288, section 3"),
    ),
    Variant(
        "tags-ignoring-case",
        "tags are ordered without regard to case",
        (_IgnoringCase,),
        allowed_by=("specification, row 67 (until 1.1.1)",),
        promises=("spec=1.1",),
    ),
    Variant(
        "repository-gone-when-empty",
        "a repository without manifests has no tag list: 404",
        (_GoneWhenEmpty,),
        allowed_by=("specification, section 1.9: does a repository exist without manifests?",),
    ),
    Variant(
        "no-referrers-api",
        "there is no referrers API: clients list referrers under the fallback tag",
        (_NoReferrers, _NoSubject),
        allowed_by=("specification, rows 59 and 83",),
    ),
    Variant(
        "referrers-unfiltered",
        "lists of referrers are never filtered",
        (_Unfiltered,),
        allowed_by=("specification, row 80",),
    ),
    Variant(
        "referrers-paginated",
        f"a page of referrers has at most {PAGE}, with a Link to the next one",
        (At(("api.referrers:page_size",), _short),),
        allowed_by=("specification, row 79",),
    ),
)
