"""Checks on pulls and HEAD: headers of what is there.

Claims: Docker-Content-Digest, Content-Type, Content-Length and Content-Range are there and in their form, as
far as the target's version of the specification wants them. Misses: whether the bytes are right (content
addressing) and whether the object should be there at all (durability). Cost: constant for an exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.checkers.protocol.answer import Answer, Flaw, same_algorithm_differs
from harness.checkers.protocol.grammar import is_digest
from harness.checkers.protocol.known import Known

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_ROW_OF_DIGEST = {"manifest.get": 15, "blob.get": 20, "manifest.head": 24, "blob.head": 24}


def content_digest(answer: Answer, known: Known) -> Iterator[Flaw]:
    """There, a digest, and not another one of the algorithm that was asked for."""
    if answer.status != 200:
        return
    row = _ROW_OF_DIGEST[answer.call]
    seen = answer.headers.get("docker-content-digest")
    if seen is None and answer.exchange.redirects:
        return  # the headers are those of the storage behind the registry
    if seen is None:
        yield Flaw(row, "missing", "must", f"{answer.call} without Docker-Content-Digest", "there is none")
        return
    if not is_digest(seen):
        yield Flaw(row, "form", "must", "Docker-Content-Digest is no digest", f"it is {seen[:100]!r}", "1.0")
        return
    asked = answer.about.get("digest")
    if isinstance(asked, str) and "tag" not in answer.about and same_algorithm_differs(seen, asked):
        title = "Docker-Content-Digest is another digest than what was asked for"
        yield Flaw(row, "other", "must", title, f"asked for {asked}, it says {seen}", "1.0")


def content_type(answer: Answer, known: Known) -> Iterator[Flaw]:
    """The type that was pushed, without parameters. By tag, the digest that came with it says which."""
    if answer.status != 200:
        return
    said = answer.headers.get("content-type")
    if said is None:
        yield Flaw(13, "missing", "should", f"{answer.call} without Content-Type", "there is none")
        return
    if ";" in said:
        title = "the Content-Type of a manifest has parameters"
        yield Flaw(14, "parameters", "should", title, f"Content-Type: {said}")
    about = answer.about
    digest = about.get("digest") if "tag" not in about else answer.headers.get("docker-content-digest")
    name = known.named.get(str(digest))
    if name is None:
        return
    pushed = known.history.symbols.media_type(name)
    if answer.media_type != pushed.lower():
        title = "the Content-Type of a manifest is not the one that it was pushed with"
        yield Flaw(13, "type", "should", title, f"pushed as {pushed}, answered as {said}")


def content_length(answer: Answer, known: Known) -> Iterator[Flaw]:
    if answer.status != 200:
        return
    said = answer.headers.get("content-length")
    if said is None:
        yield Flaw(25, "missing", "must", f"{answer.call} without Content-Length", "there is none")
    elif not (said.isascii() and said.isdigit()):
        yield Flaw(25, "form", "must", "Content-Length is no number", f"it is {said[:50]!r}", "1.0")


def content_range(answer: Answer, known: Known) -> Iterator[Flaw]:
    """206 says which bytes it holds, and they are those that were asked for."""
    if answer.status != 206:
        return
    if answer.media_type == "multipart/byteranges":
        return
    said = answer.headers.get("content-range")
    if said is None:
        yield Flaw(22, "missing", "should", "206 without Content-Range", "there is none")
        return
    found = _CONTENT_RANGE.fullmatch(said.strip())
    if found is None or int(found[2]) < int(found[1]) or (found[3] != "*" and int(found[2]) >= int(found[3])):
        yield Flaw(22, "form", "should", "Content-Range of a 206 is not in its form", f"it is {said[:80]!r}")
        return
    first = answer.about.get("first")
    if isinstance(first, int) and int(found[1]) != first:
        title = "206 begins with another byte than was asked for"
        yield Flaw(22, "other", "should", title, f"asked for bytes from {first}, got {said}")
    body = answer.exchange.body
    held = int(found[2]) - int(found[1]) + 1
    if answer.whole and body is not None and body.size_bytes != held:
        title = "206 holds another number of bytes than its Content-Range says"
        yield Flaw(22, "size", "should", title, f"{said}, but {body.size_bytes} bytes")


CHECKS = {
    "blob.get": (content_digest, content_range),
    "blob.head": (content_digest, content_length),
    "manifest.get": (content_digest, content_type),
    "manifest.head": (content_digest, content_type, content_length),
}
ROWS_CITED = frozenset({13, 14, 15, 20, 22, 24, 25})
