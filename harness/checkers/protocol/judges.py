"""What an answer to a case must look like beyond its status: predicates by name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.checkers.finding import Level
from harness.checkers.protocol.answer import Answer, Flaw, same_algorithm_differs, wrong_place
from harness.checkers.protocol.case import Case, op_arg, own_repo, render, unknown_digest
from harness.checkers.protocol.discovery import descriptors, filtered, index_form, tag_list_form
from harness.checkers.protocol.grammar import whole_number
from harness.checkers.protocol.known import Known
from harness.plan.operation import Operation

SMALL_LIMIT = 100
"""A limit that every registry can serve."""
_LIMIT = re.compile(r"[?&]n=([^&]*)")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_OTHER_REASONS = frozenset({405, 406, 409, 413, 415})
"""Refusals that are about something else than what a case tries."""
_UNKNOWN_CODES = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
_MANIFEST_CODES = frozenset({"MANIFEST_INVALID", "MANIFEST_UNVERIFIED", "UNSUPPORTED", "DENIED"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A case as it was sent, and what came back."""

    case: Case
    op: Operation
    answer: Answer
    known: Known

    @property
    def repo(self) -> str:
        """The real name of the repository that the request was about."""
        symbols = self.known.history.symbols
        if "own" in self.case.fields:
            return own_repo(self.op, symbols)
        return symbols.repo(str(op_arg(self.op, "repo")))

    @property
    def refused(self) -> bool:
        """Whether the refusal is about what the case tries."""
        return 400 <= self.answer.status < 500 and self.answer.status not in _OTHER_REASONS


def extensions(asked: Asked) -> Iterator[Flaw]:
    if asked.answer.status != 200:
        return
    document = asked.answer.json
    found = document.get("extensions") if isinstance(document, dict) else None
    whole = isinstance(found, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("url"), str)
        and isinstance(entry.get("endpoints"), list)
        for entry in found
    )
    if not whole:
        title = "the list of extensions is not in its form"
        yield Flaw(94, "form", "must", title, f"it is {(asked.answer.text or '')[:200]!r}")


def tag_accepted(asked: Asked) -> Iterator[Flaw]:
    """A tag of 128 characters is not refused for being one."""
    if not asked.refused:
        return
    codes = asked.answer.error_codes()
    if codes & _MANIFEST_CODES and not asked.known.empty_index:
        return
    level: Level = "must" if asked.known.empty_index or "TAG_INVALID" in codes else "should"
    title = "a tag of 128 characters is refused"
    yield Flaw(6, "refused", level, title, f"status {asked.answer.status}, codes {sorted(codes)}")


def two_tags(asked: Asked) -> Iterator[Flaw]:
    if asked.answer.status != 201:
        return
    said, wanted = asked.answer.values("oci-tag"), ("one", "two")
    more = [tag for tag in said if tag not in wanted]
    left = [tag for tag in wanted if tag not in said]
    if more:
        yield Flaw(63, "other", "must", "OCI-Tag names a tag that nobody asked for", f"it names {more}")
    if left:
        title = "a push with ?tag= is accepted without OCI-Tag for each tag"
        yield Flaw(63, "missing", "should" if said else "must", title, f"not named: {left}")


def no_bad_tag(asked: Asked) -> Iterator[Flaw]:
    bad = str(asked.op.get("a", ""))
    if asked.answer.status == 201 and bad in asked.answer.values("oci-tag"):
        yield Flaw(63, "bad", "must", "OCI-Tag names what is no tag", f"it names {bad!r}")


def session_opened(asked: Asked) -> Iterator[Flaw]:
    if asked.answer.status == 202 and not asked.answer.headers.get("location"):
        title = "an upload is opened instead, but without Location"
        yield Flaw(28, "location", "must", title, "there is none")


def byte_range(asked: Asked) -> Iterator[Flaw]:
    answer = asked.answer
    size_bytes = asked.known.history.symbols.blob_size_bytes(str(op_arg(asked.op, "blob")))
    name = asked.case.name
    if answer.status == 206 and answer.media_type != "multipart/byteranges":
        said = answer.headers.get("content-range", "")
        found = _CONTENT_RANGE.fullmatch(said.strip())
        if found is None or (found[3] != "*" and int(found[3]) != size_bytes):
            title = "Content-Range of a 206 is missing, or not in its form"
            yield Flaw(22, "content-range", "should", title, f"{said!r} of a blob of {size_bytes} bytes")
            return
        first = {
            "range.first-byte": 0,
            "range.open": 1,
            "range.suffix": max(0, size_bytes - int(asked.op.get("n", 0))),
        }.get(name)
        if first is not None and int(found[1]) != first:
            title = "206 begins with another byte than was asked for"
            yield Flaw(22, "other", "should", title, f"asked for byte {first} and on, got {said}")
    satisfiable = size_bytes > (1 if name == "range.open" else 0)
    if answer.status == 416 and name in ("range.first-byte", "range.suffix", "range.open") and satisfiable:
        title = "a range that the blob has is answered with 416"
        yield Flaw(22, "satisfiable", "should", title, f"the blob has {size_bytes} bytes")


def manifest_bytes(asked: Asked) -> Iterator[Flaw]:
    """Whatever a client accepts, what it gets by digest is the manifest of that digest, or nothing."""
    body = asked.answer.exchange.body
    if asked.answer.status != 200 or not asked.answer.whole or body is None:
        return
    algorithm, _, encoded = asked.known.history.symbols.manifest_digest(
        str(op_arg(asked.op, "manifest"))
    ).partition(":")
    seen = {"sha256": body.sha256, "sha512": body.sha512}.get(algorithm)
    if seen and seen != encoded:
        title = "a manifest that is asked for by digest is answered with other bytes"
        yield Flaw(12, "bytes", "must", title, f"{body.size_bytes} bytes with {algorithm} {seen[:12]}…")


