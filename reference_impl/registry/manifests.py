"""Manifests: documents under their digest and under tags.

A manifest is its content.  Pushed by its sha512 digest it can be pulled by the sha256 one too, and
deleting it under one of its names deletes it under all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..drivers.base import Driver, NotFound
from . import documents, layout, locks, names, repositories
from .content import Content
from .digests import CANONICAL, ENCODED_CHARS, Digest, digest_of
from .errors import Refusal, SeveralRefusals
from .links import read_digest_link, write_links
from .tags import Tags


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that is there; ``digest`` is the name it was asked for by, or the canonical."""

    digest: Digest
    canonical: Digest
    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome of a push."""

    digest: Digest
    subject: str | None


@dataclass(frozen=True, slots=True)
class _Reference:
    """What a manifest refers to, and the link that makes it visible in the repository."""

    canonical: Digest
    link: str


class Manifests:
    def __init__(self, driver: Driver, content: Content, tags: Tags) -> None:
        self._driver = driver
        self._content = content
        self._tags = tags

    # -- pull ------------------------------------------------------------------------------

    def get(self, repository: str, reference: Digest | str) -> Manifest:
        """Rows 12 to 18.  Raises MANIFEST_UNKNOWN, NAME_UNKNOWN."""
        manifest = (
            self.read(repository, reference)
            if isinstance(reference, Digest)
            else self._read_tag(repository, reference)
        )
        if manifest is None:
            raise self._unknown(repository, reference)
        return manifest

    def read(self, repository: str, digest: Digest) -> Manifest | None:
        """Read a manifest by digest; None if absent, or if what is stored is not its content."""
        canonical = self.resolve(repository, digest)
        if canonical is None:
            return None
        try:
            body = self._driver.read(layout.blob_data(canonical))
        except NotFound:
            return None
        if digest_of(body) != canonical:
            return None
        return Manifest(digest, canonical, body, self._media_type(repository, canonical, body))

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        """Return the canonical digest behind a manifest's name in a repository, if linked."""
        return read_digest_link(self._driver, layout.revision_link(repository, digest), digest)

    def every(self, repository: str) -> dict[Digest, Digest]:
        """Return the manifests of a repository: canonical digest to the name it was pushed by."""
        found: dict[Digest, Digest] = {}
        for algorithm, chars in sorted(ENCODED_CHARS.items()):  # a canonical link is always there
            try:
                entries = self._driver.list(f"{layout.revisions(repository)}/{algorithm}")
            except NotFound:
                continue
            for encoded in entries:
                if len(encoded) == chars:
                    name = Digest(algorithm, encoded)
                    canonical = self.resolve(repository, name)
                    if canonical is not None:
                        found[canonical] = name
        return found

    def _read_tag(self, repository: str, tag: str) -> Manifest | None:
        before: Digest | None = None
        while True:
            digest = self._tags.resolve(repository, tag)
            if digest is None or digest == before:
                return None
            manifest = self.read(repository, digest)
            if manifest is not None:
                return manifest
            # The tag may have moved on, and its old manifest gone, between our two reads.
            before = digest

    def _media_type(self, repository: str, canonical: Digest, body: bytes) -> str:
        try:
            return self._driver.read(layout.media_type(repository, canonical)).decode("ascii")
        except (NotFound, UnicodeDecodeError):
            pass
        try:
            return documents.stored_type(body)
        except Refusal:
            return documents.OCI_IMAGE

    # -- push ------------------------------------------------------------------------------

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        """Accept a manifest (rows 52 to 64), durably, once everything it refers to is there.

        Raises MANIFEST_INVALID, DIGEST_INVALID; SeveralRefusals of MANIFEST_BLOB_UNKNOWN.
        """
        canonical = digest_of(body)
        digest = canonical
        if isinstance(reference, Digest):
            digest = digest_of(body, reference.algorithm)
            if digest != reference:
                detail = {"claimed": str(reference), "actual": str(digest)}
                raise Refusal("DIGEST_INVALID", detail)
        document = documents.parse(body, content_type)
        tags = [*more_tags] if isinstance(reference, Digest) else [reference]
        with locks.changing(self._driver, repository):
            wanted = self._resolve_references(repository, document)
            # From the check to the durable link nobody may condemn what we refer to.
            shards = {canonical, *(found.canonical for found in wanted.values() if found)}
            with locks.publishing(self._driver, shards):
                self._check_references(wanted)
                repositories.ensure(self._driver, repository)
                self._store(repository, canonical, body)
                self._note_media_type(repository, canonical, document)
                for name in sorted({canonical, digest}):  # the canonical one is there before any other
                    write_links(self._driver, [(layout.revision_link(repository, name), canonical)])
                for tag in tags:
                    self._tags.point(repository, tag, canonical)
        return Accepted(digest, document.subject)

    def _store(self, repository: str, canonical: Digest, body: bytes) -> None:
        """Store a manifest's bytes durably, and lease them."""
        path = layout.blob_data(canonical)
        with contextlib.suppress(NotFound):
            # A link is only made once what it leads to is durable.
            if self.resolve(repository, canonical) is not None and self._driver.read(path) == body:
                self._content.lease(canonical)
                return
        self._driver.write(path, body)
        # Explicitly: the time that a new file gets is too coarse to tell it from one before.
        self._content.lease(canonical)

    def _resolve_references(
        self, repository: str, document: documents.Document
    ) -> dict[str, _Reference | None]:
        wanted = {text: self._find_reference(repository, text, child=False) for text in document.blobs}
        return wanted | {
            text: self._find_reference(repository, text, child=True) for text in document.children
        }

    def _find_reference(self, repository: str, text: str, *, child: bool) -> _Reference | None:
        try:
            digest = names.digest(text)
        except Refusal:  # an algorithm unknown to us: we cannot have it
            return None
        if child and (canonical := self.resolve(repository, digest)) is not None:
            return _Reference(canonical, layout.revision_link(repository, digest))
        canonical = self._content.resolve(repository, digest)
        return None if canonical is None else _Reference(canonical, layout.layer_link(repository, digest))

    def _check_references(self, wanted: dict[str, _Reference | None]) -> None:
        missing = [
            Refusal("MANIFEST_BLOB_UNKNOWN", {"digest": text})
            for text, found in wanted.items()
            if found is None or not self._is_kept(found)
        ]
        if missing:
            raise SeveralRefusals(missing)

    def _is_kept(self, found: _Reference) -> bool:
        """Lease what is referred to, and make it durable: whoever pushed it may not have come to that yet."""
        if self._content.lease(found.canonical) is None:
            return False
        try:
            self._driver.settle(layout.blob_data(found.canonical))
            self._driver.settle(found.link)
        except NotFound:
            return False
        return True

    def _note_media_type(self, repository: str, canonical: Digest, document: documents.Document) -> None:
        path = layout.media_type(repository, canonical)
        if document.media_type != document.derived_type:
            self._driver.write(path, document.media_type.encode("ascii"))
        else:
            self._delete_if_there(path)

    # -- delete ----------------------------------------------------------------------------

    def delete(self, repository: str, digest: Digest) -> None:
        """Delete a manifest and all tags that point to it (rows 86 and 87).

        Raises MANIFEST_UNKNOWN, NAME_UNKNOWN.
        """
        with locks.changing(self._driver, repository):
            canonical = self.resolve(repository, digest)
            if canonical is None:
                raise self._unknown(repository, digest)
            # Tags first: a kill in between leaves a manifest without a tag, never the reverse.
            for tag in self._tags.pointing_to(repository, canonical):
                self._tags.remove(repository, tag)
            self._tags.settle(repository)
            self.forget(repository, canonical)

    def forget(self, repository: str, canonical: Digest) -> None:
        """Remove a manifest under all its names.  The caller holds the repository's lock."""
        for name in self._names_of(repository, canonical):
            self._delete_if_there(layout.revision_folder(repository, name))
        self._delete_if_there(layout.media_type(repository, canonical))

    def _names_of(self, repository: str, canonical: Digest) -> list[Digest]:
        """Return every digest the manifest is linked under, the canonical one last."""
        found = []
        try:
            body = self._driver.read(layout.blob_data(canonical))
        except NotFound:
            return [canonical]
        for algorithm in sorted(ENCODED_CHARS, reverse=True):
            name = canonical if algorithm == CANONICAL else digest_of(body, algorithm)
            if name == canonical or self.resolve(repository, name) is not None:
                found.append(name)
        return found

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete only the tag (rows 84 and 85).  Raises MANIFEST_UNKNOWN, NAME_UNKNOWN."""
        with locks.changing(self._driver, repository):
            if self._tags.resolve(repository, tag) is None:
                raise self._unknown(repository, tag)
            self._tags.remove(repository, tag)

    def _delete_if_there(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            self._driver.delete(path)

    def _unknown(self, repository: str, reference: Digest | str) -> Refusal:
        if not repositories.exists(self._driver, repository):
            return Refusal("NAME_UNKNOWN", {"name": repository})
        kind = "digest" if isinstance(reference, Digest) else "tag"
        return Refusal("MANIFEST_UNKNOWN", {kind: str(reference)})
