"""What the checks of single exchanges need to know of the rest of a history: indexes, made in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from harness.checkers.protocol.bodies import SELF_CONTAINED
from harness.checkers.protocol.table import CASES
from harness.history import Exchange, History
from harness.model.circumstances import Span, faults, holds, outages, pauses

_BLOB_MADE = frozenset({"upload.put", "upload.single", "upload.mount"})
_SESSION_USED = frozenset({"upload.patch", "upload.put", "upload.cancel", "request"})
_DELETES = frozenset({"blob.delete", "manifest.delete", "tag.delete"})
_OPENS = frozenset({"upload.post", "upload.single", "upload.mount"})

Key = tuple[str, str, str]
"""(``blob`` | ``manifest`` | ``tag`` | ``repo`` | ``session``, symbolic repository, symbolic name)."""


class Known:
    """Cost: one pass over the exchanges; digests are only made when asked for."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.made: dict[Key, list[Exchange]] = {}
        self.deleted_ns: dict[str, int] = {}
        self.used: dict[tuple[str, str], list[Exchange]] = {}
        self.sent_ns: dict[str, int] = {}
        """For each session (its symbolic name), when its first bytes were acknowledged."""
        self.empty_index = False
        """Whether an index without children was accepted in this history."""
        for exchange in history.exchanges:
            self._add(exchange)
        self.disturbed_ns = min(
            (control.at_ns for control in history.what("collect.start", "kill", "killed", "stop")),
            default=None,
        )

    def _add(self, exchange: Exchange) -> None:
        call, about = exchange.call, exchange.about
        repo = str(about.get("repo", ""))
        if call in _DELETES:
            self.deleted_ns[repo] = min(exchange.invoked_ns, self.deleted_ns.get(repo, exchange.invoked_ns))
        if call in _SESSION_USED and "upload" in about:
            self.used.setdefault((repo, str(about["upload"])), []).append(exchange)
        if exchange.status == 201:
            if call in _BLOB_MADE and "blob" in about:
                self._made("blob", repo, about["blob"], exchange)
            elif call == "manifest.put":
                if self._under_its_digest(exchange):
                    self._made("manifest", repo, about.get("manifest", ""), exchange)
                for tag in (about.get("tag"), *about.get("tags", ())):
                    if tag is not None:
                        self._made("tag", repo, tag, exchange)
                        self._made("repo", repo, "", exchange)
            elif call == "request":
                case = CASES.get(str(about.get("case")))
                self.empty_index |= case is not None and case.body in SELF_CONTAINED
        elif exchange.status == 202 and call in _OPENS and "upload" in about:
            self._made("session", repo, about["upload"], exchange)
        if call == "upload.patch" and exchange.status == 202 and about.get("size", 0):
            self.sent_ns.setdefault(_session(exchange), exchange.completed_ns)

    def _under_its_digest(self, exchange: Exchange) -> bool:
        """Whether a manifest is known by the digest that the plan calls it by: one that was pushed by a tag
        is for certain known by the registry's own algorithm only."""
        name, symbols = exchange.about.get("manifest"), self.history.symbols
        by_tag = exchange.about.get("tag") is not None
        return not by_tag or name not in symbols.manifests or symbols.manifest_spec(str(name)).alg == "sha256"

    def _made(self, kind: str, repo: str, name: object, exchange: Exchange) -> None:
        self.made.setdefault((kind, repo, str(name)), []).append(exchange)

    def holds_bytes(self, exchange: Exchange) -> bool:
        """Whether the session that an exchange is about certainly holds bytes when it is answered."""
        sent_ns = self.sent_ns.get(_session(exchange))
        if sent_ns is None:
            return False
        own = exchange.call == "upload.patch" and bool(exchange.about.get("size", 0))
        return own or sent_ns < exchange.invoked_ns

    def maker(self, kind: str, repo: str, name: str, before: Exchange) -> Exchange | None:
        """The last exchange before another that made an object."""
        found = self.made.get((kind, repo, name), ())
        return next((one for one in reversed(found) if one.completed_ns < before.invoked_ns), None)

    def present(self, kind: str, repo: str, name: str, exchange: Exchange) -> bool:
        """Whether an object certainly exists while ``exchange`` goes on. Errs towards no: any deletion in
        its repository, and any collector run or outage before the answer, make it doubtful."""
        maker = self.maker(kind, repo, "" if kind == "repo" else name, exchange)
        if maker is None or (self.disturbed_ns is not None and self.disturbed_ns <= exchange.completed_ns):
            return False
        if kind == "session":
            used = self.used.get((repo, name), ())
            return all(other.index == exchange.index for other in used)
        deleted_ns = self.deleted_ns.get(repo)
        return deleted_ns is None or deleted_ns > exchange.completed_ns

    def excused(self, exchange: Exchange) -> bool:
        """Whether something was done to the registry, or to the connection, that excuses a lost answer."""
        if exchange.cut is not None:
            return True
        return any(span.overlaps(exchange.invoked_ns, exchange.completed_ns) for span in self._excuses)

    @cached_property
    def _excuses(self) -> tuple[Span, ...]:
        history = self.history
        return (*outages(history), *pauses(history), *faults(history), *holds(history))

    @cached_property
    def named(self) -> Mapping[str, str]:
        """The plan's manifests by their digests, sha256 and the one that they are pushed under."""
        symbols = self.history.symbols
        found: dict[str, str] = {}
        for name in symbols.manifests:
            for algorithm in {"sha256", symbols.manifest_spec(name).alg}:
                found[symbols.manifest_digest(name, algorithm)] = name
        for exchange in self.history.calls("manifest.put"):
            other = exchange.about.get("manifest")
            if isinstance(other, str) and other not in symbols.manifests:
                found[symbols.manifest_digest(other, "sha256")] = other
        return found

    @cached_property
    def first_with_location(self) -> Mapping[str, Exchange]:
        """For each Location of an opened session, the first exchange that was given it."""
        found: dict[str, Exchange] = {}
        for exchange in self.history.exchanges:
            if exchange.status == 202 and (exchange.call in _OPENS):
                location = exchange.header("location")
                if location:
                    found.setdefault(location, exchange)
        return found


def _session(exchange: Exchange) -> str:
    return str(exchange.about.get("upload", exchange.op))
