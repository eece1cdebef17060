"""Cases about pulling, listing and deleting."""

from __future__ import annotations

from harness.checkers.protocol.case import ANY_4XX, Case

_ABSENT = frozenset({404})
_READABLE = frozenset({200})
_PART = frozenset({200, 206, 416})
_NO_DELETE = frozenset({400, 404, 405})
_REFUSED = frozenset({400, 404})

ABSENT: tuple[Case, ...] = tuple(
    Case(name, row, method, path, doc, allowed=_ABSENT)
    for name, row, method, path, doc in (
        ("absent.blob.get", 21, "GET", "/v2/{repo}/blobs/{unknown}", "a blob that nobody pushed"),
        ("absent.blob.head", 26, "HEAD", "/v2/{repo}/blobs/{unknown}", "HEAD of a blob that nobody pushed"),
        (
            "absent.manifest.get",
            17,
            "GET",
            "/v2/{repo}/manifests/{unknown}",
            "a manifest that nobody pushed",
        ),
        (
            "absent.manifest.head",
            26,
            "HEAD",
            "/v2/{repo}/manifests/{unknown}",
            "HEAD of a manifest that nobody pushed",
        ),
        ("absent.tag.get", 17, "GET", "/v2/{repo}/manifests/no-such-tag", "a tag that nobody pushed"),
        (
            "absent.tag.head",
            26,
            "HEAD",
            "/v2/{repo}/manifests/no-such-tag",
            "HEAD of a tag that is not there",
        ),
        (
            "absent.repository.tag",
            18,
            "GET",
            "/v2/{own}/manifests/latest",
            "a tag of a repository that does not exist",
        ),
        (
            "absent.repository.blob",
            18,
            "GET",
            "/v2/{own}/blobs/{digest}",
            "a known blob in a repository that does not exist",
        ),
        (
            "absent.repository.manifest",
            18,
            "GET",
            "/v2/{own}/manifests/{manifest_digest}",
            "a known manifest in a repository that does not exist",
        ),
        (
            "absent.repository.tags",
            65,
            "GET",
            "/v2/{own}/tags/list",
            "the tags of a repository that does not exist",
        ),
    )
)

DIGESTS: tuple[Case, ...] = (
    *(
        Case(name, row, method, path, doc, allowed=ANY_4XX, level=level, should=_REFUSED, draws={"a": domain})
        for name, row, method, path, doc, level, domain in (
            (
                "digest.bad.blob",
                7,
                "GET",
                "/v2/{repo}/blobs/{a}",
                "a blob by what is no digest",
                "must",
                "bad-digest",
            ),
            (
                "digest.bad.blob-head",
                7,
                "HEAD",
                "/v2/{repo}/blobs/{a}",
                "HEAD of a blob by what is no digest",
                "must",
                "bad-digest",
            ),
            (
                "digest.bad.manifest",
                7,
                "GET",
                "/v2/{repo}/manifests/{a}",
                "a manifest by what is neither a digest nor a tag",
                "must",
                "bad-digest",
            ),
            (
                "digest.unknown-algorithm.blob",
                7,
                "GET",
                "/v2/{repo}/blobs/{a}",
                "a blob by a digest of an algorithm that nobody has",
                "must",
                "unknown-algorithm",
            ),
            (
                "digest.unknown-algorithm.manifest",
                7,
                "GET",
                "/v2/{repo}/manifests/{a}",
                "a manifest by a digest of an algorithm that nobody has",
                "must",
                "unknown-algorithm",
            ),
        )
    ),
)

