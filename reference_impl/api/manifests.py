"""Manifests: pull, look, push, delete, by digest or tag (rows 12 to 18, 52 to 64, 84 to 87)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ..registry import names
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.manifests import Manifest
from .body import Disconnected, whole
from .resource import Context


class Manifests:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._manifests = context.registry.manifests

    async def pull(self, request: Request) -> Response:
        manifest = await self._get(request)
        return Response(manifest.body, headers=_headers(manifest))

    async def look(self, request: Request) -> Response:
        manifest = await self._get(request)
        return Response(status_code=200, headers=_headers(manifest))

    async def push(self, request: Request) -> Response | None:
        repository = request.path_params["name"]
        reference = names.reference(request.path_params["reference"])
        tags = self._more_tags(request, reference)
        limits = self._context.limits
        try:
            body = await whole(request, limits.manifest_max_bytes, limits)
        except Disconnected:
            return None
        content_type = request.headers.get("content-type", "").partition(";")[0].strip()
        put = self._manifests.put
        accepted = await self._context.run(put, repository, reference, body, content_type, tags)
        response = Response(
            status_code=201,
            headers={
                "Location": f"/v2/{repository}/manifests/{accepted.digest}",
                "Docker-Content-Digest": str(accepted.digest),
            },
        )
        if accepted.subject is not None:
            response.headers["OCI-Subject"] = accepted.subject
        for tag in tags:
            response.headers.append("OCI-Tag", tag)
        return response

    async def delete(self, request: Request) -> Response:
        repository = request.path_params["name"]
        reference = names.reference(request.path_params["reference"])
        if isinstance(reference, Digest):
            await self._context.run(self._manifests.delete, repository, reference)
        else:
            await self._context.run(self._manifests.delete_tag, repository, reference)
        return Response(status_code=202)

    async def _get(self, request: Request) -> Manifest:
        text = request.path_params["reference"]
        if ":" not in text and not names.is_tag(text):
            raise Refusal("MANIFEST_UNKNOWN", {"tag": text[:200]})
        repository = request.path_params["name"]
        return await self._context.run(self._manifests.get, repository, names.reference(text))

    def _more_tags(self, request: Request, reference: Digest | str) -> list[str]:
        """Return the tags asked for along with a push by digest (row 63)."""
        if not isinstance(reference, Digest):
            return []
        tags = list(dict.fromkeys(request.query_params.getlist("tag")))
        if len(tags) > self._context.limits.tags_per_push:
            raise Refusal("TOO_MANY_TAGS", {"max": self._context.limits.tags_per_push})
        return [names.tag(tag) for tag in tags]


def _headers(manifest: Manifest) -> dict[str, str]:
    return {
        "Content-Type": manifest.media_type,
        "Content-Length": str(len(manifest.body)),
        "Docker-Content-Digest": str(manifest.digest),
        "ETag": f'"{manifest.digest}"',
    }
