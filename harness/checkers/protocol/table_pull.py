"""Cases about pulling and deleting."""

from __future__ import annotations

from collections.abc import Mapping

from harness.checkers.finding import Level
from harness.checkers.protocol.case import Case

_ABSENT = frozenset({404})
_READABLE = frozenset({200})
_PART = frozenset({200, 206, 416})
_NO_DELETE = frozenset({400, 404, 405})
_REFUSED = frozenset({400, 404})
_NOTHING: Mapping[str, str] = {}


def _absent(name: str, row: int, method: str, path: str, doc: str) -> Case:
    return Case(name, row, method, path, doc, allowed=_ABSENT)


def _digest(name: str, method: str, path: str, doc: str, domain: str) -> Case:
    return Case(name, 7, method, path, doc, should=_REFUSED, draws={"a": domain})


def _range(
    name: str, value: str, doc: str, allowed: frozenset[int] = _PART, draws: Mapping[str, str] = _NOTHING
) -> Case:
    return Case(
        name,
        22,
        "GET",
        "/v2/{repo}/blobs/{digest}",
        doc,
        allowed=allowed,
        level="should",
        headers=(("range", value),),
        judge="range",
        present="blob",
        draws=draws,
    )


def _accept(
    name: str,
    row: int,
    value: str | None,
    doc: str,
    *,
    allowed: frozenset[int] = _READABLE,
    draws: Mapping[str, str] = _NOTHING,
) -> Case:
    return Case(
        name,
        row,
        "GET",
        "/v2/{repo}/manifests/{manifest_digest}",
        doc,
        allowed=allowed,
        level="should" if row == 12 else "note",
        headers=(("accept", value),) if value is not None else (),
        judge="manifest-bytes",
        present="manifest",
        draws=draws,
    )


def _delete(name: str, row: int, path: str, doc: str, level: Level, domain: str = "") -> Case:
    draws = {"a": domain} if domain else {}
    return Case(name, row, "DELETE", path, doc, allowed=_NO_DELETE, level=level, draws=draws)


BLOBS, MANIFESTS = "/v2/{repo}/blobs", "/v2/{repo}/manifests"

CASES: tuple[Case, ...] = (
    _absent("absent.blob.get", 21, "GET", f"{BLOBS}/{{unknown}}", "a blob that nobody pushed"),
    _absent("absent.blob.head", 26, "HEAD", f"{BLOBS}/{{unknown}}", "HEAD of a blob that nobody pushed"),
    _absent("absent.manifest.get", 17, "GET", f"{MANIFESTS}/{{unknown}}", "a manifest that nobody pushed"),
    _absent("absent.manifest.head", 26, "HEAD", f"{MANIFESTS}/{{unknown}}", "HEAD of such a manifest"),
    _absent("absent.tag.get", 17, "GET", f"{MANIFESTS}/no-such-tag", "a tag that nobody pushed"),
    _absent("absent.tag.head", 26, "HEAD", f"{MANIFESTS}/no-such-tag", "HEAD of a tag that nobody pushed"),
    _absent(
        "absent.repository.tag",
        18,
        "GET",
        "/v2/{own}/manifests/latest",
        "a tag in a repository that is not there",
    ),
    _absent(
        "absent.repository.blob",
        18,
        "GET",
        "/v2/{own}/blobs/{digest}",
        "a known blob in a repository that is not there",
    ),
    _absent(
        "absent.repository.manifest",
        18,
        "GET",
        "/v2/{own}/manifests/{manifest_digest}",
        "a known manifest in a repository that is not there",
    ),
    _absent("absent.repository.tags", 65, "GET", "/v2/{own}/tags/list", "the tags of such a repository"),
    _digest("digest.bad.blob", "GET", BLOBS + "/{a}", "a blob by what is no digest", "bad-digest"),
    _digest(
        "digest.bad.blob-head", "HEAD", BLOBS + "/{a}", "HEAD of a blob by what is no digest", "bad-digest"
    ),
    _digest(
        "digest.bad.manifest",
        "GET",
        MANIFESTS + "/{a}",
        "a manifest by what is neither a digest nor a tag",
        "bad-digest",
    ),
    _digest(
        "digest.unknown-algorithm.blob",
        "GET",
        BLOBS + "/{a}",
        "a blob by a digest of an algorithm that nobody has",
        "unknown-algorithm",
    ),
    _digest(
        "digest.unknown-algorithm.manifest",
        "GET",
        MANIFESTS + "/{a}",
        "a manifest by a digest of an algorithm that nobody has",
        "unknown-algorithm",
    ),
    _range("range.first-byte", "bytes=0-0", "the first byte of a blob"),
    _range("range.suffix", "bytes=-{n}", "the last bytes of a blob", draws={"n": "suffix"}),
    _range("range.open", "bytes=1-", "all but the first byte of a blob"),
    _range(
        "range.beyond",
        "bytes=1099511627776-",
        "a range that begins after the end of every blob",
        frozenset({200, 416}),
    ),
    _range("range.several", "bytes=0-0,2-2", "two ranges at once"),
    _range(
        "range.malformed",
        "{a}",
        "a range that may be none: ignored, refused, or served where it is one after all",
        frozenset({200, 206, 400, 416}),
        {"a": "bad-range"},
    ),
    _accept("accept.none", 12, None, "a manifest without an Accept header"),
    _accept("accept.all", 12, "*/*", "a manifest of any type"),
    _accept(
        "accept.weighted",
        12,
        "text/html;q=0.9, {media_type};q=0.5",
        "a manifest of a type that is listed with a weight",
    ),
    _accept(
        "accept.other",
        27,
        "text/plain",
        "a manifest of a type that it does not have",
        allowed=frozenset({200, 400, 404, 406}),
    ),
    _accept(
        "accept.odd",
        27,
        "{a}",
        "a manifest with an Accept header that may be malformed",
        allowed=frozenset({200, 400, 404, 406}),
        draws={"a": "media-type"},
    ),
    _delete("delete.blob.unknown", 88, BLOBS + "/{unknown}", "a blob that nobody pushed", "must"),
    _delete("delete.blob.bad", 88, BLOBS + "/{a}", "a blob by what is no digest", "must", "bad-digest"),
    _delete(
        "delete.blob.unknown-algorithm",
        88,
        BLOBS + "/{a}",
        "a blob by an algorithm that nobody has",
        "must",
        "unknown-algorithm",
    ),
    _delete(
        "delete.blob.nowhere",
        88,
        "/v2/{own}/blobs/{digest}",
        "a blob of a repository that is not there",
        "must",
    ),
    _delete(
        "delete.manifest.unknown", 86, MANIFESTS + "/{unknown}", "a manifest that nobody pushed", "should"
    ),
    _delete(
        "delete.manifest.nowhere",
        86,
        "/v2/{own}/manifests/{manifest_digest}",
        "a manifest of a repository that is not there",
        "must",
    ),
    _delete(
        "delete.manifest.bad",
        86,
        MANIFESTS + "/{a}",
        "a manifest by what is no digest",
        "should",
        "bad-digest",
    ),
    _delete("delete.tag.unknown", 84, MANIFESTS + "/no-such-tag", "a tag that nobody pushed", "should"),
    _delete(
        "delete.tag.nowhere",
        84,
        "/v2/{own}/manifests/latest",
        "a tag of a repository that is not there",
        "should",
    ),
)
