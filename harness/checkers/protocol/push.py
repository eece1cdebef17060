"""Checks on uploads, mounts and pushed manifests: locations, offsets, digests.

Claims: what an accepted step of a push has to say is there and in its form. Misses: whether an offset is the
right one and who may commit (upload sessions), and whether what was pushed can be read. Cost: constant for an
exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.checkers.protocol.answer import Answer, Flaw, same_algorithm_differs, wrong_place
from harness.checkers.protocol.grammar import is_digest
from harness.checkers.protocol.known import Known

_OFFSETS = re.compile(r"0-\d+")
_ROW_OF_SESSION = {
    "upload.post": 28,
    "upload.single": 28,
    "upload.mount": 28,
    "upload.patch": 39,
    "upload.get": 44,
}
_ROW_OF_OBJECT = {"upload.put": 31, "upload.single": 32, "upload.mount": 48, "manifest.put": 52}


def session_location(answer: Answer, known: Known) -> Iterator[Flaw]:
    """An open session says where it goes on."""
    if answer.status == (204 if answer.call == "upload.get" else 202) and not answer.headers.get("location"):
        row = _ROW_OF_SESSION[answer.call]
        yield Flaw(row, "location", "must", f"{answer.call} answers without Location", "there is none")


def own_location(answer: Answer, known: Known) -> Iterator[Flaw]:
    """No two sessions have the same Location."""
    location = answer.headers.get("location")
    if answer.status != 202 or not location:
        return
    first = known.first_with_location.get(location)
    if first is not None and first.index != answer.exchange.index:
        title = "two upload sessions have the same Location"
        text = f"{location} was given out in #{first.index} too"
        yield Flaw(29, "shared", "must", title, text)


def object_location(answer: Answer, known: Known) -> Iterator[Flaw]:
    """What was stored says where it can be pulled from."""
    if answer.status != 201:
        return
    row = _ROW_OF_OBJECT[answer.call]
    location = answer.headers.get("location")
    if not location:
        yield Flaw(row, "location", "must", f"{answer.call} answers 201 without Location", "there is none")
        return
    about, symbols = answer.about, known.history.symbols
    kind = "manifests" if answer.call == "manifest.put" else "blobs"
    repo = symbols.repo(str(about.get("repo", "")))
    why = wrong_place(location, kind, repo, str(about.get("digest", "")))
    if why:
        title = f"the Location of {answer.call} is not where the object is pulled from"
        yield Flaw(row, "place", "must", title, f"Location: {location}: {why}")


def chunk_length(answer: Answer, known: Known) -> Iterator[Flaw]:
    said = answer.headers.get("oci-chunk-min-length")
    if answer.status == 202 and said is not None and not (said.isascii() and said.isdigit()):
        yield Flaw(37, "form", "should", "OCI-Chunk-Min-Length is no number of bytes", f"it is {said[:50]!r}")


def offset(answer: Answer, known: Known) -> Iterator[Flaw]:
    """Range of a session is ``0-<last byte>``; before the first byte it may be anything that says so."""
    patched = answer.call == "upload.patch"
    if answer.status != (202 if patched else 204):
        return
    row = 40 if patched else 44
    said = answer.headers.get("range")
    if said is None:
        if known.holds_bytes(answer.exchange):
            yield Flaw(row, "range", "must", f"{answer.call} answers without Range", "there is none")
    elif _OFFSETS.fullmatch(said.strip()) is None:
        title = f"Range of {answer.call} is not 0-<last byte>"
        yield Flaw(row, "range-form", "must", title, f"Range: {said[:60]}")


def pushed_digest(answer: Answer, known: Known) -> Iterator[Flaw]:
    """Docker-Content-Digest of a push, where there is one, is the digest of what was pushed."""
    seen = answer.headers.get("docker-content-digest")
    if answer.status != 201 or seen is None:
        return
    if not is_digest(seen):
        yield Flaw(54, "form", "must", "Docker-Content-Digest is no digest", f"it is {seen[:100]!r}")
        return
    about = answer.about
    wanted = about.get("digest")
    name = about.get("manifest")
    algorithm = seen.partition(":")[0]
    if isinstance(name, str) and algorithm in ("sha256", "sha512"):
        wanted = known.history.symbols.manifest_digest(name, algorithm)
    if isinstance(wanted, str) and same_algorithm_differs(seen, wanted):
        title = "Docker-Content-Digest of a push is not the digest of what was pushed"
        yield Flaw(54, "other", "must", title, f"pushed {wanted}, answered {seen}")


def subject(answer: Answer, known: Known) -> Iterator[Flaw]:
    """OCI-Subject answers a manifest with a subject, where the registry lists referrers."""
    if answer.status != 201 or not known.history.abilities.can("referrers"):
        return
    name = answer.about.get("manifest")
    if not isinstance(name, str):
        return
    symbols = known.history.symbols
    spec = symbols.manifest_spec(name)
    if spec.subject is None:
        return
    seen = answer.headers.get("oci-subject")
    wanted = symbols.manifest_digest(spec.subject)
    if seen is None:
        title = "a manifest with a subject is accepted without OCI-Subject"
        yield Flaw(59, "missing", "must", title, f"the subject is {wanted}")
    elif seen.strip() != wanted:
        title = "OCI-Subject is not the digest of the subject"
        yield Flaw(59, "other", "must", title, f"the subject is {wanted}, it says {seen[:100]}")


def unfounded_refusal(answer: Answer, known: Known) -> Iterator[Flaw]:
    """A manifest is not refused for content that is there, nor for a subject that is not."""
    name, repo = answer.about.get("manifest"), str(answer.about.get("repo", ""))
    if not isinstance(name, str) or "MANIFEST_BLOB_UNKNOWN" not in answer.error_codes():
        return
    history, exchange = known.history, answer.exchange
    spec = history.symbols.manifest_spec(name)
    children = [history.symbols.manifest_spec(child) for child in spec.children]
    if (
        history.promises.collects_itself != "no"
        or any(op.do.startswith("disk.") for op in history.plan)
        or any(child.alg != "sha256" for child in children)  # by tag it got another digest
        or not all(known.present("blob", repo, blob, exchange) for blob in spec.blobs)
        or not all(known.present("manifest", repo, child, exchange) for child in spec.children)
    ):
        return
    text = f"status {answer.status}, and {', '.join((*spec.blobs, *spec.children)) or 'nothing'} is there"
    if spec.subject is None:
        yield Flaw(52, "unfounded", "must", "a manifest is refused for content that is there", text)
    elif not known.present("manifest", repo, spec.subject, exchange):
        yield Flaw(57, "refused", "must", "a manifest is refused because its subject is not there", text)


def tags(answer: Answer, known: Known) -> Iterator[Flaw]:
    """OCI-Tag names tags that were asked for, and should name each of them."""
    asked = answer.about.get("tags")
    if answer.status != 201 or not asked or not known.history.abilities.can("tag-params"):
        return
    said = answer.values("oci-tag")
    more = [tag for tag in said if tag not in asked]
    left = [tag for tag in asked if tag not in said]
    if more:
        title = "OCI-Tag names a tag that nobody asked for"
        yield Flaw(63, "other", "must", title, f"asked for {list(asked)}, it names {more}")
    if left:
        # A registry may take some of the tags only; one that names none has taken none, or forgot to say.
        title = "a push with ?tag= is accepted without OCI-Tag for each tag"
        yield Flaw(63, "missing", "should" if said else "must", title, f"not named: {left}")


CHECKS = {
    "upload.post": (session_location, own_location, chunk_length),
    "upload.single": (session_location, own_location, object_location),
    "upload.mount": (session_location, own_location, object_location),
    "upload.patch": (session_location, offset),
    "upload.get": (session_location, offset),
    "upload.put": (object_location,),
    "manifest.put": (object_location, pushed_digest, subject, tags, unfounded_refusal),
}
ROWS_CITED = frozenset({28, 29, 31, 32, 37, 39, 40, 44, 48, 52, 54, 57, 59, 63})
