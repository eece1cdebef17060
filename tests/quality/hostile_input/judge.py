"""What may be answered to a hostile request: valid HTTP, no 5xx, legal errors, honest digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness.checkers.protocol.answer import CODES
from reference_impl.api.errors import KINDS

from .framing import Case, End

STATUSES = frozenset({200, 201, 202, 204, 206, 400, 404, 405, 408, 413, 414, 416, 429, 431})
BARE_STATUSES = frozenset({400, 408, 431})
"""What a connection answers by itself, when it has seen no request; the connection ends then."""
NOT_UNDERSTOOD = KINDS["NOT_UNDERSTOOD"].message.encode()
HEADERS = frozenset(
    {
        *("accept-ranges", "allow", "cache-control", "connection", "content-length", "content-range"),
        *("content-type", "date", "docker-content-digest", "docker-distribution-api-version"),
        *("docker-upload-uuid", "etag", "link", "location", "oci-filters-applied", "oci-subject", "oci-tag"),
        *("range", "transfer-encoding", "x-request-id"),
    }
)
"""All that the registry ever sends: any other header was put in by a client."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Read by an HTTP parser, so it is valid HTTP."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known == name), "")

    @property
    def closes(self) -> bool:
        return "close" in self.header("connection").lower()


def flaws(case: Case, answers: list[Answer], ended: bool) -> Iterator[str]:
    """Yield what is wrong.  ``ended``: the server has ended the connection."""
    for number, answer in enumerate(answers):
        method = case.methods[number] if number < len(case.methods) else ""
        for flaw in _of_answer(method, answer):
            yield f"answer {number + 1}: {flaw}"
    if len(answers) > len(case.methods):
        extra = answers[len(case.methods) :]
        if len(extra) > 1 or extra[0].status not in BARE_STATUSES or not extra[0].closes:
            yield f"{len(answers)} answers to {len(case.methods)} requests"
    if case.plain and case.end in (End.STAYS, End.CLOSED):
        if len(answers) < len(case.methods) and not (answers and answers[-1].closes):
            yield f"{len(answers)} answers to {len(case.methods)} requests"
        if any(NOT_UNDERSTOOD in answer.body for answer in answers[: len(case.methods)]):
            yield "a request that HTTP allows was not understood"
    if case.end is End.ANSWERED and not answers and not ended:
        yield "no answer, and the connection stays"
    if case.end is End.CLOSED and not ended:
        yield "the connection stays"


def _of_answer(method: str, answer: Answer) -> Iterator[str]:
    if answer.status not in STATUSES:
        yield f"status {answer.status}"
    unknown = {name for name, _ in answer.headers} - HEADERS
    if unknown:
        yield f"headers {sorted(unknown)}"
    if answer.status >= 400:
        if answer.body or answer.status not in (416,):
            yield from _of_error(method, answer)
        return
    digest = answer.header("docker-content-digest")
    if answer.status == 200 and digest and method == "GET":
        algorithm, _, encoded = digest.partition(":")
        if hashlib.new(algorithm, answer.body).hexdigest() != encoded:
            yield f"the body is not {digest}"


def _of_error(method: str, answer: Answer) -> Iterator[str]:
    if method == "HEAD" and not answer.body:
        return
    if answer.header("content-type") != "application/json":
        yield f"an error as {answer.header('content-type')!r}: {answer.body[:100]!r}"
        return
    try:
        errors = json.loads(answer.body)["errors"]
        wrong = [error["code"] for error in errors if error["code"] not in CODES]
        legal = bool(errors) and all(
            error.keys() <= {"code", "message", "detail"} and isinstance(error["message"], str)
            for error in errors
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"no list of errors: {answer.body[:100]!r}"
        return
    if wrong or not legal:
        yield f"errors {answer.body[:200]!r}"
