"""B, of chunks: they are taken out of order, counted wrongly, or spoiled where one broke off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ..api import uploads as endpoints
from ..api.body import Disconnected
from ..auth.base import Account
from ..deviations import At, Defect
from ..registry.errors import OutOfOrder, Refusal
from ..registry.sessions import Upload

Declared = tuple[int, int] | None
"""First and last offset of a Content-Range."""
_ATTEMPTS, _WAIT_S = 50, 0.01
RANGES = ("api.uploads:upload_range", "api.resource:upload_range")


class _AnyOrder(Upload):
    def check_offset(self, first: int) -> None:
        pass


class _LastRangeIgnored(endpoints.Uploads):
    async def _resume(self, request: Request, account: Account, declared: Declared) -> Upload:
        return await super()._resume(request, account, None if request.method == "PUT" else declared)


class _LastChunkOnly(endpoints.Uploads):
    async def send(self, request: Request) -> Response | None:
        response = await super().send(request)
        if response is not None and "content-range" in request.headers:
            response.headers["Range"] = request.headers["content-range"]
        return response


def _exclusive(upload_range: Callable[[int], dict[str, str]]) -> Callable[[int], dict[str, str]]:
    return lambda size_bytes: {"Range": f"0-{size_bytes}"} if size_bytes else {}


def _one_less(upload_range: Callable[[int], dict[str, str]]) -> Callable[[int], dict[str, str]]:
    return lambda size_bytes: {"Range": f"0-{size_bytes - 1}"}


def _unguarded(content_range: Callable[[Request], Declared]) -> Callable[[Request], Declared]:
    def parse(request: Request) -> Declared:
        text = request.headers.get("content-range")
        if text is None:
            return None
        first, last = text.split("-")
        return int(first), int(last)

    return parse


class _Answers204(endpoints.Uploads):
    async def send(self, request: Request) -> Response | None:
        response = await super().send(request)
        if response is not None:
            response.status_code = 204
        return response


class _Refuses400(endpoints.Uploads):
    async def _resume(self, request: Request, account: Account, declared: Declared) -> Upload:
        try:
            return await super()._resume(request, account, declared)
        except OutOfOrder as refusal:
            raise Refusal("BLOB_UPLOAD_INVALID", refusal.detail) from None


class _NoLocation(endpoints.Uploads):
    async def send(self, request: Request) -> Response | None:
        response = await super().send(request)
        if response is not None:
            del response.headers["Location"]
        return response


class _Stale(endpoints.Uploads):
    """Where a session is, is noted with each answer; after a break that and the file differ."""

    _stale: frozenset[str] = frozenset()

    async def _receive(self, request: Request, upload: Upload, declared: Declared) -> bytes | None:
        self._stale |= {upload.session}
        rest = await super()._receive(request, upload, declared)
        if rest is not None:
            self._stale -= {upload.session}
        return rest

    async def status(self, request: Request) -> Response:
        if request.path_params["session"] in self._stale:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", {"reason": "stale state"})
        return await super().status(request)


class _Begun(endpoints.Uploads):
    """A body that breaks off takes all that came before it along."""

    async def _copy(self, request: Request, upload: Upload) -> bytes:
        try:
            return await super()._copy(request, upload)
        except Disconnected:
            upload.start = 0
            upload._cut_back()
            raise


class _Unchecked(endpoints.Uploads):
    """The retry of a chunk that broke off is appended to what had come of it, as soon as that is closed."""

    _broken: frozenset[str] = frozenset()

    async def _resume(self, request: Request, account: Account, declared: Declared) -> Upload:
        session = request.path_params["session"]
        for _ in range(_ATTEMPTS):
            checked = None if session in self._broken else declared
            try:
                return await super()._resume(request, account, checked)
            except OutOfOrder as refusal:
                if refusal.reason != "UPLOAD_BUSY":
                    raise
            await asyncio.sleep(_WAIT_S)
        return await super()._resume(request, account, declared)

    async def _receive(self, request: Request, upload: Upload, declared: Declared) -> bytes | None:
        self._broken |= {upload.session}
        rest = await super()._receive(request, upload, declared)
        if rest is not None:
            self._broken -= {upload.session}
        return rest


class _Twice(Upload):
    """What was in the buffer when the client went is written once more when the file is closed."""

    _last = b""

    def write(self, data: bytes) -> None:
        super().write(data)
        self._last = data


def _flushed_again(keep_if_there: Callable[[Upload], None]) -> Callable[[Upload], None]:
    def keep(upload: Upload) -> None:
        if isinstance(upload, _Twice):
            upload.write(upload._last)
        keep_if_there(upload)

    return keep


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "patch-out-of-order",
        "a chunk is appended wherever the upload is, whatever its Content-Range says",
        (_AnyOrder,),
        kind="B",
        sources=(
            "distribution 2.8 (PATCH)",
            "specification, row 41",
        ),
        violates=("P6",),
        operations=3,
    ),
    Defect(
        "put-out-of-order",
        "the Content-Range of the last chunk, in the PUT, is ignored",
        (_LastRangeIgnored,),
        kind="B",
        sources=(
            "distribution-spec #590, all versions of distribution",
            "specification, row 42",
        ),
        violates=(
            "P6",
            "P12",
        ),
        operations=4,
    ),
    Defect(
        "range-of-last-chunk",
        "Range tells where the last chunk was, not how much of the upload is there",
        (_LastChunkOnly,),
        kind="B",
        sources=(
            "zot #3279, fixed in 2.1.7",
            "specification, row 40",
        ),
        violates=(
            "P6",
            "P12",
        ),
        operations=4,
    ),
    Defect(
        "range-end-exclusive",
        "the end of Range is one byte behind the last one that arrived",
        (At(RANGES, _exclusive),),
        kind="B",
        sources=(
            "pulp_container #8543",
            "specification, row 40",
        ),
        violates=("P6",),
        operations=3,
    ),
    Defect(
        "empty-range-negative",
        "an upload that has no byte yet says Range: 0--1",
        (At(RANGES, _one_less),),
        kind="B",
        sources=(
            "zot #3279, fixed in 2.1.7",
            "specification, row 44",
        ),
        violates=(
            "P6",
            "P12",
        ),
        operations=3,
    ),
    Defect(
        "chunk-answers-204",
        "an accepted chunk is answered with 204, not with 202",
        (_Answers204,),
        kind="B",
        sources=(
            "pulp_container #2199",
            "go-containerregistry #2265, fixed in 0.21.6",
            "specification, row 39",
        ),
        violates=(
            "P6",
            "P12",
        ),
        operations=3,
    ),
    Defect(
        "chunk-order-400",
        "a chunk out of order is refused with 400, not with 416",
        (_Refuses400,),
        kind="B",
        sources=(
            "zot #3279, fixed in 2.1.7",
            "specification, row 41",
        ),
        violates=(
            "P12",
            "P6",
        ),
        operations=3,
    ),
    Defect(
        "chunk-without-location",
        "the answer to a chunk does not say where the next one goes",
        (_NoLocation,),
        kind="B",
        sources=(
            "quay #325",
            "specification, row 39",
        ),
        violates=("P12",),
        operations=3,
    ),
    Defect(
        "content-range-unparsed",
        "a malformed Content-Range is an internal error",
        (At(("api.uploads:_content_range",), _unguarded),),
        kind="B",
        sources=("zot #3983, fixed in 2.1.17",),
        violates=(
            "P11",
            "P12",
        ),
        operations=3,
    ),
    Defect(
        "broken-chunk-stale-state",
        "after a chunk that broke off the upload answers 404, and nobody can resume it",
        (_Stale,),
        kind="B",
        sources=(
            "distribution #3755, fixed in 3.0.0",
            "specification, row 44",
        ),
        violates=("P6",),
        operations=4,
    ),
    Defect(
        "broken-chunk-begins-again",
        "a chunk that breaks off throws away all chunks before it",
        (_Begun,),
        kind="B",
        sources=("specification, row 44",),
        violates=("P6",),
        operations=5,
    ),
    Defect(
        "broken-chunk-retried-unchecked",
        "the retry of a chunk that broke off is appended to what had arrived of it",
        (_Unchecked,),
        kind="B",
        sources=(
            "jib #4526",
            "distribution 2.8 (PATCH)",
            "specification, row 41",
        ),
        violates=("P6",),
        operations=5,
    ),
    Defect(
        "broken-chunk-flushed-twice",
        "what was in the buffer when a client vanished is appended twice",
        (
            _Twice,
            At(("api.uploads:_keep_if_there",), _flushed_again),
        ),
        kind="B",
        sources=(
            "nora #357, fixed in 0.9.0",
            "jib #4526",
        ),
        violates=("P6",),
        operations=4,
    ),
)
