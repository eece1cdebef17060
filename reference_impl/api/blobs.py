"""Blobs: pull whole or in part, look, delete (rows 19 to 26, 88)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..drivers.base import Reader
from ..registry import names
from ..registry.content import Blob
from .ranges import Unsatisfiable, select
from .resource import Context

_BLOCK_BYTES = 1 << 20


class Blobs:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._content = context.registry.content

    async def pull(self, request: Request) -> Response:
        repository = request.path_params["name"]
        digest = names.digest(request.path_params["digest"])
        wanted = request.headers.get("range")
        if request.headers.get("if-range", f'"{digest}"') != f'"{digest}"':
            wanted = None

        def begin() -> Response:
            blob, reader = self._content.open(repository, digest)
            try:
                part = select(wanted, blob.size_bytes)
                status, (offset, length) = (206, part) if part else (200, (0, blob.size_bytes))
                headers = _headers(blob) | {"Content-Length": str(length)}
                if part:
                    headers["Content-Range"] = _content_range(offset, length, blob.size_bytes)
                if length > _BLOCK_BYTES:
                    return _Stream(self._context, reader, offset, length, status, headers)
                body = reader.read_at(offset, length)
            except Unsatisfiable:
                reader.close()
                return Response(status_code=416, headers={"Content-Range": f"bytes */{blob.size_bytes}"})
            except BaseException:
                reader.close()
                raise
            reader.close()
            return Response(body, status, headers=headers)

        return await self._context.run(begin)

    async def look(self, request: Request) -> Response:
        repository = request.path_params["name"]
        digest = names.digest(request.path_params["digest"])
        blob = await self._context.run(self._content.find, repository, digest)
        headers = _headers(blob) | {"Content-Length": str(blob.size_bytes)}
        return Response(status_code=200, headers=headers)

    async def delete(self, request: Request) -> Response:
        digest = names.digest(request.path_params["digest"])
        await self._context.run(self._content.delete, request.path_params["name"], digest)
        return Response(status_code=202)


class _Stream(Response):
    """A body too large to be read at once."""

    def __init__(
        self,
        context: Context,
        reader: Reader,
        offset: int,
        length_bytes: int,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._context = context
        self._reader = reader
        self._offset = offset
        self._left = length_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            while self._left:
                block = await self._context.run(
                    self._reader.read_at, self._offset, min(self._left, _BLOCK_BYTES)
                )
                if not block:  # shorter than it was: break off, so that nobody takes it for whole
                    raise OSError("the blob's file became shorter while it was sent")
                self._offset += len(block)
                self._left -= len(block)
                await send({"type": "http.response.body", "body": block, "more_body": self._left > 0})
        finally:
            self._reader.close()


def _headers(blob: Blob) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(blob.digest),
        "ETag": f'"{blob.digest}"',
        "Accept-Ranges": "bytes",
    }


def _content_range(offset: int, length: int, size_bytes: int) -> str:
    return f"bytes {offset}-{offset + length - 1}/{size_bytes}"
