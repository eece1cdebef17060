"""Mounts: making a blob of one repository visible in another, without sending it again."""

from __future__ import annotations

from ..drivers.base import Driver
from . import layout, locks, repositories
from .content import Blob, Content
from .digests import Digest


class Mounts:
    def __init__(self, driver: Driver, content: Content) -> None:
        self._driver = driver
        self._content = content

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Link a blob of ``source`` (rows 48 to 50); None if it is not there.

        Its lease is renewed, and the link is durable, while the collector is kept away.
        """
        canonical = self._content.resolve(source, digest)
        if canonical is None:
            return None
        with locks.publishing(self._driver, [canonical]):
            size_bytes = self._content.lease(canonical)
            if size_bytes is None:
                return None
            repositories.ensure(self._driver, repository)
            self._driver.settle(layout.blob_data(canonical))
            self._content.link(repository, canonical, {canonical, digest})
        return Blob(digest, canonical, size_bytes)
