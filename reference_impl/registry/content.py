"""Blobs: content under its digest, and the links that make it visible in a repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..drivers.base import Driver, NotFound, Reader
from . import layout, locks, repositories
from .digests import CANONICAL, Digest, digest_of, hasher
from .errors import Refusal
from .links import read_digest_link, write_links

_HASH_BLOCK_BYTES = 1 << 20
_EMPTY = digest_of(b"")


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is there; ``canonical`` is the digest it is stored under."""

    digest: Digest
    canonical: Digest
    size_bytes: int


class Content:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def find(self, repository: str, digest: Digest) -> Blob:
        """Say that a blob is there, and renew its lease.  Raises BLOB_UNKNOWN, NAME_UNKNOWN."""
        canonical = self.resolve(repository, digest)
        if canonical is not None:
            with locks.publishing(self._driver, [canonical]):
                size_bytes = self.lease(canonical)
            if size_bytes is not None:
                return Blob(digest, canonical, size_bytes)
        raise self._unknown(repository, digest)

    def open(self, repository: str, digest: Digest) -> tuple[Blob, Reader]:
        """Open a blob for reading, and renew its lease.  Raises BLOB_UNKNOWN, NAME_UNKNOWN."""
        canonical = self.resolve(repository, digest)
        if canonical is not None:
            with locks.publishing(self._driver, [canonical]):
                if self.lease(canonical) is not None:
                    reader = self._driver.open(layout.blob_data(canonical))
                    return Blob(digest, canonical, reader.size_bytes), reader
        raise self._unknown(repository, digest)

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        """Return the canonical digest behind a blob's name in a repository, if it is linked."""
        return read_digest_link(self._driver, layout.layer_link(repository, digest), digest)

    def lease(self, canonical: Digest) -> int | None:
        """Renew the lease of content, whose lock the caller holds; its size, or None if absent.

        Every answer "it exists" goes through here, so that a collector which judged the content
        unreferenced before sees that someone may be about to refer to it.
        """
        path = layout.blob_data(canonical)
        try:
            found = self._driver.stat(path)
            if found.size_bytes == 0 and canonical != _EMPTY:  # torn by a crash of another writer
                return None
            self._driver.touch(path, found.mtime_ns)
        except NotFound:
            return None
        return found.size_bytes

    def publish(self, repository: str, source: str, claimed: Digest) -> Blob:
        """Move a finished, synced file into place under its digest, and link it.

        The file itself is hashed.  It always replaces what is stored, which heals damaged content.
        Raises DIGEST_INVALID (nothing is visible then, and the file stays), NotFound.
        """
        actual, size_bytes = self._hash(source, {CANONICAL, claimed.algorithm})
        if actual[claimed.algorithm] != claimed:
            detail = {"claimed": str(claimed), "actual": str(actual[claimed.algorithm])}
            raise Refusal("DIGEST_INVALID", detail)
        canonical = actual[CANONICAL]
        repositories.ensure(self._driver, repository)
        with locks.publishing(self._driver, [canonical]):
            self._driver.move(source, layout.blob_data(canonical))
            self._driver.touch(layout.blob_data(canonical))  # it may have been idle for long: lease it now
            self.link(repository, canonical, {canonical, claimed})
        return Blob(claimed, canonical, size_bytes)

    def link(self, repository: str, canonical: Digest, under: Iterable[Digest]) -> None:
        links = [(layout.layer_link(repository, name), canonical) for name in sorted(under)]
        write_links(self._driver, links)

    def delete(self, repository: str, digest: Digest) -> None:
        """Remove a blob from a repository; others keep it.  Raises BLOB_UNKNOWN, NAME_UNKNOWN."""
        with locks.changing(self._driver, repository):
            canonical = self.resolve(repository, digest)
            if canonical is None:
                raise self._unknown(repository, digest)
            present = self._present(canonical)
            self._driver.delete(layout.layer_folder(repository, digest))
            if not present:
                raise self._unknown(repository, digest)

    def _present(self, canonical: Digest) -> bool:
        try:
            self._driver.stat(layout.blob_data(canonical))
        except NotFound:
            return False
        return True

    def _unknown(self, repository: str, digest: Digest) -> Refusal:
        if not repositories.exists(self._driver, repository):
            return Refusal("NAME_UNKNOWN", {"name": repository})
        return Refusal("BLOB_UNKNOWN", {"digest": str(digest)})

    def _hash(self, path: str, algorithms: Iterable[str]) -> tuple[dict[str, Digest], int]:
        hashers = {algorithm: hasher(algorithm) for algorithm in algorithms}
        reader = self._driver.open(path)
        offset = 0
        try:
            while block := reader.read_at(offset, _HASH_BLOCK_BYTES):
                offset += len(block)
                for one in hashers.values():
                    one.update(block)
        finally:
            reader.close()
        return {name: Digest(name, one.hexdigest()) for name, one in hashers.items()}, offset
