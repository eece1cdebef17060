"""G: what a crash, a power cut or a failing disk leaves behind."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..collect import survey
from ..collect.mark import Marker
from ..deviations import At, Defect
from ..drivers.base import Busy, Driver, DriverError, NotFound
from ..drivers.filesystem import FilesystemDriver
from ..drivers.posix import Posix
from ..registry import layout
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.manifests import Accepted, Manifests
from ..registry.sessions import Sessions, Traces
from ..registry.tags import Tags

_BLOCK_BYTES = 4096


def rewrite(full: str, data: bytes) -> os.stat_result:
    """Empty a file, and write into it: a crash between the two leaves it empty."""
    fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(fd, 0)
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
        return os.fstat(fd)
    finally:
        os.close(fd)


class _InPlace(FilesystemDriver):
    ends = "/link"

    def _write(self, path: str, data: bytes, *, sync: bool) -> os.stat_result:
        if not path.endswith(self.ends):
            return super()._write(path, data, sync=sync)
        full = self._full(path)
        self._folders.make(os.path.dirname(full))
        return rewrite(full, data)


class _ContentInPlace(_InPlace):
    ends = "/data"


class _TornIsAnError(Tags):
    def resolve(self, repository: str, tag: str) -> Digest | None:
        found = super().resolve(repository, tag)
        if found is None and survey.exists(self._driver, layout.tag_current_link(repository, tag)):
            raise OSError(errno.EINVAL, "invalid checksum digest format")
        return found


class _TornStopsCollection(Marker):
    def mark(self, repository: str, choose: Callable[..., Any]) -> None:
        for name in survey.linked(self._driver, layout.revisions(repository)):
            self._check(layout.revision_link(repository, name))
        for name in survey.linked(self._driver, layout.layers(repository)):
            self._check(layout.layer_link(repository, name))
        super().mark(repository, choose)

    def _check(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            if not self._driver.read(path):
                raise DriverError("failed to mark: invalid checksum digest format")


class _AlreadyStored(Manifests):
    """Content that is at its place is taken for what belongs there."""

    def _store(self, repository: str, canonical: Digest, body: bytes) -> None:
        if not survey.exists(self._driver, layout.blob_data(canonical)):
            super()._store(repository, canonical, body)


class _Copies(FilesystemDriver):
    """Blobs are copied to their place, whatever is there, and whoever reads it."""

    def move(self, source: str, target: str) -> None:
        full = self._full(target)
        if not target.startswith(layout.BLOBS) or not os.path.exists(full):
            super().move(source, target)
            return
        with open(self._full(source), "rb") as file:
            rewrite(full, file.read())
        self.discard(source)


class _Unsynced(Posix):
    def sync(self, fd: int) -> None:
        pass


class _UnsyncedFolders(Posix):
    def sync_folder(self, full: str) -> None:
        pass


class _NoSync(FilesystemDriver):
    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(root, **options | {"posix": _Unsynced()})


class _NoFolderSync(FilesystemDriver):
    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(root, **options | {"posix": _UnsyncedFolders()})


class _DeletesLater(FilesystemDriver):
    """That something is gone is left to the operating system to write down."""

    def delete(self, path: str) -> None:
        doomed = self._detach(path)
        if doomed is not None:
            self._remove_tree(doomed)


class _OneFile(Tags):
    """Every tag of a repository is written anew with each that changes, as in one index."""

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        super().point(repository, tag, digest)
        for other, target in list(self.all(repository)):
            path = self._driver._full(layout.tag_current_link(repository, other))  # type: ignore[attr-defined]
            rewrite(path, str(target).encode())


class _TagsFirst(Manifests):
    """Tags are pointed to a manifest before it is stored."""

    _wanted = threading.local()

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        self._wanted.tags = [*more_tags] if isinstance(reference, Digest) else [reference]
        return super().put(repository, reference, body, content_type, more_tags)

    def _store(self, repository: str, canonical: Digest, body: bytes) -> None:
        for tag in self._wanted.tags:
            self._tags.point(repository, tag, canonical)
        super()._store(repository, canonical, body)


def _all_or_nothing(ensure: Callable[[Driver, str], None]) -> Callable[[Driver, str], None]:
    """A repository that has some of its folders is taken for broken."""

    def checked(driver: Driver, name: str) -> None:
        there = [survey.exists(driver, path(name)) for path in (layout.layers, layout.revisions, layout.tags)]
        if any(there) and not all(there):
            raise OSError(errno.EIO, "the repository is not valid")
        ensure(driver, name)

    return checked


class _KeyOfOneStart(Sessions):
    """An upload is known to who opened it: the process that runs."""

    opened: ClassVar[set[str]] = set()

    def create(self, repository: str, owner: str | None = None) -> str:
        session = super().create(repository, owner)
        self.opened.add(session)
        return session

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        if session not in self.opened:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
        return super()._find(repository, session, owner)


class _WholeBlocks(_KeyOfOneStart):
    """An upload that another process began goes on after the last whole block."""

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        found = Sessions._find(self, repository, session, owner)
        if session in self.opened or not found.has_data:
            return found
        self.opened.add(session)
        with contextlib.suppress(Busy):
            appender = self._driver.append(layout.session_data(repository, session))
            appender.truncate(found.size_bytes // _BLOCK_BYTES * _BLOCK_BYTES)
            appender.close()
        return Sessions._find(self, repository, session, owner)


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "links-written-in-place",
        "a kill while a tag moves leaves it empty: the old value is lost, too",
        (_InPlace,),
        kind="G",
        sources=("distribution #4478, fixed in 3.1.0 (#4624)",),
        violates=("P3", "P4"),
        needs=("kill",),
    ),
    Defect(
        "torn-links-are-errors",
        "a tag that a kill left empty answers 500",
        (_InPlace, _TornIsAnError),
        kind="G",
        sources=("distribution #4478, fixed in 3.1.0 (#4624)",),
        violates=("P3", "P4", "P11"),
        needs=("kill",),
        operations=5,
    ),
    Defect(
        "torn-links-stop-collections",
        "after a kill in a push every collection fails",
        (_InPlace, _TornStopsCollection),
        kind="G",
        sources=("distribution #1960 and #2635", "gitlab-org/gitlab #37611"),
        violates=("P10",),
        needs=("kill", "collect"),
        rare="a kill has to tear a link, and a collection has to come before the next push",
    ),
    Defect(
        "torn-manifests-stay",
        "a manifest whose write failed is taken for stored when it is pushed again",
        (_ContentInPlace, _AlreadyStored),
        kind="G",
        sources=("distribution #4478 (a write error), fixed in 3.1.0",),
        violates=("P9", "P3"),
        needs=("storage",),
        operations=5,
    ),
    Defect(
        "blobs-copied-into-place",
        "a kill while a blob is pushed again leaves a part of it under its digest",
        (_Copies,),
        kind="G",
        sources=("nora #553, fixed in v0.9.3",),
        violates=("P3", "P1"),
        needs=("kill",),
        operations=4,
    ),
    Defect(
        "files-not-synced",
        "a power cut leaves acknowledged content empty",
        (_NoSync,),
        kind="G",
        sources=("projectbluefin/lab #236 (zot)",),
        violates=("P3",),
        needs=("power",),
    ),
    Defect(
        "folders-not-synced",
        "a power cut takes the names of acknowledged content",
        (_NoFolderSync,),
        kind="G",
        sources=("distribution #4774, fixed in 3.1.0", "nora #723, fixed in v0.9.5"),
        violates=("P3",),
        needs=("power",),
        operations=4,
    ),
    Defect(
        "deletions-not-synced",
        "a power cut brings back what was deleted",
        (_DeletesLater,),
        kind="G",
        sources=("distribution #4774, fixed in 3.1.0", "nora #723, fixed in v0.9.5"),
        violates=("P5", "P3"),
        needs=("power",),
    ),
    Defect(
        "index-truncated-on-errors",
        "a disk error while one tag is pushed empties other tags of its repository",
        (_OneFile,),
        kind="G",
        sources=("zot #3924, fixed in v2.1.16 (#3963)",),
        violates=("P3", "P4"),
        needs=("storage",),
        operations=4,
    ),
    Defect(
        "tags-before-manifests",
        "a kill in a push leaves a tag without its manifest",
        (_TagsFirst,),
        kind="G",
        sources=("projectbluefin/lab #236 (zot: manifest unknown after a restart)",),
        violates=("P3", "P4"),
        needs=("kill",),
        operations=5,
    ),
    Defect(
        "repositories-half-made",
        "a kill in the first push to a repository makes it unusable",
        (At(("registry.repositories:ensure",), _all_or_nothing),),
        kind="G",
        sources=("zot 63b88d0e, fixed in v1.2.7",),
        violates=("P3", "P11", "P9"),
        needs=("kill",),
    ),
    Defect(
        "sessions-lost-at-a-start",
        "no upload goes on after a restart, though that is promised",
        (_KeyOfOneStart,),
        kind="G",
        sources=("distribution (http.secret not set)",),
        violates=("P6", "P3"),
        needs=("kill",),
        operations=4,
    ),
    Defect(
        "chunks-kept-in-memory",
        "a kill takes the end of what was acknowledged of an upload",
        (_WholeBlocks,),
        kind="G",
        sources=("nora #357, fixed in v0.9.0", "specification, row 44"),
        violates=("P6", "P3"),
        needs=("kill",),
        operations=5,
    ),
)
