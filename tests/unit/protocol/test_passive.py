"""Ordinary answers, one of them wrong: each check of the passive table finds its own."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checkers.protocol import check
from harness.checkers.protocol.passive import ROWS_CITED
from harness.history import Exchange
from tests.unit.protocol.answers import (
    DIGEST,
    REPO,
    SYMBOLS,
    UNKNOWN_DIGEST,
    answer,
    errors,
    flaws,
    index,
    referrer,
    told,
)

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DCD = {"Docker-Content-Digest": DIGEST["b"]}
MANIFEST = {"Docker-Content-Digest": DIGEST["m"], "Content-Type": OCI_MANIFEST}
UPLOAD = f"/v2/{REPO}/blobs/uploads/1"
JSON = {"Content-Type": "application/json"}
BLOB: dict[str, Any] = {"blob": "b", "digest": DIGEST["b"]}
LISTED = {"Content-Type": OCI_INDEX}


def patch(status: int = 202, headers: dict[str, str] | None = None, **about: Any) -> Exchange:
    found = {"Location": UPLOAD, "Range": "0-9"} if headers is None else headers
    return answer("upload.patch", status, found, upload="u", blob="b", first=0, size=10, **about)


def put_manifest(headers: dict[str, str], name: str = "m", status: int = 201, **about: Any) -> Exchange:
    found = {"Location": f"/v2/{REPO}/manifests/{DIGEST[name]}", **headers}
    return answer("manifest.put", status, found, manifest=name, digest=DIGEST[name], **about)


def listed(tags: object, headers: dict[str, str] | None = None, name: str = REPO) -> Exchange:
    return answer("tags.list", 200, headers or JSON, {"name": name, "tags": tags}, page=1)


WRONG: list[tuple[Exchange, str, str]] = [
    (answer("ping", 204), "must", "row-3.status"),
    (answer("ping", 429), "should", "row-11.missing"),
    (answer("ping", 429, {"Retry-After": "soon"}), "should", "row-11.form"),
    (answer("manifest.get", 203, MANIFEST, digest=DIGEST["m"]), "must", "row-12.status"),
    (answer("manifest.get", 418, digest=DIGEST["m"]), "note", "row-12.odd-error"),
    (
        answer("manifest.get", 200, MANIFEST | {"Content-Type": OCI_INDEX}, digest=DIGEST["m"]),
        "should",
        "row-13.type",
    ),
    (
        answer("manifest.get", 200, {"Docker-Content-Digest": DIGEST["m"]}, digest=DIGEST["m"]),
        "should",
        "row-13.missing",
    ),
    (
        answer("manifest.get", 200, MANIFEST | {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"}, tag="t"),
        "should",
        "row-14.parameters",
    ),
    (
        answer("manifest.get", 200, {"Content-Type": OCI_MANIFEST}, digest=DIGEST["m"]),
        "must",
        "row-15.missing",
    ),
    (
        answer("manifest.get", 200, MANIFEST | {"Docker-Content-Digest": "sha256:1"}, tag="t"),
        "must",
        "row-15.form",
    ),
    (answer("blob.get", 203, DCD, blob="b", digest=DIGEST["b"]), "must", "row-19.status"),
    (answer("blob.get", 200, {}, "x", blob="b", digest=DIGEST["b"]), "must", "row-20.missing"),
    (
        answer("blob.get", 200, {"Docker-Content-Digest": UNKNOWN_DIGEST}, blob="b", digest=DIGEST["b"]),
        "must",
        "row-20.other",
    ),
    (answer("blob.get", 206, {}, blob="b", first=1, last=2), "should", "row-22.missing"),
    (
        answer("blob.get", 206, {"Content-Range": "1-2/3"}, blob="b", first=1, last=2),
        "should",
        "row-22.form",
    ),
    (
        answer("blob.get", 206, {"Content-Range": "bytes 0-2/100"}, "abc", blob="b", first=1, last=2),
        "should",
        "row-22.other",
    ),
    (
        answer("blob.get", 206, {"Content-Range": "bytes 1-2/100"}, "abc", blob="b", first=1, last=2),
        "should",
        "row-22.size",
    ),
    (answer("blob.head", 204, DCD, blob="b", digest=DIGEST["b"]), "must", "row-23.status"),
    (
        answer("blob.head", 200, {"Content-Length": "100"}, blob="b", digest=DIGEST["b"]),
        "must",
        "row-24.missing",
    ),
    (answer("blob.head", 200, DCD, blob="b", digest=DIGEST["b"]), "must", "row-25.missing"),
    (
        answer("manifest.head", 200, MANIFEST | {"Content-Length": "-1"}, digest=DIGEST["m"]),
        "must",
        "row-25.form",
    ),
    (answer("upload.post", 201, {"Location": UPLOAD}, upload="u"), "must", "row-28.status"),
    (answer("upload.post", 202, upload="u"), "must", "row-28.location"),
    (answer("upload.put", 201, upload="u", blob="b", digest=DIGEST["b"]), "must", "row-31.location"),
    (
        answer("upload.put", 201, {"Location": UPLOAD}, upload="u", blob="b", digest=DIGEST["b"]),
        "must",
        "row-31.place",
    ),
    (
        answer(
            "upload.put",
            201,
            {"Location": f"/v2/{REPO}/blobs/{UNKNOWN_DIGEST}"},
            upload="u",
            blob="b",
            digest=DIGEST["b"],
        ),
        "must",
        "row-31.place",
    ),
    (answer("upload.single", 200, upload="u", blob="b", digest=DIGEST["b"]), "must", "row-32.status"),
    (
        answer("upload.post", 202, {"Location": UPLOAD, "OCI-Chunk-Min-Length": "1MiB"}, upload="u"),
        "should",
        "row-37.form",
    ),
    (patch(204), "must", "row-39.status"),
    (patch(headers={"Range": "0-9"}), "must", "row-39.location"),
    (patch(headers={"Location": UPLOAD}), "must", "row-40.range"),
    (patch(headers={"Location": UPLOAD, "Range": "bytes=0-9"}), "must", "row-40.range-form"),
    (patch(headers={"Location": UPLOAD, "Range": "5-9"}), "must", "row-40.range-form"),
    (answer("upload.get", 200, {"Location": UPLOAD}, upload="u"), "must", "row-44.status"),
    (answer("upload.get", 204, {"Range": "0-0"}, upload="u"), "must", "row-44.location"),
    (
        answer("upload.get", 204, {"Location": UPLOAD, "Range": "0--1"}, upload="u"),
        "must",
        "row-44.range-form",
    ),
    (answer("upload.cancel", 202, upload="u"), "should", "row-46.status"),
    (
        answer("upload.mount", 201, {"Location": f"/v2/other/blobs/{DIGEST['b']}"}, digest=DIGEST["b"]),
        "must",
        "row-48.place",
    ),
    (put_manifest({}, status=200), "must", "row-52.status"),
    (put_manifest({"Location": ""}), "must", "row-52.location"),
    (put_manifest({"Location": f"/v2/{REPO}/blobs/{DIGEST['m']}"}), "must", "row-52.place"),
    (put_manifest({"Docker-Content-Digest": UNKNOWN_DIGEST}), "must", "row-54.other"),
    (put_manifest({"Docker-Content-Digest": "m"}), "must", "row-54.form"),
    (put_manifest({}, "signature"), "must", "row-59.missing"),
    (put_manifest({"OCI-Subject": DIGEST["index"]}, "signature"), "must", "row-59.other"),
    (put_manifest({}, tags=["a", "b"]), "must", "row-63.missing"),
    (put_manifest({"OCI-Tag": "a"}, tags=["a", "b"]), "should", "row-63.missing"),
    (put_manifest({"OCI-Tag": "a, b, c"}, tags=["a", "b"]), "must", "row-63.other"),
    (answer("tags.list", 204), "must", "row-65.status"),
    (answer("tags.list", 200, JSON, ["a"]), "must", "row-66.form"),
    (listed("t"), "must", "row-66.tags"),
    (listed([1]), "must", "row-66.tags"),
    (listed(["a"], name="other"), "must", "row-66.name"),
    (listed(["a"], {"Link": "/v2/x/tags/list?last=a"}), "must", "row-69.link"),
    (answer("referrers.list", 204, manifest="m"), "must", "row-72.status"),
    (answer("referrers.list", 200, JSON, index(), manifest="m"), "must", "row-74.type"),
    (answer("referrers.list", 200, LISTED, {"manifests": []}, manifest="m"), "must", "row-74.form"),
    (answer("referrers.list", 200, LISTED, index({"digest": "x"}), manifest="m"), "must", "row-74.form"),
    (
        answer("referrers.list", 200, LISTED, index(referrer("signature", artifactType="x")), manifest="m"),
        "must",
        "row-76.type",
    ),
    (
        answer("referrers.list", 200, LISTED, index(referrer("plain", artifactType=None)), manifest="m"),
        "must",
        "row-76.type",
    ),
    (
        answer("referrers.list", 200, LISTED, index(referrer("signature", annotations={})), manifest="m"),
        "must",
        "row-77.annotations",
    ),
    (
        answer("referrers.list", 200, {**LISTED, "Link": '</x>; rel="prev"'}, index(), manifest="m"),
        "must",
        "row-79.link",
    ),
    (answer("referrers.list", 200, LISTED, index(), manifest="m", type="t"), "should", "row-80.missing"),
    (
        answer(
            "referrers.list",
            200,
            {**LISTED, "OCI-Filters-Applied": "artifactType"},
            index(referrer("signature")),
            manifest="m",
            type="application/other",
        ),
        "must",
        "row-80.unfiltered",
    ),
    (answer("tag.delete", 204, tag="t"), "must", "row-84.status"),
    (answer("manifest.delete", 200, digest=DIGEST["m"]), "must", "row-86.status"),
    (answer("blob.delete", 200, blob="b"), "must", "row-88.status"),
    (answer("tags.list", 404, JSON, {"error": "no"}), "must", "row-90.form"),
    (answer("tags.list", 404, JSON, "no"), "must", "row-90.form"),
    (answer("tags.list", 404, {}, {"errors": [{"message": "no"}]}), "must", "row-90.form"),
    (answer("tags.list", 404, JSON, errors("name unknown")), "must", "row-91.form"),
    (answer("tags.list", 404, JSON, errors("NAME_UNKNOWN", "NO_SUCH_NAME")), "must", "row-91.unlisted"),
    (answer("ping", 200, {"Warning": '199 - "old"'}), "must", "row-92.form"),
    (answer("ping", 200, {"Warning": "299 - old"}), "must", "row-92.form"),
    (answer("ping", 200, (("Warning", f'299 - "{"x" * 3000}"'),) * 2), "must", "row-92.size"),
]


@pytest.mark.parametrize(("exchange", "level", "name"), WRONG, ids=[name for _, _, name in WRONG])
def test_a_wrong_answer_is_found(exchange: Exchange, level: str, name: str) -> None:
    found = flaws(told(exchange))
    assert (level, name) in found
    rows = {check_.split(".")[0] for _, check_ in found}
    assert rows == {name.split(".")[0]}, "only the row that is broken"


def test_every_row_that_is_claimed_has_a_wrong_answer_here() -> None:
    shown = {int(name.split(".")[0].removeprefix("row-")) for _, _, name in WRONG}
    elsewhere = {29, 57}
    assert (shown | elsewhere) >= ROWS_CITED
    assert shown.issubset(ROWS_CITED)


def test_two_sessions_with_one_location() -> None:
    opened = [answer("upload.post", 202, {"Location": UPLOAD}, upload=f"u{at}", at=at) for at in range(2)]
    found = check(told(*opened)).findings
    assert [(finding.check, finding.exchanges[-1]) for finding in found] == [("protocol.row-29.shared", 1)]


def test_referrers_of_a_repository_that_is_there_are_never_404() -> None:
    made = put_manifest({}, "m", tag="t")
    asked = answer("referrers.list", 404, manifest="m", at=1)
    assert flaws(told(made, asked)) == {("must", "row-72.absent")}
    assert flaws(told(asked)) == set()
    assert flaws(told(made, asked, supports=frozenset())) == set()


def test_the_status_of_a_session_with_bytes_has_a_range() -> None:
    before = answer("upload.get", 204, {"Location": UPLOAD}, upload="u", at=1)
    after = answer("upload.get", 204, {"Location": UPLOAD}, upload="u", at=3)
    patched = answer(
        "upload.patch", 202, {"Location": UPLOAD, "Range": "0-9"}, upload="u", first=0, size=10, at=2
    )
    found = check(told(before, patched, after)).findings
    assert [(finding.check, finding.exchanges[-1]) for finding in found] == [("protocol.row-44.range", 3)]


def test_demands_of_a_later_version_are_advice() -> None:
    bare = answer("manifest.get", 200, {"Content-Type": OCI_MANIFEST}, digest=DIGEST["m"])
    assert flaws(told(bare, spec="dev")) == {("must", "row-15.missing")}
    assert flaws(told(bare, spec="1.1")) == {("should", "row-15.missing")}
    wrong = answer("blob.get", 200, {"Docker-Content-Digest": UNKNOWN_DIGEST}, digest=DIGEST["b"])
    assert flaws(told(wrong, spec="1.0")) == {("must", "row-20.other")}, "this much was always said"


def test_a_finding_names_the_maker_and_the_asker() -> None:
    made = put_manifest({}, "m", tag="t")
    asked = answer("manifest.get", 200, MANIFEST | {"Content-Type": OCI_INDEX}, tag="t", op="pull", at=1)
    again = answer("manifest.get", 200, MANIFEST | {"Content-Type": OCI_INDEX}, tag="t", op="closing.3", at=2)
    (found,) = check(told(made, asked, again)).findings
    assert found.witness == ("op0", "pull")
    assert found.exchanges == (0, 1)
    assert found.clause == "row 13"
    (closing,) = check(told(made, again)).findings
    assert closing.witness == ("op0",)


def test_facts_are_counted() -> None:
    assert check(told()).tried == 0
    assert check(told(answer("ping", 200))).tried > 0
    assert check(told(answer("ping", None, error="reset"))).tried == 0


def test_titles_name_no_objects() -> None:
    for exchange, _, _ in WRONG:
        for finding in check(told(exchange)).findings:
            assert SYMBOLS.prefix + "/" not in finding.title
            assert "sha256:" not in finding.title


def test_a_manifest_is_not_refused_for_what_is_there() -> None:
    pushed = answer("upload.put", 201, {"Location": f"/v2/{REPO}/blobs/{DIGEST['b']}"}, **BLOB)
    deleted = answer("blob.delete", 202, at=1, **BLOB)
    refused, attached = (
        answer("manifest.put", 404, JSON, errors("MANIFEST_BLOB_UNKNOWN"), manifest=m, digest=DIGEST[m], at=2)
        for m in ("m", "plain")
    )
    assert [one.clause for one in check(told(pushed, refused)).findings] == ["row 52"]
    assert [one.clause for one in check(told(pushed, attached)).findings] == ["row 57"]
    for legal in (told(refused), told(attached), told(pushed, deleted, refused)):
        assert not check(legal).findings
