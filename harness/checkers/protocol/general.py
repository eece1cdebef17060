"""Checks on every exchange: statuses, errors, warnings.

Claims: no status of the success class that the endpoint does not have; errors and warnings in their form.
Misses: whether an object should have been there (the model's), and which code an error should have had, since
the specification maps codes to situations only once (row 58, a case). Cost: constant for an exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.checkers.finding import Level
from harness.checkers.protocol.answer import CODES, OLD_CODES, Answer, Flaw
from harness.checkers.protocol.case import LEGAL

WARNINGS_BYTES_MAX = 4096
_CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)*")
_EXTENSION = "/v2/_"
"""Where extensions live, the catalog among them, which may have codes of their own."""
_ONE_WARNING = r'299 - "(?:[^"\\]|\\.)*"'
_WARNING = re.compile(rf"\s*{_ONE_WARNING}(?:\s*,\s*{_ONE_WARNING})*\s*")
_DELAY = re.compile(r"\s*\d+\s*|[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")


class Statuses(NamedTuple):
    """What an endpoint answers: ``success``, and the client errors that the specification lists or that any
    registry may need. A success outside them is a finding of ``level``, an error outside them a note."""

    row: int
    success: frozenset[int]
    failure: frozenset[int]
    level: Level = "must"


def _statuses(row: int, success: str, failure: str, level: Level = "must") -> Statuses:
    wanted = frozenset(int(word) for word in success.split())
    return Statuses(row, wanted, frozenset(int(word) for word in failure.split()) | LEGAL, level)


ALLOWED: dict[str, Statuses] = {
    "ping": _statuses(3, "200", "404"),
    "blob.get": _statuses(19, "200", "400 404 405 406 416"),
    "blob.head": _statuses(23, "200", "400 404 405 406"),
    "blob.delete": _statuses(88, "202", "400 404 405 409 412"),
    "upload.post": _statuses(28, "202", "400 404 405 409 413 415"),
    "upload.single": _statuses(32, "201 202", "400 404 405 409 411 413 415"),
    "upload.mount": _statuses(48, "201 202", "400 404 405 409"),
    "upload.patch": _statuses(39, "202", "400 404 405 409 411 413 415 416"),
    "upload.put": _statuses(31, "201", "400 404 405 409 411 413 415 416"),
    "upload.get": _statuses(44, "204", "400 404 405"),
    "upload.cancel": _statuses(46, "204", "400 404 405 409", "should"),
    "manifest.get": _statuses(12, "200", "400 404 405 406"),
    "manifest.head": _statuses(23, "200", "400 404 405 406"),
    "manifest.put": _statuses(52, "201", "400 404 405 409 411 412 413 415"),
    "manifest.delete": _statuses(86, "202", "400 404 405 409 412"),
    "tag.delete": _statuses(84, "202", "400 404 405 409 412"),
    "tags.list": _statuses(65, "200", "400 404 405 416"),
    "referrers.list": _statuses(72, "200", "400 404 405"),
}


def status(answer: Answer) -> Iterator[Flaw]:
    """The status is one that the endpoint has. Redirects and what may be answered anywhere are left alone."""
    allowed = ALLOWED.get(answer.call)
    code = answer.status
    if allowed is None or code < 200 or 300 <= code < 400 or code >= 500:
        return
    if code >= 400:
        if code not in allowed.failure:
            title = f"a client error that {answer.call} does not have"
            yield Flaw(allowed.row, "odd-error", "note", title, f"status {code}")
        return
    about = answer.about
    if code == 206 and answer.call == "blob.get" and ("first" in about or "last" in about):
        return
    if code not in allowed.success:
        wanted = " or ".join(str(one) for one in sorted(allowed.success))
        text = f"status {code} instead of {wanted}"
        yield Flaw(allowed.row, "status", allowed.level, f"the wrong success status for {answer.call}", text)


def retry_after(answer: Answer) -> Iterator[Flaw]:
    if answer.status != 429:
        return
    value = answer.headers.get("retry-after")
    if value is None:
        yield Flaw(11, "missing", "should", "429 without Retry-After", "no Retry-After")
    elif _DELAY.fullmatch(value) is None:
        text = f"Retry-After: {value}"
        yield Flaw(11, "form", "should", "Retry-After is neither a number of seconds nor a date", text)


def error_body(answer: Answer) -> Iterator[Flaw]:
    """The body of a client error may be anything; where it is JSON, it has the form of an error."""
    if not 400 <= answer.status < 500 or answer.exchange.method == "HEAD":
        return
    text = answer.text
    if not text:
        return
    typed = "json" in answer.media_type
    document = answer.json
    if document is None:
        if typed:
            yield _error_form("the body is typed as JSON and is none", text)
        return
    if not typed and not isinstance(document, dict | list):
        return
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        yield _error_form("there is no list `errors`", text)
        return
    for entry in errors:
        code = entry.get("code") if isinstance(entry, dict) else None
        if not isinstance(code, str):
            yield _error_form("an error has no code", text)
        elif _CODE.fullmatch(code) is None:
            title = "an error code is not written in capital letters and underscores"
            yield Flaw(91, "form", "must", title, f"code {code!r}")
        elif code not in CODES and code not in OLD_CODES and _EXTENSION not in answer.exchange.target:
            yield Flaw(91, "unlisted", "must", "an error code is not on the specification's list", code)


def _error_form(why: str, text: str) -> Flaw:
    title = "an error in JSON does not have the form of an error"
    return Flaw(90, "form", "must", title, f"{why}: {text[:200]!r}")


def warnings(answer: Answer) -> Iterator[Flaw]:
    if "warning" not in answer.headers:
        return
    values = answer.exchange.header_list("warning")
    size_bytes = sum(len(value.encode()) for value in values)
    if size_bytes > WARNINGS_BYTES_MAX:
        yield Flaw(92, "size", "must", "warnings longer than 4096 bytes", f"{size_bytes} bytes")
    for value in values:
        if _WARNING.fullmatch(value) is None:
            text = f"Warning: {value[:200]}"
            yield Flaw(92, "form", "must", 'a warning is not `299 - "text"`', text)


EVERY = (status, retry_after, error_body, warnings)
ROWS_CITED = frozenset({11, 90, 91, 92, *(allowed.row for allowed in ALLOWED.values())})
