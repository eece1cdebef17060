"""E: deletions that take too little, or too much."""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import Response

from ..api.blobs import Blobs
from ..deviations import Defect
from ..drivers.base import Driver, NotFound
from ..registry import documents, layout, names, repositories
from ..registry.content import Blob, Content
from ..registry.digests import CANONICAL, Digest
from ..registry.errors import Refusal
from ..registry.manifests import Manifest, Manifests
from ..registry.tags import Tags

Names = frozenset[tuple[str, Digest]]
"""Digests, each in a repository."""


class _BlobStays(Content):
    def delete(self, repository: str, digest: Digest) -> None:
        self.find(repository, digest)


class _BlobEverywhere(Content):
    def delete(self, repository: str, digest: Digest) -> None:
        canonical = self.resolve(repository, digest)
        super().delete(repository, digest)
        if canonical is not None:
            self._driver.delete(layout.blob_data(canonical))


class _BlobNoted(Content):
    deleted: Names = frozenset()

    def delete(self, repository: str, digest: Digest) -> None:
        super().delete(repository, digest)
        self.deleted |= {(repository, digest)}


class _BlobRevived(_BlobNoted):
    """A blob that some repository still has is linked again when somebody looks for it."""

    def find(self, repository: str, digest: Digest) -> Blob:
        canonical = digest.algorithm == CANONICAL
        if canonical and (repository, digest) in self.deleted and self.lease(digest) is not None:
            self.link(repository, digest, {digest})
        return super().find(repository, digest)


class _BlobUnique(_BlobNoted):
    """The row of what was deleted is still there, and there may be one only."""

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        if (repository, claimed) in self.deleted:
            raise OSError("duplicate key value violates unique constraint")
        return super().publish(repository, source, claimed)


class _BlobBuried(Content):
    """What is marked as deleted stays so, whoever pushes it."""

    def delete(self, repository: str, digest: Digest) -> None:
        super().delete(repository, digest)
        _mark(self._driver, layout.layer_folder(repository, digest))

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        if _is_marked(self._driver, layout.layer_folder(repository, digest)):
            return None
        return super().resolve(repository, digest)


def _mark(driver: Driver, folder: str) -> None:
    driver.write(f"{folder}/deleted", b"")


def _is_marked(driver: Driver, folder: str) -> bool:
    with contextlib.suppress(NotFound):
        return driver.stat(f"{folder}/deleted") is not None
    return False


class _BlobHidden(Content):
    """A deletion is noted in memory, and what is stored stays as it is."""

    hidden: Names = frozenset()

    def delete(self, repository: str, digest: Digest) -> None:
        self.find(repository, digest)
        self.hidden |= {(repository, digest)}

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        blob = super().publish(repository, source, claimed)
        self.hidden -= {(repository, claimed)}
        return blob

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        return None if (repository, digest) in self.hidden else super().resolve(repository, digest)


class _AlwaysGone(Blobs):
    async def delete(self, request: Request) -> Response:
        try:
            return await super().delete(request)
        except Refusal:
            return Response(status_code=202)


class _ManifestStays(Manifests):
    def delete(self, repository: str, digest: Digest) -> None:
        self.get(repository, digest)


class _TagsServe(Manifests):
    """Tags lead to the content itself, and nobody looks for them when it is deleted."""

    def delete(self, repository: str, digest: Digest) -> None:
        self.forget(repository, self.get(repository, digest).canonical)

    def _read_tag(self, repository: str, tag: str) -> Manifest | None:
        digest = self._tags.resolve(repository, tag)
        if digest is None:
            return None
        try:
            body = self._driver.read(layout.blob_data(digest))
        except NotFound:
            return None
        return Manifest(digest, digest, body, self._media_type(repository, digest, body))


class _WithChildren(Manifests):
    def delete(self, repository: str, digest: Digest) -> None:
        found = self.read(repository, digest)
        super().delete(repository, digest)
        for child in documents.parse(found.body, found.media_type).children if found else ():
            self.forget(repository, names.digest(child))


class _WithLayers(Manifests):
    def delete(self, repository: str, digest: Digest) -> None:
        found = self.read(repository, digest)
        super().delete(repository, digest)
        for blob in documents.parse(found.body, found.media_type).blobs if found else ():
            self._delete_if_there(layout.layer_folder(repository, names.digest(blob)))


class _ManifestBuried(Manifests):
    """What is marked as deleted stays so, whoever puts it."""

    def delete(self, repository: str, digest: Digest) -> None:
        super().delete(repository, digest)
        _mark(self._driver, layout.revision_folder(repository, digest))

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        if _is_marked(self._driver, layout.revision_folder(repository, digest)):
            return None
        return super().resolve(repository, digest)


class _ManifestWithTag(Manifests):
    def delete_tag(self, repository: str, tag: str) -> None:
        digest = self.get(repository, tag).canonical
        super().delete_tag(repository, tag)
        self.delete(repository, digest)


class _RemovesEqual(Tags):
    def remove(self, repository: str, tag: str) -> None:
        digest = self.resolve(repository, tag)
        for one in self.pointing_to(repository, digest) if digest else ():
            super().remove(repository, one)


