"""One request of the protocol table: what it is, and how it becomes bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote

from harness.checkers.finding import Level
from harness.checkers.protocol.bodies import BODIES, DEEP, MALFORMED, ODD, Stuff
from harness.checkers.protocol.grammar import NUMBER_DOMAINS, TEXT_DOMAINS
from harness.plan.content import Symbols
from harness.plan.operation import Operation

ANY_4XX = frozenset(range(400, 500))
LEGAL = frozenset({301, 302, 303, 304, 307, 308, 401, 403, 408, 414, 421, 429, 431, 451})
"""What a server may always answer: elsewhere, not you, not now, too long."""
DEFAULTS: Mapping[str, str] = {"repo": "cases", "blob": "case-blob", "manifest": "case-manifest", "tag": "t"}
"""What an operation without these arguments is about."""

_PATH_SAFE = "/:@!$&'()*+,;=-._~"
_QUERY_SAFE = "/:@!$'()*,;-._~"
_REFERENCE = re.compile(r"\{(\w+)\}")
_SLUG = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Case:
    """A request, and the answers that are allowed.

    ``path``, ``method`` and the values of ``headers`` are templates. Their fields:

    ===================  ==================================================================================
    ``repo``             the real name of the operation's repository
    ``own``              a repository that only this operation uses; whatever it makes disturbs nobody
    ``digest``           the digest of the operation's blob; ``size``: its number of bytes
    ``manifest_digest``  the digest of the operation's manifest; ``media_type``: its type
    ``tag``              the operation's tag
    ``unknown``          a digest of content that nobody pushed
    ``body_digest``      the digest of the request's body
    ``session``          the id of an upload session that nobody opened
    ``name_of_n``        a name of ``n`` letters
    ``upload``           the location of the operation's upload session (only at the start of ``path``)
    ``a`` ``b`` ``n``    the operation's arguments, drawn from the domains in ``draws``
    ===================  ==================================================================================

    ``body`` names one of `BODIES`. A status outside ``allowed`` (and outside `LEGAL`) is a finding of
    ``level``; one that is allowed but not in ``should`` is one of level ``should``. ``judge`` names a
    predicate on the rest of the answer (`harness.checkers.protocol.judges`). ``present``: what has to exist
    for the answer to be held to this (``blob``, ``manifest``, ``repo``); where the history cannot tell that
    it does, 404 is allowed too. ``needs``: an ability of the target. ``raw``: the target must be sent as it
    is, dot segments and all.
    """

    name: str
    row: int
    method: str
    path: str
    doc: str
    allowed: frozenset[int] = ANY_4XX
    level: Level = "must"
    should: frozenset[int] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    judge: str = ""
    present: str = ""
    needs: str = ""
    draws: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False

    @cached_property
    def fields(self) -> frozenset[str]:
        text = " ".join((self.method, self.path, *(value for _, value in self.headers)))
        return frozenset(_REFERENCE.findall(text))

    @property
    def session(self) -> bool:
        """Whether it needs an upload session that is open: an ``upload`` of its own in the plan."""
        return "upload" in self.fields

    @property
    def large(self) -> bool:
        """Whether the body is so large that the server may answer, and hang up, before all of it is sent."""
        return self.body in ("four megabytes", "too large")

    def holds(self, op: Operation) -> bool:
        """Whether the operation's inputs are from the case's domains: only then is a verdict given."""
        return all(_in_domain(domain, op.get(name)) for name, domain in self.draws.items())


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request to send. ``target`` is a path on the registry, or an absolute URL where an upload session's
    location is one. ``headers`` are all there are to be, apart from what framing and authentication need (no
    ``Accept`` may be added). ``raw``: ``target`` must not be normalised."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    raw: bool


def render(case: Case, op: Operation, symbols: Symbols, upload_location: str | None = None) -> Rendered:
    """The case's request for one operation: a pure function.

    ``upload_location``: where the session of the operation's ``upload`` was last seen; without it a case
    that needs one asks for a session that does not exist, and no verdict is given. Arguments that are
    missing have `DEFAULTS`. Never raises for what arguments hold.
    """
    stuff = stuff_of(op, symbols)
    body = BODIES[case.body](stuff) if case.body else None
    values = _Values(op, symbols, stuff, body, upload_location)
    path, mark, query = case.path.partition("?")
    target = values.fill(path, _PATH_SAFE)
    if mark:
        filled = values.fill(query, _QUERY_SAFE)
        target += ("&" if "?" in target else "?") + filled
    headers = tuple((name, _header(values.fill(value, None))) for name, value in case.headers)
    return Rendered(values.fill(case.method, None), target, headers, body, case.raw)


def stuff_of(op: Operation, symbols: Symbols) -> Stuff:
    mark = f"{symbols.salt} {op.id}"
    return Stuff(mark, unknown_digest(op, symbols), unknown_digest(op, symbols, "2"), str(op.get("a", "")))


def unknown_digest(op: Operation, symbols: Symbols, which: str = "") -> str:
    """A sha256 digest whose content nobody knows: made from the salt and the operation's id."""
    return "sha256:" + hashlib.sha256(f"unknown{which} {symbols.salt} {op.id}".encode()).hexdigest()


