"""An answered exchange, as the checks of single exchanges see it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from harness.checkers.finding import Level
from harness.checkers.protocol.grammar import is_digest
from harness.history import Exchange

CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)
OLD_CODES = frozenset({"TAG_INVALID", "MANIFEST_UNVERIFIED"})
"""Codes of Docker's older API, which may still be used (row 10)."""

_OBJECT = re.compile(r"/v2/(?P<name>.+)/(?P<kind>blobs|manifests)/(?P<reference>[^/]+)/?$")
_LINK = re.compile(r"\s*<([^<>]*)>(.*)", re.DOTALL)
_PARAMETER = re.compile(r"""\s*;\s*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?""")
_UNREAD = object()


class Flaw(NamedTuple):
    """What is wrong with one answer. ``row`` of the table, ``what``: a stable word for the check's name,
    ``text``: what was seen. ``since``: the version that states this much, where it is not the row's."""

    row: int
    what: str
    level: Level
    title: str
    text: str
    since: str = ""


class Answer:
    """An exchange with a status; header names are in lower case, and JSON is read once.

    ``headers`` holds the first value of each name.
    """

    __slots__ = ("_json", "about", "call", "exchange", "headers", "status")

    def __init__(self, exchange: Exchange, status: int) -> None:
        self.exchange = exchange
        self.status = status
        self.call = exchange.call
        self.about = exchange.about
        headers: dict[str, str] = {}
        for name, value in exchange.headers:
            headers.setdefault(name.lower(), value)
        self.headers = headers
        self._json: Any = _UNREAD

    @property
    def whole(self) -> bool:
        """Whether the body came to its end."""
        return self.exchange.error is None and self.exchange.cut is None

    @property
    def text(self) -> str | None:
        body = self.exchange.body
        return body.text if body is not None and self.whole else None

    @property
    def json(self) -> Any:
        """The body as JSON; `None` where it is none, or not known (too long, cut off)."""
        if self._json is _UNREAD:
            self._json = None
            text = self.text
            if text:
                try:
                    self._json = json.loads(text)
                except (ValueError, RecursionError):
                    self._json = None
        return self._json

    def values(self, name: str) -> list[str]:
        """The comma-separated values of all headers of that name."""
        if name not in self.headers:
            return []
        joined = ",".join(self.exchange.header_list(name))
        return [value.strip() for value in joined.split(",") if value.strip()]

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters, in lower case; ``""`` where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def error_codes(self) -> set[str]:
        """The codes of an error's body, as far as it has the form of one."""
        document = self.json
        errors = document.get("errors") if isinstance(document, dict) else None
        entries = errors if isinstance(errors, list) else []
        codes = (entry.get("code") for entry in entries if isinstance(entry, dict))
        return {code for code in codes if isinstance(code, str)}

    def links_next(self) -> bool:
        """Whether a Link leads to the next page, written as RFC 8288 wants it."""
        return bool(next_links(self.exchange.header_list("link")))


def next_links(values: Iterable[str]) -> list[str]:
    """Where the ``Link`` headers say that the next page is (RFC 8288): the targets of those links whose
    relations include ``next``."""
    found = []
    for part in (part for value in values for part in split_links(value)):
        link = _LINK.match(part)
        if link is None:
            continue
        given = _PARAMETER.findall(link[2])
        relations = next((quoted or plain for name, quoted, plain in given if name.lower() == "rel"), "")
        if "next" in relations.lower().split():
            found.append(link[1])
    return found


def split_links(value: str) -> Iterator[str]:
    """The links of one header: commas inside angle brackets and quotes separate nothing."""
    start, closed_by = 0, ""
    for at, character in enumerate(value):
        if closed_by:
            closed_by = "" if character == closed_by else closed_by
        elif character in '<"':
            closed_by = ">" if character == "<" else '"'
        elif character == ",":
            yield value[start:at]
            start = at + 1
    yield value[start:]


def wrong_place(location: str, kind: str, name: str, reference: str) -> str:
    """Why ``location`` cannot be where an object is pulled from, ``""`` where nothing speaks against it.

    A location that is not written like the API's own says nothing (it may be anywhere); one that is has to
    name the repository and the object. A digest of another algorithm may be an alias.
    """
    path = unquote(urlsplit(location).path)
    if "/blobs/uploads/" in path:
        return "it is an upload session"
    found = _OBJECT.search(path)
    if found is None:
        return ""
    if found["kind"] != kind:
        return f"it is not among the {kind}"
    if found["name"] != name and not found["name"].endswith(f"/v2/{name}"):
        return f"it names another repository, {found['name']}"
    seen = found["reference"]
    if seen == reference or not reference:
        return ""
    if is_digest(seen) and is_digest(reference) and _algorithm(seen) == _algorithm(reference):
        return f"it names another digest, {seen}"
    if ":" in seen and not is_digest(seen):
        return f"it names what is no digest, {seen}"
    return ""


def same_algorithm_differs(seen: str, wanted: str) -> bool:
    """Whether two digests of one algorithm differ; of two algorithms nothing can be said."""
    return _algorithm(seen) == _algorithm(wanted) and seen != wanted


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]