class _RemovesLonger(Tags):
    def remove(self, repository: str, tag: str) -> None:
        for one in [name for name in self._names(repository) if name.startswith(tag)]:
            super().remove(repository, one)


class _RemovesEverywhere(Tags):
    def remove(self, repository: str, tag: str) -> None:
        for name in repositories.every(self._driver):
            super().remove(name, tag)


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "blob-delete-no-effect",
        "a blob that was deleted is still there",
        (_BlobStays,),
        kind="E",
        sources=(
            "quay #6326",
            "specification, row 88",
        ),
        violates=("P5",),
        operations=2,
    ),
    Defect(
        "blob-delete-everywhere",
        "deleting a blob takes it away from the other repositories that have it",
        (_BlobEverywhere,),
        kind="E",
        sources=(
            "zot #4201, fixed in 2.1.19",
            "specification, row 89",
        ),
        violates=(
            "P5",
            "P2",
            "P3",
        ),
        operations=4,
    ),
    Defect(
        "blob-delete-revived",
        "a deleted blob is there again when it is looked for, from another repository's copy",
        (_BlobRevived,),
        kind="E",
        sources=("zot #1733, fixed after 2.1.19",),
        violates=("P5",),
        operations=3,
    ),
    Defect(
        "blob-delete-bars-push",
        "a blob that was deleted cannot be pushed again: an internal error",
        (_BlobUnique,),
        kind="E",
        sources=("pulp_container #595",),
        violates=(
            "P11",
            "P9",
            "P6",
        ),
        operations=4,
    ),
    Defect(
        "blob-delete-for-ever",
        "a blob that was deleted and pushed again is answered with 201, and not there",
        (_BlobBuried,),
        kind="E",
        sources=(
            "pulp_container #595",
            "gitea #21862, fixed in 1.18",
        ),
        violates=(
            "P3",
            "P9",
            "P5",
        ),
        operations=4,
    ),
    Defect(
        "blob-delete-in-memory",
        "a deleted blob is back after a restart",
        (_BlobHidden,),
        kind="E",
        sources=("quay #6326",),
        violates=("P5",),
        needs=("kill",),
        operations=4,
    ),
    Defect(
        "blob-delete-of-nothing",
        "deleting a blob that is not there is answered with 202",
        (_AlwaysGone,),
        kind="E",
        sources=(
            "distribution #4802, fixed in 3.1.0",
            "specification, row 88",
        ),
        violates=("P12",),
        operations=2,
    ),
    Defect(
        "manifest-delete-no-effect",
        "a manifest that was deleted is still there",
        (_ManifestStays,),
        kind="E",
        sources=(
            "trow #460",
            "specification, row 87",
        ),
        violates=("P5",),
        operations=3,
    ),
    Defect(
        "manifest-delete-leaves-tags",
        "a tag still serves its manifest after that was deleted by digest",
        (_TagsServe,),
        kind="E",
        sources=(
            "nora #658, fixed in 0.9.4",
            "specification, row 87",
        ),
        violates=("P5",),
        operations=4,
    ),
    Defect(
        "index-delete-takes-children",
        "deleting an index takes its children along",
        (_WithChildren,),
        kind="E",
        sources=(
            "harbor #11277",
            "specification, row 89",
        ),
        violates=(
            "P5",
            "P2",
        ),
        operations=5,
    ),
    Defect(
        "manifest-delete-takes-layers",
        "deleting a manifest takes its layers from other manifests that have them",
        (_WithLayers,),
        kind="E",
        sources=(
            "quay PROJQUAY-10909",
            "specification, row 89",
        ),
        violates=(
            "P2",
            "P5",
            "P3",
        ),
        operations=6,
    ),
    Defect(
        "manifest-delete-for-ever",
        "a manifest that was deleted and put again is answered with 201, and not there",
        (_ManifestBuried,),
        kind="E",
        sources=("pulp_container #595",),
        violates=(
            "P3",
            "P9",
            "P5",
        ),
        operations=5,
    ),
    Defect(
        "tag-delete-takes-manifest",
        "deleting a tag deletes the manifest and its other tags",
        (_ManifestWithTag,),
        kind="E",
        sources=(
            "zot #2626, fixed in 2.1.2",
            "specification, row 84",
        ),
        violates=(
            "P5",
            "P2",
        ),
        operations=4,
    ),
    Defect(
        "tag-delete-takes-equal-tags",
        "deleting a tag deletes all tags of the same manifest",
        (_RemovesEqual,),
        kind="E",
        sources=(
            "distribution #1566",
            "specification, row 89",
        ),
        violates=("P5",),
        operations=5,
    ),
    Defect(
        "tag-delete-takes-longer-tags",
        "deleting a tag deletes all tags that begin like it",
        (_RemovesLonger,),
        kind="E",
        sources=(
            "gitlab container-registry #2152",
            "specification, row 89",
        ),
        violates=("P5",),
        operations=5,
    ),
    Defect(
        "tag-delete-everywhere",
        "deleting a tag deletes the tag of that name in every repository",
        (_RemovesEverywhere,),
        kind="E",
        sources=(
            "gitlab container-registry !2348",
            "specification, row 89",
        ),
        violates=("P5",),
        operations=5,
    ),
)
