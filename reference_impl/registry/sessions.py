"""Upload sessions: bytes that are on their way to become a blob.

The length of the session's file is the truth about how far it is, so a session survives a restart.
A session has one writer at a time and belongs to one repository, and to the account that opened it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ..drivers.base import Appender, Busy, Driver, NotFound, Stat
from . import layout, names
from .content import Blob, Content
from .digests import Digest
from .errors import OutOfOrder, Refusal

SESSION_MAX_AGE_S = 7 * 86400.0
_SWEEP_INTERVAL_NS = 60 * 10**9
_SWEPT_MAX = 1024


class Sessions:
    """``max_age_s``: a session that got nothing for longer is as good as gone.

    ``open_max`` bounds how many a repository has at once; None does not.
    """

    def __init__(
        self,
        driver: Driver,
        content: Content,
        *,
        clock: Callable[[], int] = time.time_ns,
        max_age_s: float = SESSION_MAX_AGE_S,
        open_max: int | None = None,
    ) -> None:
        self._driver = driver
        self._content = content
        self._clock = clock
        self._max_age_ns = int(max_age_s * 1e9)
        self._open_max = open_max
        self._swept_ns: dict[str, int] = {}

    def create(self, repository: str, owner: str | None = None) -> str:
        """Begin an upload; returns its id (rows 28 and 29).  Raises TOOMANYREQUESTS.

        It survives a kill, and a power cut too as soon as `Upload.keep` kept something of it.
        Only ``owner``, an account, can then see and continue it; None: whoever may push.
        """
        self._make_room(repository)
        session = names.new_session()
        self._driver.create(layout.session_data(repository, session))
        if owner is not None:
            self._driver.write(layout.session_owner(repository, session), owner.encode())
        # This makes it usable, so it comes last: no crash leaves a session that has lost its owner.
        started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock() // 10**9))
        path = layout.session_started_at(repository, session)
        self._driver.write(path, started_at.encode("ascii"), durable=False)
        return session

    def size(self, repository: str, session: str, owner: str | None = None) -> int:
        """Return how many bytes arrived so far (row 44).  Raises BLOB_UPLOAD_UNKNOWN."""
        return self._find(repository, session, owner).size_bytes

    def resume(self, repository: str, session: str, owner: str | None = None) -> Upload:
        """Become the writer.  Raises BLOB_UPLOAD_UNKNOWN; OutOfOrder while another one writes."""
        found = self._find(repository, session, owner)
        path = layout.session_data(repository, session)
        try:
            if not found.has_data:
                self._driver.create(path)
                self._driver.settle(path)
            appender = self._driver.append(path)
        except NotFound:
            raise _unknown(session) from None
        except Busy:
            raise OutOfOrder("UPLOAD_BUSY", found.size_bytes, {"session": session}) from None
        folder = layout.session_folder(repository, session)
        return Upload(self._driver, self._content, repository, session, path, folder, appender)

    def cancel(self, repository: str, session: str, owner: str | None = None) -> None:
        """Forget an upload (row 46).  A writer at work loses it.  Raises BLOB_UPLOAD_UNKNOWN."""
        self._find(repository, session, owner)
        try:
            self._driver.delete(layout.session_folder(repository, session))
        except NotFound:
            raise _unknown(session) from None

    def _find(self, repository: str, session: str, owner: str | None) -> Traces:
        """Return what there is of a session that ``owner`` may use.  Raises BLOB_UPLOAD_UNKNOWN."""
        found = traces(self._driver, repository, session)
        if not found.is_open or self._clock() - found.touched_ns > self._max_age_ns:
            raise _unknown(session)
        try:
            opened_by = self._driver.read(layout.session_owner(repository, session))
        except NotFound:
            return found
        if not owner or opened_by != owner.encode():
            raise _unknown(session)
        return found

    def _make_room(self, repository: str) -> None:
        """Refuse one session too many; those that nobody continues any more do not count."""
        if self._open_max is None:
            return
        try:
            entries = self._driver.list(layout.uploads(repository))
        except NotFound:
            return
        if len(entries) < self._open_max:
            return
        now_ns = self._clock()
        removed = 0
        if now_ns - self._swept_ns.get(repository, 0) > _SWEEP_INTERVAL_NS:
            limit_ns = now_ns - self._max_age_ns
            removed = sum(forget_idle(self._driver, repository, one, limit_ns) for one in entries)
            if len(self._swept_ns) >= _SWEPT_MAX:
                self._swept_ns.clear()
            self._swept_ns[repository] = now_ns
        if len(entries) - removed >= self._open_max:
            raise Refusal("TOOMANYREQUESTS", {"open_uploads_max": self._open_max})

    def unnamed(self, repository: str) -> Upload:
        """Begin an upload that nobody can resume, for a blob pushed in one request (row 32)."""
        path = f"{layout.SCRATCH}/{uuid.uuid4().hex}"
        self._driver.create(path)
        appender = self._driver.append(path)
        return Upload(self._driver, self._content, repository, "", path, path, appender)


@dataclass(frozen=True, slots=True)
class Traces:
    """What is stored of a session.  ``touched_ns`` is when it last got something, 0 if nothing is there."""

    is_open: bool
    has_data: bool
    size_bytes: int
    touched_ns: int


def traces(driver: Driver, repository: str, session: str) -> Traces:
    """Look at what is stored of a session, whoever it belongs to."""
    started = _stat(driver, layout.session_started_at(repository, session))
    data = _stat(driver, layout.session_data(repository, session))
    there = [found.mtime_ns for found in (started, data) if found is not None]
    if not there and (folder := _stat(driver, layout.session_folder(repository, session))) is not None:
        there = [folder.mtime_ns]
    # Without data it is being committed, unless Distribution began it and has written nothing yet.
    is_open = started is not None and (
        data is not None or _stat(driver, layout.session_hash_states(repository, session)) is not None
    )
    return Traces(is_open, data is not None, data.size_bytes if data else 0, max(there, default=0))


def forget_idle(driver: Driver, repository: str, session: str, limit_ns: int) -> bool:
    """Remove a session that nobody writes to and that got nothing after ``limit_ns``; whether it did."""
    if traces(driver, repository, session).touched_ns > limit_ns:
        return False
    try:
        appender = driver.append(layout.session_data(repository, session))
    except Busy:
        return False
    except NotFound:
        appender = None
    try:
        if traces(driver, repository, session).touched_ns > limit_ns:
            return False
        driver.delete(layout.session_folder(repository, session))
        return True
    except NotFound:
        return False
    finally:
        if appender is not None:
            appender.close()


class Upload:
    """The one writer of a session, from ``resume`` until ``keep``, ``undo`` or ``commit``.

    ``start`` is the size when it was resumed, ``size_bytes`` the size now.
    """

    def __init__(
        self,
        driver: Driver,
        content: Content,
        repository: str,
        session: str,
        path: str,
        folder: str,
        appender: Appender,
    ) -> None:
        self._driver = driver
        self._content = content
        self._path = path
        self._folder = folder
        self._appender = appender
        self.repository = repository
        self.session = session
        self.start = appender.size_bytes

    @property
    def size_bytes(self) -> int:
        return self._appender.size_bytes

    def check_offset(self, first: int) -> None:
        """Refuse a chunk that does not begin where the upload ends (rows 41 and 42)."""
        if first != self.size_bytes:
            detail = {"session": self.session, "expected": self.size_bytes, "got": first}
            raise OutOfOrder("OUT_OF_ORDER", self.size_bytes, detail)

    def write(self, data: bytes) -> None:
        self._appender.write(data)

    def keep(self) -> int:
        """Make what arrived durable and let go of the session; returns its size.

        Raises BLOB_UPLOAD_UNKNOWN if it was cancelled meanwhile.
        """
        try:
            self._appender.sync()
            size_bytes = self._appender.size_bytes
            if self.session:
                self._driver.settle(layout.session_started_at(self.repository, self.session))
            return size_bytes
        except NotFound:
            raise _unknown(self.session) from None
        finally:
            self._release()

    def undo(self) -> None:
        """Forget what this writer wrote and let go: a refused request leaves no trace."""
        try:
            self._cut_back()
        finally:
            self._release()

    def commit(self, claimed: Digest) -> Blob:
        """Publish the upload as a blob and end the session (rows 31, 33, 43).

        Raises DIGEST_INVALID, with the session as it was before; BLOB_UPLOAD_UNKNOWN.
        """
        try:
            self._appender.sync()
            try:
                blob = self._content.publish(self.repository, self._path, claimed)
            except NotFound:
                raise _unknown(self.session) from None
            except Refusal:
                self._cut_back()
                raise
            if self.session:
                self._forget()
            return blob
        finally:
            self._release()

    def _cut_back(self) -> None:
        if self._appender.size_bytes != self.start:
            self._appender.truncate(self.start)
            if self.session:  # or a power cut could bring back what was refused
                self._appender.sync()

    def _release(self) -> None:
        self._appender.close()
        if not self.session:
            self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(NotFound):  # a session that a power cut brings back has lost its data
            self._driver.discard(self._folder)


def _stat(driver: Driver, path: str) -> Stat | None:
    try:
        return driver.stat(path)
    except NotFound:
        return None


def _unknown(session: str) -> Refusal:
    return Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