def unknown_session(op: Operation, symbols: Symbols) -> str:
    """A well-formed (version 4) UUID that no server gave out."""
    text = hashlib.sha256(f"session {symbols.salt} {op.id}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"


def own_repo(op: Operation, symbols: Symbols) -> str:
    """The real name of the operation's own repository."""
    name = op.id if _SLUG.fullmatch(op.id) else hashlib.sha256(op.id.encode()).hexdigest()[:12]
    return symbols.repo(f"case-{name}")


def _in_domain(domain: str, value: object) -> bool:
    if domain == "malformed":
        return value in MALFORMED
    if domain == "odd":
        return value in ODD
    if domain == "deep":
        return value in DEEP
    if domain in NUMBER_DOMAINS:
        return isinstance(value, int) and not isinstance(value, bool) and NUMBER_DOMAINS[domain](value)
    return isinstance(value, str) and TEXT_DOMAINS[domain](value)


def _header(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text).strip()


class _Values:
    """The fields of one rendering; digests are only made where a template asks for them."""

    def __init__(
        self, op: Operation, symbols: Symbols, stuff: Stuff, body: bytes | None, location: str | None
    ) -> None:
        self.op, self.symbols, self.stuff, self.body, self.location = op, symbols, stuff, body, location

    def fill(self, template: str, safe: str | None) -> str:
        """The template with its fields; ``safe`` are the characters that are not percent-encoded (`None`:
        nothing is encoded)."""

        def value(found: re.Match[str]) -> str:
            name = found[1]
            text = str(self._value(name))
            return text if safe is None or name == "upload" else quote(text, safe=safe)

        return _REFERENCE.sub(value, template)

    def _value(self, name: str) -> object:
        op, symbols = self.op, self.symbols
        if name in ("a", "b"):
            return op.get(name, "")
        if name == "n":
            return op.get("n", 0)
        if name == "name_of_n":
            return "n" * max(1, min(int(op.get("n", 1)), 1 << 15))
        if name == "repo":
            return symbols.repo(self._arg("repo"))
        if name == "own":
            return own_repo(op, symbols)
        if name == "tag":
            return self._arg("tag")
        if name == "digest":
            return symbols.blob_digest(self._arg("blob"))
        if name == "size":
            return symbols.blob_size_bytes(self._arg("blob"))
        if name == "manifest_digest":
            return symbols.manifest_digest(self._arg("manifest"))
        if name == "media_type":
            return symbols.media_type(self._arg("manifest"))
        if name == "unknown":
            return self.stuff.unknown
        if name == "body_digest":
            return "sha256:" + hashlib.sha256(self.body or b"").hexdigest()
        if name == "session":
            return unknown_session(op, symbols)
        if name == "upload":
            return (
                self.location or f"/v2/{own_repo(op, symbols)}/blobs/uploads/{unknown_session(op, symbols)}"
            )
        raise KeyError(name)

    def _arg(self, name: str) -> str:
        return str(op_arg(self.op, name))


def op_arg(op: Operation, name: str) -> object:
    """An argument of the operation, or what it defaults to."""
    return op.get(name, DEFAULTS[name])
