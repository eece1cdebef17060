"""Who may delete, and what goes with it (rows 84 to 89)."""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import Response

from ..api.blobs import Blobs
from ..api.manifests import Manifests as ManifestEndpoints
from ..deviations import Variant, Wrap
from ..drivers.base import NotFound
from ..registry import documents, layout, names
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.manifests import Manifests
from .middleware import answer


def _no_deletes(status: int) -> tuple[Wrap, ...]:
    class NoBlobDeletes(Blobs):
        async def delete(self, request: Request) -> Response:
            return answer(status, "UNSUPPORTED")

    class NoManifestDeletes(ManifestEndpoints):
        async def delete(self, request: Request) -> Response:
            return answer(status, "UNSUPPORTED")

    return NoBlobDeletes, NoManifestDeletes


class _NoTagDeletes(ManifestEndpoints):
    async def delete(self, request: Request) -> Response:
        if names.is_tag(request.path_params["reference"]):
            return answer(400, "UNSUPPORTED")
        return await super().delete(request)


class _NoBlobDeletes(Blobs):
    async def delete(self, request: Request) -> Response:
        return answer(405, "UNSUPPORTED")


class _CollectsAtOnce(Manifests):
    def forget(self, repository: str, canonical: Digest) -> None:
        before = self._named(repository, canonical)
        super().forget(repository, canonical)
        still = {text for other in self.every(repository) for text in self._named(repository, other)}
        for text in before - still:
            with contextlib.suppress(NotFound, Refusal):
                self._driver.delete(layout.layer_folder(repository, names.digest(text)))

    def _named(self, repository: str, canonical: Digest) -> set[str]:
        manifest = self.read(repository, canonical)
        if manifest is None:
            return set()
        return set(documents.parse(manifest.body, manifest.media_type).blobs)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "deletes-refused-400",
        "nothing can be deleted: 400",
        _no_deletes(400),
        allowed_by=("specification, rows 84, 86 and 88",),
    ),
    Variant(
        "deletes-refused-405",
        "nothing can be deleted: 405",
        _no_deletes(405),
        allowed_by=("specification, rows 84, 86 and 88",),
    ),
    Variant(
        "tag-deletes-refused",
        "tags cannot be deleted, only manifests and blobs: 400",
        (_NoTagDeletes,),
        allowed_by=("specification, row 84",),
    ),
    Variant(
        "blob-deletes-refused",
        "blobs cannot be deleted, only manifests and tags: 405",
        (_NoBlobDeletes,),
        allowed_by=("specification, row 88",),
    ),
    Variant(
        "manifest-delete-collects",
        "with a manifest go at once those of its blobs that no other manifest of the repository names",
        (_CollectsAtOnce,),
        allowed_by=("specification, section 1.9: collection is not in it", "specification, row 86"),
        promises=("collects_itself=blobs",),
    ),
)
