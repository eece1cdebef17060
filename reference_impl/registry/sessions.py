"""Upload sessions: bytes that are on their way to become a blob.

The length of the session's file is the truth about how far it is, so a session survives a restart.
A session has one writer at a time and belongs to one repository.
"""

from __future__ import annotations

import contextlib
import time
import uuid

from ..drivers.base import Appender, Busy, Driver, NotFound
from . import layout, names
from .content import Blob, Content
from .digests import Digest
from .errors import OutOfOrder, Refusal


class Sessions:
    def __init__(self, driver: Driver, content: Content) -> None:
        self._driver = driver
        self._content = content

    def create(self, repository: str) -> str:
        """Begin an upload, durably; returns its id (rows 28 and 29)."""
        session = names.new_session()
        self._driver.create(layout.session_data(repository, session))
        started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        path = layout.session_started_at(repository, session)
        self._driver.write(path, started_at.encode("ascii"))
        return session

    def size(self, repository: str, session: str) -> int:
        """Return how many bytes arrived so far (row 44).  Raises BLOB_UPLOAD_UNKNOWN."""
        try:
            self._driver.stat(layout.session_started_at(repository, session))
            return self._driver.stat(layout.session_data(repository, session)).size_bytes
        except NotFound:
            raise _unknown(session) from None

    def resume(self, repository: str, session: str) -> Upload:
        """Become the writer.  Raises BLOB_UPLOAD_UNKNOWN; OutOfOrder while another one writes."""
        size_bytes = self.size(repository, session)
        path = layout.session_data(repository, session)
        try:
            appender = self._driver.append(path)
        except NotFound:
            raise _unknown(session) from None
        except Busy:
            raise OutOfOrder("UPLOAD_BUSY", size_bytes, {"session": session}) from None
        folder = layout.session_folder(repository, session)
        return Upload(self._driver, self._content, repository, session, path, folder, appender)

    def cancel(self, repository: str, session: str) -> None:
        """Forget an upload (row 46).  A writer at work loses it.  Raises BLOB_UPLOAD_UNKNOWN."""
        self.size(repository, session)
        try:
            self._driver.delete(layout.session_folder(repository, session))
        except NotFound:
            raise _unknown(session) from None

    def unnamed(self, repository: str) -> Upload:
        """Begin an upload that nobody can resume, for a blob pushed in one request (row 32)."""
        path = f"{layout.SCRATCH}/{uuid.uuid4().hex}"
        self._driver.create(path)
        appender = self._driver.append(path)
        return Upload(self._driver, self._content, repository, "", path, path, appender)


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
                self._driver.stat(self._path)
            return size_bytes
        except NotFound:
            raise _unknown(self.session) from None
        finally:
            self._release()

    def undo(self) -> None:
        """Forget what this writer wrote and let go: a refused request leaves no trace."""
        try:
            self._appender.truncate(self.start)
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
                self._appender.truncate(self.start)
                raise
            if self.session:
                self._forget()
            return blob
        finally:
            self._release()

    def _release(self) -> None:
        self._appender.close()
        if not self.session:
            self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(NotFound):
            self._driver.delete(self._folder)


def _unknown(session: str) -> Refusal:
    return Refusal("BLOB_UPLOAD_UNKNOWN", {"session": session})
