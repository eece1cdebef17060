"""Mounts that do not happen, or happen from elsewhere (rows 48 to 50)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ..api.uploads import Uploads
from ..deviations import Variant
from ..registry import repositories
from ..registry.content import Blob
from ..registry.digests import Digest
from ..registry.mounts import Mounts
from .middleware import answer


class _Refused(Uploads):
    async def begin(self, request: Request) -> Response | None:
        if "mount" in request.query_params:
            await self._admit(request)
            return answer(405, "UNSUPPORTED")
        return await super().begin(request)


class _Never(Mounts):
    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        return None


class _FromAnywhere(Mounts):
    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Without ``from`` the source is the repository itself."""
        if source != repository:
            return super().mount(repository, digest, source)
        every = repositories.every(self._driver, "")
        return next(
            filter(None, (super(_FromAnywhere, self).mount(repository, digest, s) for s in every)), None
        )


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "mount-refused",
        "there are no mounts: 405",
        (_Refused,),
        allowed_by=("specification, row 50: 202 only SHOULD be the answer",),
    ),
    Variant(
        "mount-opens-session",
        "every mount opens an upload session instead: 202",
        (_Never,),
        allowed_by=("specification, row 50",),
    ),
    Variant(
        "mount-from-anywhere",
        "a mount that names no source finds the blob in any repository",
        (_FromAnywhere,),
        allowed_by=("specification, row 49",),
    ),
)
