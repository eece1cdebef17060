"""Tags: names that move between manifests, each move one atomic step."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from ..drivers.base import Driver, NotFound
from . import layout, names, repositories
from .digests import Digest
from .errors import Refusal
from .links import read_link, write_links


class Tags:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def resolve(self, repository: str, tag: str) -> Digest | None:
        """Return the manifest's digest, or None if there is no such tag."""
        return read_link(self._driver, layout.tag_current_link(repository, tag))

    def page(self, repository: str, last: str | None, limit: int) -> tuple[list[str], bool]:
        """Return up to ``limit`` tags after ``last``, and whether there are more (rows 65 to 71).

        ASCIIbetical; only tags that can be pulled.  Raises NAME_UNKNOWN.
        """
        if not repositories.exists(self._driver, repository):
            raise Refusal("NAME_UNKNOWN", {"name": repository})
        found: list[str] = []
        for tag in self._names(repository):
            if last is not None and tag <= last:
                continue
            if not self._is_live(repository, tag):
                continue
            if len(found) == limit:
                return found, True
            found.append(tag)
        return found, False

    def pointing_to(self, repository: str, digest: Digest) -> list[str]:
        return [tag for tag in self._names(repository) if self.resolve(repository, tag) == digest]

    def all(self, repository: str) -> Iterator[tuple[str, Digest]]:
        """Yield every tag with the digest it points to."""
        for tag in self._names(repository):
            digest = self.resolve(repository, tag)
            if digest is not None:
                yield tag, digest

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        """Make the tag point to a manifest (row 64).  The caller holds the repository's lock."""
        folder = layout.tag_folder(repository, tag)
        index_link = layout.tag_index_link(repository, tag, digest)
        current_link = layout.tag_current_link(repository, tag)
        if self._there(folder):
            write_links(self._driver, [(index_link, digest), (current_link, digest)])
            return
        # A new tag appears complete, in one step: every folder in ``tags`` counts as a tag.
        building = f"{layout.SCRATCH}/{uuid.uuid4().hex}"
        for link in (index_link, current_link):
            self._driver.write(building + link.removeprefix(folder), str(digest).encode("ascii"))
        self._driver.move(building, folder)

    def remove(self, repository: str, tag: str) -> None:
        """Remove the tag, if it is there.  The caller holds the repository's lock."""
        with contextlib.suppress(NotFound):
            self._driver.delete(layout.tag_folder(repository, tag))

    def settle(self, repository: str) -> None:
        """Make sure that removed tags stay removed, also those of someone who was killed in the middle."""
        with contextlib.suppress(NotFound):
            self._driver.settle(layout.tags(repository))

    def _there(self, path: str) -> bool:
        try:
            self._driver.stat(path)
        except NotFound:
            return False
        return True

    def _is_live(self, repository: str, tag: str) -> bool:
        digest = self.resolve(repository, tag)
        return digest is not None and self._there(layout.revision_link(repository, digest))

    def _names(self, repository: str) -> list[str]:
        try:
            entries = self._driver.list(layout.tags(repository))
        except NotFound:
            return []
        return [entry for entry in entries if names.is_tag(entry)]
