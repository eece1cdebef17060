"""What a client is told when it is refused something (rows 90 and 91)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from ..registry.errors import Refusal

RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """``code`` is one of the specification's; ``message`` says it to a human."""

    status: int
    code: str
    message: str


KINDS: dict[str, ErrorKind] = {
    # The specification's own codes.
    "BLOB_UNKNOWN": ErrorKind(404, "BLOB_UNKNOWN", "blob unknown to the repository"),
    "BLOB_UPLOAD_INVALID": ErrorKind(400, "BLOB_UPLOAD_INVALID", "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": ErrorKind(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to the repository"),
    "DIGEST_INVALID": ErrorKind(
        400, "DIGEST_INVALID", "the digest is malformed, unsupported or not that of the content"
    ),
    "MANIFEST_BLOB_UNKNOWN": ErrorKind(
        404, "MANIFEST_BLOB_UNKNOWN", "the manifest refers to content unknown to the repository"
    ),
    "MANIFEST_INVALID": ErrorKind(400, "MANIFEST_INVALID", "manifest invalid"),
    "MANIFEST_UNKNOWN": ErrorKind(404, "MANIFEST_UNKNOWN", "manifest unknown to the repository"),
    "NAME_INVALID": ErrorKind(400, "NAME_INVALID", "invalid repository name"),
    "NAME_UNKNOWN": ErrorKind(404, "NAME_UNKNOWN", "repository unknown to the registry"),
    "SIZE_INVALID": ErrorKind(400, "SIZE_INVALID", "the content is not as long as the request said"),
    # Not in Distribution's very words: without a detail Docker Engine then tries again for most of a minute.
    "UNAUTHORIZED": ErrorKind(401, "UNAUTHORIZED", "authentication is required"),
    "DENIED": ErrorKind(403, "DENIED", "access to the resource is denied"),
    "UNSUPPORTED": ErrorKind(405, "UNSUPPORTED", "the operation is unsupported"),
    "TOOMANYREQUESTS": ErrorKind(429, "TOOMANYREQUESTS", "too many requests"),
    # Finer situations, each under the nearest of those codes.
    "HEAD_TOO_LARGE": ErrorKind(431, "UNSUPPORTED", "the head of the request is too long"),
    "HEAD_TOO_LATE": ErrorKind(408, "UNSUPPORTED", "the head of the request did not come in time"),
    "NAME_TOO_LONG": ErrorKind(400, "NAME_INVALID", "the name is too long for the storage"),
    "NOT_UNDERSTOOD": ErrorKind(400, "UNSUPPORTED", "this is no HTTP request that is understood here"),
    "ENDPOINT_UNKNOWN": ErrorKind(404, "UNSUPPORTED", "no such endpoint"),
    "MANIFEST_TOO_LARGE": ErrorKind(413, "MANIFEST_INVALID", "the manifest is too large"),
    "OUT_OF_ORDER": ErrorKind(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends"),
    "PAGE_SIZE_INVALID": ErrorKind(400, "UNSUPPORTED", "n is not a number of results"),
    "RANGE_INVALID": ErrorKind(400, "BLOB_UPLOAD_INVALID", "malformed Content-Range"),
    "READ_ONLY": ErrorKind(405, "UNSUPPORTED", "this registry is read-only"),
    "REQUEST_TIMEOUT": ErrorKind(408, "BLOB_UPLOAD_INVALID", "the body did not come in time"),
    "SERVICE_UNKNOWN": ErrorKind(400, "UNSUPPORTED", "tokens for another service are not issued here"),
    "TAG_INVALID": ErrorKind(400, "MANIFEST_INVALID", "invalid tag"),
    "TOO_MANY_TAGS": ErrorKind(414, "UNSUPPORTED", "too many tags in one request"),
    "UPLOAD_BUSY": ErrorKind(416, "BLOB_UPLOAD_INVALID", "another request is writing to this upload"),
    # Faults of ours.
    "STORAGE_FULL": ErrorKind(507, "UNKNOWN", "the storage is full"),
    "OVERLOADED": ErrorKind(503, "TOOMANYREQUESTS", "too many connections; try again later"),
    "STORAGE_UNAVAILABLE": ErrorKind(503, "UNAVAILABLE", "the storage does not answer; try again later"),
    "UNKNOWN": ErrorKind(500, "UNKNOWN", "internal error"),
}


def refused(refusals: Iterable[Refusal], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with one or more errors; the first decides the status."""
    every = list(refusals)
    errors = [_error(refusal.reason, refusal.detail) for refusal in every]
    status = KINDS[every[0].reason].status
    given = dict(headers or {})
    if status == 408:  # whatever else comes on the connection would be the rest of the body
        given["Connection"] = "close"
    if status in (429, 503):
        given["Retry-After"] = str(RETRY_AFTER_S)
    return Response(
        json.dumps({"errors": errors}, separators=(",", ":")),
        status,
        headers=given,
        media_type="application/json",
    )


def _error(reason: str, detail: Any) -> dict[str, Any]:
    kind = KINDS[reason]
    error: dict[str, Any] = {"code": kind.code, "message": kind.message}
    if detail is not None:
        error["detail"] = detail
    return error