RANGES: tuple[Case, ...] = tuple(
    Case(
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
    for name, value, doc, allowed, draws in (
        ("range.first-byte", "bytes=0-0", "the first byte of a blob", _PART, {}),
        ("range.suffix", "bytes=-{n}", "the last bytes of a blob", _PART, {"n": "suffix"}),
        ("range.open", "bytes=1-", "all but the first byte of a blob", _PART, {}),
        (
            "range.beyond",
            "bytes=1099511627776-",
            "a range that begins after the end of every blob",
            frozenset({200, 416}),
            {},
        ),
        ("range.several", "bytes=0-0,2-2", "two ranges at once", _PART, {}),
        (
            "range.malformed",
            "{a}",
            "a range that may be none: ignored, refused, or served where it is one after all",
            frozenset({200, 206, 400, 416}),
            {"a": "bad-range"},
        ),
    )
)

ACCEPT: tuple[Case, ...] = tuple(
    Case(
        name,
        row,
        "GET",
        "/v2/{repo}/manifests/{manifest_digest}",
        doc,
        allowed=allowed,
        level=level,
        headers=headers,
        present="manifest",
        draws=draws,
    )
    for name, row, doc, allowed, level, headers, draws in (
        ("accept.none", 12, "a manifest without an Accept header", _READABLE, "should", (), {}),
        (
            "accept.all",
            12,
            "a manifest of any type",
            _READABLE,
            "should",
            (("accept", "*/*"),),
            {},
        ),
        (
            "accept.weighted",
            12,
            "a manifest of a type that is listed with a weight",
            _READABLE,
            "should",
            (("accept", "text/html;q=0.9, {media_type};q=0.5"),),
            {},
        ),
        (
            "accept.other",
            27,
            "a manifest of a type that it does not have",
            frozenset({200, 404, 406}),
            "note",
            (("accept", "text/plain"),),
            {},
        ),
        (
            "accept.odd",
            27,
            "a manifest with an Accept header that may be malformed",
            frozenset({200, 400, 404, 406}),
            "note",
            (("accept", "{a}"),),
            {"a": "media-type"},
        ),
    )
)  # type: ignore[misc]

LISTS: tuple[Case, ...] = (
    Case(
        "tags.none",
        70,
        "GET",
        "/v2/{repo}/tags/list?n=0",
        "a list of no tags",
        allowed=_READABLE,
        judge="tags-limit",
        present="repo",
    ),
    Case(
        "tags.one",
        68,
        "GET",
        "/v2/{repo}/tags/list?n=1",
        "a list of one tag",
        allowed=_READABLE,
        judge="tags-limit",
        present="repo",
    ),
    Case(
        "tags.limit",
        68,
        "GET",
        "/v2/{repo}/tags/list?n={a}",
        "a limit that may be negative, enormous, or no number",
        allowed=ANY_4XX | {200},
        judge="tags-limit",
        draws={"a": "limit"},
    ),
    Case(
        "tags.last-unknown",
        71,
        "GET",
        "/v2/{repo}/tags/list?last={a}",
        "the tags after one that does not exist",
        allowed=ANY_4XX | {200},
        judge="tags-after",
        draws={"a": "tag"},
    ),
    Case(
        "tags.last-bad",
        71,
        "GET",
        "/v2/{repo}/tags/list?last={a}&n=3",
        "the tags after what is no tag",
        allowed=ANY_4XX | {200},
        judge="tags-limit",
        draws={"a": "any"},
    ),
    Case(
        "referrers.unknown-subject",
        78,
        "GET",
        "/v2/{repo}/referrers/{unknown}",
        "the referrers of a manifest that nobody pushed: an empty list",
        allowed=_READABLE,
        judge="no-referrers",
        present="repo",
        needs="referrers",
    ),
    Case(
        "referrers.unknown-repository",
        72,
        "GET",
        "/v2/{own}/referrers/{unknown}",
        "the referrers in a repository that does not exist",
        allowed=frozenset({200, 404}),
        needs="referrers",
    ),
    Case(
        "referrers.unknown-type",
        80,
        "GET",
        "/v2/{repo}/referrers/{manifest_digest}?artifactType=application/vnd.seatrial.unknown",
        "referrers of a type that nobody pushed",
        allowed=_READABLE,
        judge="filtered",
        present="repo",
        needs="referrers",
    ),
    Case(
        "referrers.odd-filter",
        80,
        "GET",
        "/v2/{repo}/referrers/{unknown}?color=blue&artifactType=",
        "a filter that nobody has, and an empty one",
        allowed=frozenset({200, 400}),
        level="should",
        judge="referrers",
        present="repo",
        needs="referrers",
    ),
    Case(
        "referrers.bad-digest",
        73,
        "GET",
        "/v2/{repo}/referrers/{a}",
        "the referrers of what is no digest",
        allowed=frozenset({400}),
        needs="referrers",
        draws={"a": "bad-digest"},
    ),
    Case(
        "referrers.unknown-algorithm",
        73,
        "GET",
        "/v2/{repo}/referrers/{a}",
        "the referrers of a digest of an algorithm that nobody has",
        allowed=frozenset({200, 400, 404}),
        needs="referrers",
        draws={"a": "unknown-algorithm"},
    ),
    Case(
        "referrers.put",
        8,
        "PUT",
        "/v2/{repo}/referrers/{unknown}",
        "writing a list that can only be read",
        allowed=ANY_4XX | {501},
        level="should",
    ),
)

DELETES: tuple[Case, ...] = tuple(
    Case(name, row, "DELETE", path, doc, allowed=_NO_DELETE, level=level, draws=draws)
    for name, row, path, doc, level, draws in (
        ("delete.blob.unknown", 88, "/v2/{repo}/blobs/{unknown}", "a blob that nobody pushed", "must", {}),
        (
            "delete.blob.bad",
            88,
            "/v2/{repo}/blobs/{a}",
            "a blob by what is no digest",
            "must",
            {"a": "bad-digest"},
        ),
        (
            "delete.blob.unknown-algorithm",
            88,
            "/v2/{repo}/blobs/{a}",
            "a blob by an algorithm that nobody has",
            "must",
            {"a": "unknown-algorithm"},
        ),
        (
            "delete.blob.nowhere",
            88,
            "/v2/{own}/blobs/{digest}",
            "a blob of a repository that does not exist",
            "must",
            {},
        ),
        (
            "delete.manifest.unknown",
            86,
            "/v2/{repo}/manifests/{unknown}",
            "a manifest that nobody pushed",
            "should",
            {},
        ),
        (
            "delete.manifest.nowhere",
            86,
            "/v2/{own}/manifests/{manifest_digest}",
            "a manifest of a repository that does not exist",
            "must",
            {},
        ),
        (
            "delete.manifest.bad",
            86,
            "/v2/{repo}/manifests/{a}",
            "a manifest by what is no digest",
            "should",
            {"a": "bad-digest"},
        ),
        (
            "delete.tag.unknown",
            84,
            "/v2/{repo}/manifests/no-such-tag",
            "a tag that nobody pushed",
            "should",
            {},
        ),
        (
            "delete.tag.nowhere",
            84,
            "/v2/{own}/manifests/latest",
            "a tag of a repository that does not exist",
            "should",
            {},
        ),
    )
)  # type: ignore[misc]

CASES: tuple[Case, ...] = (*ABSENT, *DIGESTS, *RANGES, *ACCEPT, *LISTS, *DELETES)
