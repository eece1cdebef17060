"""What registries may differ in is never a finding."""

from __future__ import annotations

import pytest

from harness.checkers.protocol import check
from harness.history import Exchange
from tests.unit.protocol.answers import DIGEST, REPO, UNKNOWN_DIGEST, answer, errors, index, referrer, told

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
UPLOAD = f"/v2/{REPO}/blobs/uploads/1"
BLOB = f"/v2/{REPO}/blobs/{DIGEST['b']}"
LISTED = {"Content-Type": OCI_INDEX}
DCD = {"Docker-Content-Digest": DIGEST["b"]}
JSON = {"Content-Type": "application/json"}
TAGS = {"name": REPO, "tags": ["a"]}

PATCHED = {"Location": UPLOAD, "Range": "0-9"}

LEGAL: dict[str, Exchange] = {
    "the API is not there": answer("ping", 404),
    "the API wants a name": answer("ping", 401, {}, errors("UNAUTHORIZED")),
    "too many requests": answer("blob.get", 429, {"Retry-After": "5"}, errors("TOOMANYREQUESTS")),
    "come again at a date": answer("ping", 429, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    "a redirect": answer("blob.get", 307, {"Location": "https://cdn.example/x"}),
    "a forbidden pull": answer("manifest.get", 403, {}, errors("DENIED")),
    "a blob": answer("blob.get", 200, DCD, "x", blob="b", digest=DIGEST["b"]),
    "an absent blob": answer("blob.get", 404, JSON, errors("BLOB_UNKNOWN"), blob="b", digest=DIGEST["b"]),
    "an error in words": answer("blob.get", 404, {"Content-Type": "text/plain"}, "404 page not found\n"),
    "an error that is a number": answer("blob.get", 404, {"Content-Type": "text/plain"}, "404"),
    "an error in HTML": answer("blob.get", 404, {"Content-Type": "text/html"}, "<h1>no</h1>"),
    "an error without a body": answer("blob.get", 404, JSON, ""),
    "an error with details": answer(
        "blob.get", 404, JSON, {"errors": [{"code": "BLOB_UNKNOWN", "detail": {"a": [1]}}]}
    ),
    "a code of Docker's older API": answer("manifest.put", 400, JSON, errors("TAG_INVALID")),
    "an unlisted code of the catalog": answer(
        "request", 400, JSON, errors("PAGINATION_NUMBER_INVALID"), target="http://h/v2/_catalog?n=-1"
    ),
    "HEAD of a blob": answer("blob.head", 200, DCD | {"Content-Length": "100"}, digest=DIGEST["b"]),
    "HEAD is unknown": answer("blob.head", 404, blob="b", digest=DIGEST["b"]),
    "a digest of another algorithm": answer("blob.get", 200, DCD, digest=DIGEST["b512"]),
    "a whole blob for a range": answer("blob.get", 200, DCD, digest=DIGEST["b"], first=1, last=2),
    "a range": answer("blob.get", 206, {"Content-Range": "bytes 1-2/100"}, "ab", first=1, last=2),
    "a range of an unknown length": answer("blob.get", 206, {"Content-Range": "bytes 1-2/*"}, first=1),
    "a range that is not satisfiable": answer("blob.get", 416, {"Content-Range": "bytes */100"}, first=200),
    "header names in any case": answer(
        "blob.head",
        200,
        (("DOCKER-content-DIGEST", DIGEST["b"]), ("CONTENT-LENGTH", "100")),
        digest=DIGEST["b"],
    ),
    "a manifest by tag": answer(
        "manifest.get", 200, {"Docker-Content-Digest": DIGEST["m"], "Content-Type": OCI_MANIFEST}, tag="t"
    ),
    "a manifest that nobody of us pushed": answer(
        "manifest.get", 200, {"Docker-Content-Digest": UNKNOWN_DIGEST, "Content-Type": "text/x"}, tag="t"
    ),
    "a type that cannot be had": answer("manifest.get", 406, tag="t"),
    "an absolute Location": answer("upload.post", 202, {"Location": f"http://h:1{UPLOAD}?_state=x%2F"}),
    "a Location elsewhere": answer("upload.post", 202, {"Location": "https://uploads.example/?id=1"}),
    "a shortest chunk": answer("upload.post", 202, {"Location": UPLOAD, "OCI-Chunk-Min-Length": "5242880"}),
    "no pushes": answer("upload.post", 405, JSON, errors("UNSUPPORTED")),
    "a single POST": answer("upload.single", 201, {"Location": BLOB}, blob="b", digest=DIGEST["b"]),
    "no single POST": answer("upload.single", 202, {"Location": UPLOAD}, blob="b", digest=DIGEST["b"]),
    "a mount": answer("upload.mount", 201, {"Location": BLOB}, blob="b", digest=DIGEST["b"]),
    "no mount": answer("upload.mount", 202, {"Location": UPLOAD}, blob="b", digest=DIGEST["b"]),
    "a chunk": answer("upload.patch", 202, PATCHED, upload="u", first=0, size=10),
    "a chunk of nothing": answer("upload.patch", 202, {"Location": UPLOAD}, upload="u", first=0, size=0),
    "a chunk out of order": answer("upload.patch", 416, {"Range": "0-4"}, upload="u", first=9, size=1),
    "a chunk that is too short": answer("upload.patch", 400, JSON, errors("SIZE_INVALID"), upload="u"),
    "a chunk that is too large": answer("upload.patch", 413, upload="u", first=0, size=1),
    "a chunk without a length": answer("upload.patch", 411, upload="u", first=0, size=1),
    "a chunk for nobody": answer("upload.patch", 404, JSON, errors("BLOB_UPLOAD_UNKNOWN"), upload="u"),
    "a session without bytes": answer("upload.get", 204, {"Location": UPLOAD, "Range": "0-0"}, upload="u"),
    "a session without a range": answer("upload.get", 204, {"Location": UPLOAD}, upload="u"),
    "no cancelling": answer("upload.cancel", 405, JSON, errors("UNSUPPORTED"), upload="u"),
    "a commit": answer("upload.put", 201, {"Location": BLOB}, blob="b", digest=DIGEST["b"]),
    "a commit elsewhere": answer(
        "upload.put", 201, {"Location": "https://cdn.example/1"}, digest=DIGEST["b"]
    ),
    "a commit under an alias": answer(
        "upload.put", 201, {"Location": BLOB + "?x=1"}, blob="b512", digest=DIGEST["b512"]
    ),
    "a registry under a path": answer(
        "upload.put", 201, {"Location": f"https://h/artifacts{BLOB}"}, digest=DIGEST["b"]
    ),
    "the wrong digest": answer("upload.put", 400, JSON, errors("DIGEST_INVALID"), digest=DIGEST["b"]),
    "a manifest": answer(
        "manifest.put",
        201,
        {"Location": f"/v2/{REPO}/manifests/t"},
        manifest="m",
        tag="t",
        digest=DIGEST["m"],
    ),
    "a manifest with its subject": answer(
        "manifest.put",
        201,
        {"Location": f"/v2/{REPO}/manifests/{DIGEST['plain']}", "OCI-Subject": DIGEST["m"]},
        manifest="plain",
        digest=DIGEST["plain"],
    ),
    "tags in one header": answer(
        "manifest.put", 201, {"Location": "/x", "OCI-Tag": "a,b"}, manifest="m", tags=["a", "b"]
    ),
    "tags in two headers": answer(
        "manifest.put",
        201,
        (("Location", "/x"), ("OCI-Tag", "a"), ("oci-tag", "b")),
        manifest="m",
        tags=["a", "b"],
    ),
    "too many tags": answer("manifest.put", 414, manifest="m", tags=["a", "b"]),
    "too large a manifest": answer("manifest.put", 413, manifest="m"),
    "missing blobs": answer("manifest.put", 404, JSON, errors("MANIFEST_BLOB_UNKNOWN"), manifest="m"),
    "a type that is not taken": answer("manifest.put", 415, manifest="m"),
    "a list": answer("tags.list", 200, JSON, TAGS),
    "a list with more": answer("tags.list", 200, {"Link": '</v2/x?n=1>; rel="next"'}, TAGS, n=1),
    "a link without quotes": answer("tags.list", 200, {"Link": "<https://h/x,y>; rel=next"}, TAGS, n=1),
    "two links": answer("tags.list", 200, {"Link": '</a>; rel="prev", </b>; title="x"; rel="next"'}, TAGS),
    "an empty list": answer("tags.list", 200, JSON, {"name": REPO, "tags": [], "more": 1}),
    "a list that is too long to keep": answer("tags.list", 200, JSON),
    "no list": answer("tags.list", 404, JSON, errors("NAME_UNKNOWN")),
    "no referrers": answer("referrers.list", 200, LISTED, index(), manifest="m"),
    "a referrer": answer("referrers.list", 200, LISTED, index(referrer("signature")), manifest="m"),
    "an image that refers": answer("referrers.list", 200, LISTED, index(referrer("plain")), manifest="m"),
    "a stranger that refers": answer(
        "referrers.list",
        200,
        LISTED,
        index({"mediaType": OCI_MANIFEST, "digest": UNKNOWN_DIGEST, "size": 3}),
        manifest="m",
    ),
    "a filter": answer(
        "referrers.list",
        200,
        {**LISTED, "OCI-Filters-Applied": "artifactType"},
        index(referrer("signature")),
        type="application/x.sig",
    ),
    "a deletion": answer("blob.delete", 202, blob="b"),
    "no deletions": answer("manifest.delete", 405, JSON, errors("UNSUPPORTED")),
    "no deletions either": answer("tag.delete", 400, JSON, errors("UNSUPPORTED"), tag="t"),
    "no deletions to anyone": answer("blob.delete", 403, JSON, errors("DENIED"), blob="b"),
    "a warning": answer("ping", 200, {"Warning": '299 - "say \\"friend\\""'}),
    "two warnings": answer("ping", 200, {"Warning": '299 - "a", 299 - "b"'}),
    "a server error (availability)": answer("blob.get", 500, JSON, {"errors": "no"}, blob="b"),
    "no answer (availability)": answer("blob.get", None, error="reset", blob="b"),
    "a client that vanished": answer("upload.post", 202, cut="reset"),
}


@pytest.mark.parametrize("exchange", LEGAL.values(), ids=LEGAL)
def test_legal_variety_is_no_finding(exchange: Exchange) -> None:
    assert [finding.explanation for finding in check(told(exchange)).findings] == []


def test_without_the_ability_nothing_is_demanded() -> None:
    nothing: frozenset[str] = frozenset()
    bare = [
        answer("manifest.put", 201, {"Location": "/x"}, manifest="signature", at=0),
        answer("manifest.put", 201, {"Location": "/x"}, manifest="m", tags=["a"], at=1),
        answer("referrers.list", 200, JSON, {}, manifest="m", at=2),
        answer("referrers.list", 404, {}, "404 page not found", manifest="m", at=3),
    ]
    assert check(told(*bare, supports=nothing)).findings == []
