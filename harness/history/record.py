"""What happened: the records of a history, the only thing that a checker reads.

A history is written while a plan runs, a JSON line for each record. Every HTTP exchange has an ``invoke``
line and, when it ended, a ``complete`` line; `Exchange` is the two put together. Times are nanoseconds of
the monotonic clock, counted from the start of the history; intervals are closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.plan.operation import Lane

Outcome = Literal["ok", "fail", "info"]
FOREVER_NS = 1 << 62
"""The completion time of what never completed."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it was received. ``text`` is kept only where it is at most 64 KiB and UTF-8."""

    size_bytes: int
    sha256: str
    sha512: str = ""
    text: str | None = None

    def json(self) -> Any:
        """The body as JSON; `None` where it is not."""
        try:
            return None if self.text is None else json.loads(self.text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and what came of it.

    ``op`` is the operation's id; the closing part and quiet points use ``closing.N`` and the quiet
    operation's id. ``call`` says what the request means (one of `CALLS`), ``about`` which objects: symbolic
    names (``repo``, ``blob``, ``manifest``, ``tag``, ``upload``, ``source``, ``case``) and facts
    (``digest``: as asked for; ``first``, ``size``, ``offset``, ``n``, ``last``, ``type``, ``page``;
    ``again``: the index of the exchange whose bytes were sent once more).
    ``outcome``: ``ok`` for a complete 1xx-3xx answer, ``fail`` for a complete 4xx (nothing was changed),
    ``info`` for anything else (nobody knows).
    """

    index: int
    op: str
    lane: Lane
    call: str
    about: Mapping[str, Any]
    method: str
    target: str
    request_headers: tuple[tuple[str, str], ...]
    request_size_bytes: int
    invoked_ns: int
    completed_ns: int = FOREVER_NS
    sent_bytes: int = 0
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    error: str | None = None
    detail: str = ""
    cut: str | None = None
    """How the client vanished (``close``, ``reset``, ``half``), where it was made to."""
    redirects: tuple[str, ...] = ()
    """Where the registry sent the client, in order; the headers are the last server's."""

    @property
    def outcome(self) -> Outcome:
        if self.status is None or self.error is not None:
            return "info"
        if self.status < 400:
            return "ok"
        return "fail" if self.status < 500 else "info"

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)

    def header_list(self, name: str) -> list[str]:
        name = name.lower()
        return [value for key, value in self.headers if key.lower() == name]


CALLS: dict[str, str] = {
    "ping": "GET /v2/",
    "blob.get": "GET a blob (whole, or a range: `first`, `last`)",
    "blob.head": "HEAD a blob",
    "blob.delete": "DELETE a blob",
    "upload.post": "POST that opens a session (no digest, no mount)",
    "upload.single": "POST with `?digest=` and the whole body; 202 means a session was opened instead",
    "upload.mount": "POST with `?mount=`; 201 mounted, 202 a session was opened instead",
    "upload.patch": "PATCH: `first` and `size` say which bytes were sent, `claim` what Content-Range claimed"
    " (absent: no Content-Range)",
    "upload.put": "PUT: commits a session; `digest` as declared, `first` and `size` of bytes in the body",
    "upload.get": "GET: status of a session",
    "upload.cancel": "DELETE: cancel a session",
    "manifest.get": "GET a manifest by `tag` or `digest`",
    "manifest.head": "HEAD a manifest by `tag` or `digest`",
    "manifest.put": "PUT a manifest by `tag` or `digest`; `tags` where `?tag=` was used",
    "manifest.delete": "DELETE a manifest by `digest`",
    "tag.delete": "DELETE a tag",
    "tags.list": "GET a tag list (one page; `page` counts from 1)",
    "referrers.list": "GET referrers (one page)",
    "request": "a request of the protocol table; `case` names it",
}


@dataclass(frozen=True, slots=True)
class Control:
    """Something that is no HTTP exchange. ``what``:

    ``op.start``, ``op.end`` (``data.ok``: did it do what it says), ``op.held``, ``op.released``;
    ``start`` / ``started`` / ``kill`` / ``killed`` / ``stop`` / ``stopped`` / ``pause`` / ``continue`` of the
    registry;
    ``collect.start`` (``untagged``, ``online``), ``collect.line`` (``text``), ``collect.end`` (``code``: exit
    status, ``removed``: number of objects it says it removed or ``None``); ``fault.delivered`` and
    ``fault.missed`` (``fault``: cut, hold, kill …; ``why``); ``quiet`` (a quiet point's read-back begins) /
    ``closing`` (``part``: read, restart, repush); ``limit`` (a wait ran out; ``why``); ``trouble`` (the
    harness could not do something; ``why``); ``end``.
    """

    what: str
    at_ns: int
    op: str = ""
    lane: Lane = 0
    data: Mapping[str, Any] = field(default_factory=dict)
