"""Blob uploads: begin, send chunks, finish, ask how far, cancel (rows 28 to 51)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..auth.base import PULL, Access, Account, Denied, Unauthorized
from ..registry import names
from ..registry.content import Blob
from ..registry.errors import Refusal
from ..registry.sessions import Upload
from .body import Disconnected, chunks
from .resource import Context, upload_range

T = TypeVar("T")

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class Uploads:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry

    # -- POST ------------------------------------------------------------------------------

    async def begin(self, request: Request) -> Response | None:
        account, source = await self._admit(request)
        repository = request.path_params["name"]
        query = request.query_params
        if "digest-algorithm" in query:
            names.algorithm(query["digest-algorithm"])
        if "mount" in query:
            digest = names.digest(query["mount"])
            if source is not None:
                mount = self._registry.mounts.mount
                blob = await self._context.run(mount, repository, digest, source)
                if blob is not None:
                    return _created(repository, blob)
        elif "digest" in query:
            return await self._push_at_once(request, repository, query["digest"])
        create = self._registry.sessions.create
        session = await self._context.run(create, repository, account.name)
        return _accepted(repository, session, 0)

    async def _admit(self, request: Request) -> tuple[Account, str | None]:
        """Return who asks, and the repository to mount from if they may (rows 48 to 50).

        Who may not pull from there can still push: the client uploads.  The challenge is for both, so that a
        client which has no token yet asks for one that allows the mount.
        """
        source = request.query_params.get("from") or request.path_params["name"]
        if "mount" in request.query_params and names.is_repository(source):
            try:
                return await self._context.admit(request, Access(source, (PULL,))), source
            except (Unauthorized, Denied) as refusal:
                try:
                    return await self._context.admit(request), None
                except (Unauthorized, Denied):
                    raise refusal from None
        return await self._context.admit(request), None

    async def _push_at_once(self, request: Request, repository: str, digest_text: str) -> Response | None:
        digest = names.digest(digest_text)
        upload = await self._context.run(self._registry.sessions.unnamed, repository)
        try:
            rest = await self._copy(request, upload)
        except Disconnected:
            await self._context.run(upload.undo)
            return None
        except BaseException:
            await self._context.run(upload.undo)
            raise

        def finish() -> Blob:
            _write_or_undo(upload, rest)
            return upload.commit(digest)

        return _created(repository, await self._context.run(finish))

    # -- PATCH -----------------------------------------------------------------------------

    async def send(self, request: Request) -> Response | None:
        """Take in a chunk, in three steps."""
        # 1. Authenticate and authorize.
        account = await self._context.admit(request)
        # 2. Resume the session: alone, and where the last chunk ended.
        declared = _content_range(request)
        upload = await self._resume(request, account, declared)
        # 3. Copy the body to the driver, and keep it.
        size_bytes = await self._take_in(request, upload, declared, upload.keep)
        if size_bytes is None:
            return None
        return _accepted(upload.repository, upload.session, size_bytes)

    # -- PUT -------------------------------------------------------------------------------

    async def finish(self, request: Request) -> Response | None:
        """Take in the last chunk, if any, in the same three steps, and make the upload a blob."""
        # 1. Authenticate and authorize.
        account = await self._context.admit(request)
        # 2. Resume the session: alone, and where the last chunk ended.
        digest = names.digest(request.query_params.get("digest", ""))
        declared = _content_range(request)
        upload = await self._resume(request, account, declared)
        # 3. Copy the body to the driver, and publish it.
        blob = await self._take_in(request, upload, declared, lambda: upload.commit(digest))
        return None if blob is None else _created(upload.repository, blob)

    # -- GET, DELETE -----------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        account = await self._context.admit(request)
        repository = request.path_params["name"]
        session = names.session(request.path_params["session"])
        size = self._registry.sessions.size
        size_bytes = await self._context.run(size, repository, session, account.name)
        return _where(204, repository, session, size_bytes)

    async def cancel(self, request: Request) -> Response:
        account = await self._context.admit(request)
        session = names.session(request.path_params["session"])
        cancel = self._registry.sessions.cancel
        await self._context.run(cancel, request.path_params["name"], session, account.name)
        return Response(status_code=204)

    # -- shared ----------------------------------------------------------------------------

    async def _resume(self, request: Request, account: Account, declared: tuple[int, int] | None) -> Upload:
        """Become the session's writer, at the offset the request declares."""
        repository = request.path_params["name"]
        session = names.session(request.path_params["session"])
        length = request.headers.get("content-length", "")

        def resume() -> Upload:
            upload = self._registry.sessions.resume(repository, session, account.name)
            try:
                if declared is not None:
                    upload.check_offset(declared[0])
                    if length.isdecimal() and int(length) != declared[1] - declared[0] + 1:
                        raise Refusal("SIZE_INVALID", {"content_length": int(length)})
            except Refusal:
                upload.undo()
                raise
            return upload

        return await self._context.run(resume)

    async def _take_in(
        self, request: Request, upload: Upload, declared: tuple[int, int] | None, end: Callable[[], T]
    ) -> T | None:
        """Copy the body, then let go of the session by ``end``; None if the client is gone."""
        rest = await self._receive(request, upload, declared)
        if rest is None:
            return None

        def write_and_end() -> T:
            _write_or_undo(upload, rest)
            return end()

        return await self._context.run(write_and_end)

    async def _receive(
        self, request: Request, upload: Upload, declared: tuple[int, int] | None
    ) -> bytes | None:
        """Copy the body; returns what is left to write, or None if the client is gone.

        Whatever arrived of a body that breaks off stays in the session.
        """
        try:
            rest = await self._copy(request, upload)
        except Disconnected:
            await self._context.run(_keep_if_there, upload)
            return None
        except OSError:
            await self._context.run(upload.undo)
            raise
        except BaseException:
            await self._context.run(_keep_if_there, upload)
            raise
        received = upload.size_bytes - upload.start + len(rest)
        if declared is not None and received != declared[1] - declared[0] + 1:
            await self._context.run(upload.undo)
            raise Refusal("SIZE_INVALID", {"received": received})
        return rest

    async def _copy(self, request: Request, upload: Upload) -> bytes:
        """Write the body's parts as they come, all but the last, which is returned."""
        async for part, is_last in chunks(request, self._context.limits):
            if is_last:
                return part
            if part:
                await self._context.run(upload.write, part)
        return b""


def _write_or_undo(upload: Upload, rest: bytes) -> None:
    try:
        upload.write(rest)
    except BaseException:
        upload.undo()
        raise


def _keep_if_there(upload: Upload) -> None:
    with contextlib.suppress(Refusal):  # cancelled meanwhile
        upload.keep()


def _content_range(request: Request) -> tuple[int, int] | None:
    """Return a chunk's first and last offset (row 38).  Raises RANGE_INVALID."""
    text = request.headers.get("content-range")
    if text is None:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise Refusal("RANGE_INVALID", {"content_range": text[:100]})
    return int(match[1]), int(match[2])


def _where(status: int, repository: str, session: str, size_bytes: int) -> Response:
    headers = {
        "Location": f"/v2/{repository}/blobs/uploads/{session}",
        "Docker-Upload-UUID": session,
    }
    return Response(status_code=status, headers=headers | upload_range(size_bytes))


def _accepted(repository: str, session: str, size_bytes: int) -> Response:
    return _where(202, repository, session, size_bytes)


def _created(repository: str, blob: Blob) -> Response:
    headers = {
        "Location": f"/v2/{repository}/blobs/{blob.digest}",
        "Docker-Content-Digest": str(blob.digest),
    }
    return Response(status_code=201, headers=headers)