def tags_limit(asked: Asked) -> Iterator[Flaw]:
    """At most n tags; none, and no Link, for 0; a small limit is served."""
    answer = asked.answer
    found = _LIMIT.search(asked.case.path)
    text = str(asked.op.get("a", "")) if found is None or found[1] == "{a}" else found[1]
    limit = whole_number(text)
    if answer.status != 200:
        there = asked.known.present("repo", str(op_arg(asked.op, "repo")), "", answer.exchange)
        if asked.case.name == "tags.limit" and limit is not None and 0 < limit <= SMALL_LIMIT and there:
            title = "a tag list with a small limit is refused"
            yield Flaw(68, "refused", "should", title, f"n={limit}: status {answer.status}")
        return
    if answer.text is None:
        return
    yield from tag_list_form(answer, asked.repo)
    document = answer.json
    tags = document.get("tags") if isinstance(document, dict) else None
    if limit is None or not isinstance(tags, list):
        return
    if len(tags) > limit:
        row, title = (
            (70, "a limit of 0 gives tags") if limit == 0 else (68, "a list has more tags than its limit")
        )
        yield Flaw(row, "too-many", "must", title, f"n={limit}: {len(tags)} tags")
    if limit == 0 and answer.links_next():
        yield Flaw(70, "link", "must", "a limit of 0 gives a Link", f"Link: {answer.headers['link'][:100]}")


def tags_form(asked: Asked) -> Iterator[Flaw]:
    if asked.answer.status == 200 and asked.answer.text is not None:
        yield from tag_list_form(asked.answer, asked.repo)


def referrers(asked: Asked) -> Iterator[Flaw]:
    if asked.answer.status == 200:
        yield from index_form(asked.answer)


def no_referrers(asked: Asked) -> Iterator[Flaw]:
    yield from referrers(asked)
    listed = [str(entry.get("digest")) for entry in descriptors(asked.answer)]
    if asked.answer.status == 200 and listed:
        title = "referrers are listed for a manifest that nobody pushed"
        yield Flaw(78, "listed", "must", title, f"listed: {listed[:3]}")


def filtered_referrers(asked: Asked) -> Iterator[Flaw]:
    yield from referrers(asked)
    if asked.answer.status == 200:
        yield from filtered(asked.answer, "application/vnd.seatrial.unknown", asked.known)


def stored(asked: Asked) -> Iterator[Flaw]:
    """An accepted manifest: its digest where one is named, and its place."""
    if asked.answer.status != 201:
        return
    rendered = render(asked.case, asked.op, asked.known.history.symbols)
    location = asked.answer.headers.get("location", "")
    wanted = "sha256:" + hashlib.sha256(rendered.body or b"").hexdigest()
    seen = asked.answer.headers.get("docker-content-digest")
    if seen is not None and same_algorithm_differs(seen, wanted):
        title = "Docker-Content-Digest of a push is not the digest of what was pushed"
        yield Flaw(54, "other", "must", title, f"pushed {wanted}, answered {seen}")
    why = wrong_place(location, "manifests", asked.repo, wanted) if location else "there is none"
    if why:
        title = "the Location of a pushed manifest is missing, or not where it is pulled from"
        yield Flaw(52, "place", "must", title, f"Location: {location}: {why}")


def unknown_content(asked: Asked) -> Iterator[Flaw]:
    """A manifest that is refused for what it references is refused with the code for that."""
    codes = asked.answer.error_codes()
    if not asked.refused or codes & {"UNSUPPORTED", "DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS"}:
        return
    wanted = {"MANIFEST_BLOB_UNKNOWN"}
    if asked.known.history.promises.spec == "1.0":
        wanted.add("BLOB_UNKNOWN")
    if not codes & wanted:
        title = "a manifest that references unknown content is refused without MANIFEST_BLOB_UNKNOWN"
        text = f"status {asked.answer.status}, codes {sorted(codes)}"
        yield Flaw(58, "code", "must", title, text)


def subject(asked: Asked) -> Iterator[Flaw]:
    history = asked.known.history
    if codes := asked.answer.error_codes() & _UNKNOWN_CODES if asked.refused else None:
        # It names nothing but its subject: that alone can be what is missing.
        title = "a manifest is refused because its subject is not there"
        yield Flaw(57, "refused", "must", title, f"status {asked.answer.status}, codes {sorted(codes)}")
    if asked.answer.status != 201 or not history.abilities.can("referrers"):
        return
    wanted = unknown_digest(asked.op, history.symbols)
    seen = asked.answer.headers.get("oci-subject")
    if seen is None:
        title = "a manifest with a subject is accepted without OCI-Subject"
        yield Flaw(59, "missing", "must", title, f"the subject is {wanted}")
    elif seen.strip() != wanted:
        title = "OCI-Subject is not the digest of the subject"
        yield Flaw(59, "other", "must", title, f"the subject is {wanted}, it says {seen[:100]}")


JUDGES: Mapping[str, Callable[[Asked], Iterator[Flaw]]] = {
    "extensions": extensions,
    "tag-accepted": tag_accepted,
    "two-tags": two_tags,
    "no-bad-tag": no_bad_tag,
    "session-opened": session_opened,
    "range": byte_range,
    "manifest-bytes": manifest_bytes,
    "tags-limit": tags_limit,
    "tags-after": tags_form,
    "no-referrers": no_referrers,
    "referrers": referrers,
    "filtered": filtered_referrers,
    "stored": stored,
    "unknown-content": unknown_content,
    "subject": subject,
}
