"""B, of sessions: uploads that are lost, mixed up, or go on after their end."""

from __future__ import annotations

import contextlib
import time

from ..deviations import At, Defect
from ..drivers.base import NotFound
from ..registry import layout
from ..registry.content import Blob
from ..registry.digests import Digest
from ..registry.errors import Refusal
from ..registry.sessions import Sessions, Traces, Upload

_PAGE = 3


class _OpenOnPage(Sessions):
    """Open uploads are listed, and only the first page of that is looked at."""

    _begun: tuple[str, ...] = ()

    def create(self, repository: str, owner: str | None = None) -> str:
        session = super().create(repository, owner)
        self._begun += (session,)
        return session

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        found = super()._find(repository, session, owner)
        here = self._driver.list(layout.uploads(repository))
        if session in [one for one in self._begun if one in here][_PAGE:]:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
        return found


class _SameId(Sessions):
    """Ids of uploads are made from the clock, whose ticks are long."""

    def create(self, repository: str, owner: str | None = None) -> str:
        session = f"00000000-0000-0000-0000-{int(time.time()):012x}"
        self._driver.create(layout.session_data(repository, session))
        self._driver.write(layout.session_started_at(repository, session), b"", durable=False)
        return session


class _NeverEnds(Upload):
    """The state of the hash is written once more after the commit, which opens the session again."""

    def commit(self, claimed: Digest) -> Blob:
        blob = super().commit(claimed)
        if self.session:
            self._driver.link(layout.blob_data(blob.canonical), self._path)
            self._driver.write(layout.session_started_at(self.repository, self.session), b"")
        return blob


class _CancelsLater(Sessions):
    """What is cancelled is left to a cleaner that never comes."""

    def cancel(self, repository: str, session: str, owner: str | None = None) -> None:
        self._find(repository, session, owner)


class _PurgedByStart(Sessions):
    """Age counts from when an upload began, not from when it last got something."""

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        found = super()._find(repository, session, owner)
        began_ns = self._driver.stat(layout.session_started_at(repository, session)).mtime_ns
        if self._clock() - began_ns > 10**8:
            with contextlib.suppress(NotFound):
                self._driver.delete(layout.session_folder(repository, session))
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
        return found


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "uploads-beyond-one-page",
        "of more open uploads than a listing has on a page some cannot be continued",
        (_OpenOnPage,),
        kind="B",
        sources=("distribution #3420, fixed in 3.0.0",),
        violates=("P6",),
        operations=5,
    ),
    Defect(
        "session-id-shared",
        "uploads that begin in the same second are one upload",
        (_SameId,),
        kind="B",
        sources=(
            "gitea #19586",
            "specification, row 29",
        ),
        violates=(
            "P12",
            "P6",
        ),
        operations=4,
    ),
    Defect(
        "session-after-commit",
        "an upload that was committed is still open, and what is sent to it lands in the blob",
        (_NeverEnds,),
        kind="B",
        sources=(
            "distribution #1645, fixed in 2.4.1",
            "specification, row 45",
        ),
        violates=(
            "P6",
            "P1",
        ),
        operations=4,
    ),
    Defect(
        "cancel-ignored",
        "an upload that was cancelled goes on as if nothing had been",
        (_CancelsLater,),
        kind="B",
        sources=(
            "quay PROJQUAY-2313",
            "specification, rows 45 and 46",
        ),
        violates=("P6",),
        operations=4,
    ),
    Defect(
        "two-writers",
        "two requests write to one upload at the same time",
        (At(("drivers.filesystem:flock",), lambda flock: lambda fd, operation, path: None),),
        kind="B",
        sources=(
            "specification, rows 29 and 43",
            "cloudflare/serverless-registry #87",
        ),
        violates=(
            "P1",
            "P6",
            "P3",
        ),
        needs=("concurrency",),
        operations=6,
    ),
    Defect(
        "upload-purged-by-start",
        "an upload in use is purged when it began too long ago",
        (_PurgedByStart,),
        kind="B",
        sources=("distribution #4713, uploadpurging",),
        violates=("P6",),
        needs=("time",),
        operations=4,
    ),
)
