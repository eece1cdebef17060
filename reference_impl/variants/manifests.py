"""Which manifests are taken, under which names, and who gets them (rows 12 to 18, 27, 35, 52 to 64)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..api.errors import refused
from ..api.manifests import Manifests as ManifestEndpoints
from ..deviations import At, Variant
from ..registry import names
from ..registry.digests import Digest, digest_of
from ..registry.errors import Refusal, SeveralRefusals
from ..registry.manifests import Accepted, Manifests
from .middleware import answer


class _Unchecked(Manifests):
    def _check_references(self, wanted: dict[str, Any]) -> None:
        super()._check_references({text: found for text, found in wanted.items() if found is not None})


class _Missing400(ManifestEndpoints):
    async def push(self, request: Request) -> Response | None:
        try:
            return await super().push(request)
        except SeveralRefusals as several:
            response = refused(several.refusals)
            response.status_code = 400
            return response


def _only_sha256(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def digest(text: str) -> Any:
        if text.partition(":")[0] == "sha512":
            raise Refusal("DIGEST_INVALID", {"supported": "sha256"})
        return read(text)

    return digest


class _Immutable(Manifests):
    _moving = threading.Lock()

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        tags = more_tags if isinstance(reference, Digest) else (reference,)
        with self._moving:
            for tag in tags:
                if self._tags.resolve(repository, tag) not in (None, digest_of(body)):
                    raise Refusal("TAG_INVALID", {"tag": tag, "reason": "it is there, and does not move"})
            return super().put(repository, reference, body, content_type, more_tags)


class _NoMoreTags(ManifestEndpoints):
    def _more_tags(self, request: Request, reference: Digest | str) -> list[str]:
        return []


def _accepted(request: Request, media_type: str) -> bool:
    """Whether ``Accept`` names the type; none names all (RFC 9110, section 12.5.1)."""
    values = ",".join(request.headers.getlist("accept"))
    ranges = {one.partition(";")[0].strip().lower() for one in values.split(",")}
    general = {"*/*", f"{media_type.partition('/')[0]}/*"}
    return not values or bool(ranges & (general | {media_type.lower()}))


class _Negotiating(ManifestEndpoints):
    async def pull(self, request: Request) -> Response:
        return self._negotiated(request, await super().pull(request))

    async def look(self, request: Request) -> Response:
        return self._negotiated(request, await super().look(request))

    def _negotiated(self, request: Request, response: Response) -> Response:
        fits = _accepted(request, response.headers["content-type"])
        return response if fits else answer(406, "MANIFEST_UNKNOWN")


class _NegotiatingTags(_Negotiating):
    """As Distribution: what a client does not understand is not there for it, by tag."""

    def _negotiated(self, request: Request, response: Response) -> Response:
        by_tag = names.is_tag(request.path_params["reference"])
        fits = not by_tag or _accepted(request, response.headers["content-type"])
        return response if fits else answer(404, "MANIFEST_UNKNOWN")


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "missing-blobs-accepted",
        "a manifest is taken whether or not what it refers to is there",
        (_Unchecked,),
        allowed_by=("specification, row 58",),
    ),
    Variant(
        "missing-blobs-refused-400",
        "a manifest that refers to what is not there is refused with 400",
        (_Missing400,),
        allowed_by=("specification, row 58: any 4xx",),
    ),
    Variant(
        "no-sha512",
        "sha256 is the only algorithm: digests of others are refused with 400",
        (At(("registry.names:digest", "registry.names:algorithm"), _only_sha256),),
        allowed_by=("specification, row 35",),
    ),
    Variant(
        "tags-immutable",
        "a tag never moves: 400, as Amazon ECR",
        (_Immutable,),
        allowed_by=("specification, row 64: implied only", "specification, row 90"),
    ),
    Variant(
        "no-tag-parameters",
        "the query parameter tag of a push is ignored",
        (_NoMoreTags,),
        allowed_by=("specification, row 63",),
    ),
    Variant(
        "accept-or-406",
        "a manifest whose type the client does not accept is answered with 406",
        (_Negotiating,),
        allowed_by=("specification, row 27", "RFC 9110, section 12.5.1"),
    ),
    Variant(
        "accept-or-404-by-tag",
        "a tag whose manifest the client does not accept is answered with 404",
        (_NegotiatingTags,),
        allowed_by=("specification, row 27",),
    ),
)
