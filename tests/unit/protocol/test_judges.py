"""What a case says of an answer beyond its status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.checkers.protocol.cases import CASES, render
from harness.checkers.protocol.judges import JUDGES
from tests.unit.protocol.answers import DIGEST, REPO, SYMBOLS, answer, asked, errors, index, judged, replied

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LISTED = {"Content-Type": OCI_INDEX}
UNKNOWN_TYPE = "application/vnd.seatrial.unknown"
TAGS = {"name": REPO, "tags": ["a", "b"]}
ENTRY = {"mediaType": OCI_INDEX, "digest": DIGEST["index"], "size": 1, "artifactType": "x"}
JUDGED: list[tuple[str, dict[str, Any], int, Any, Any, set[tuple[str, str]]]] = [
    ("extension.discover", {}, 200, {}, {"extensions": []}, set()),
    (
        "extension.discover",
        {},
        200,
        {},
        {"extensions": [{"name": "_x", "url": "https://x", "description": "", "endpoints": ["_x/y"]}]},
        set(),
    ),
    ("extension.discover", {}, 200, {}, {"extensions": [{"name": "_x"}]}, {("must", "row-94.form")}),
    ("extension.discover", {}, 200, {}, "<html>", {("must", "row-94.form")}),
    ("tag.longest.put", {"a": "t" * 128}, 400, {}, errors("TAG_INVALID"), {("must", "row-6.refused")}),
    ("tag.longest.put", {"a": "t" * 128}, 400, {}, errors("NAME_INVALID"), {("should", "row-6.refused")}),
    ("tag.longest.put", {"a": "t" * 128}, 400, {}, errors("MANIFEST_INVALID"), set()),
    ("tag.longest.put", {"a": "t" * 128}, 415, {}, None, set()),
    ("tag.params.put", {}, 201, {"OCI-Tag": "one, two"}, None, set()),
    ("tag.params.put", {}, 201, {"OCI-Tag": "two"}, None, {("should", "row-63.missing")}),
    ("tag.params.put", {}, 201, {}, None, {("must", "row-63.missing")}),
    ("tag.params.put", {}, 201, {"OCI-Tag": "one, two, 3"}, None, {("must", "row-63.other")}),
    ("tag.params.bad", {"a": "-x"}, 201, {"OCI-Tag": "-x"}, None, {("must", "row-63.bad")}),
    ("tag.params.bad", {"a": "-x"}, 201, {}, None, set()),
    ("mount.unknown", {}, 202, {"Location": "/u"}, None, set()),
    ("mount.unknown", {}, 202, {}, None, {("must", "row-28.location")}),
    ("mount.unknown", {}, 201, {"Location": "/x"}, None, {("must", "row-50.status")}),
    ("range.first-byte", {"blob": "b"}, 206, {"Content-Range": "bytes 0-0/100"}, "x", set()),
    ("range.first-byte", {"blob": "b"}, 206, {}, "x", {("should", "row-22.content-range")}),
    (
        "range.first-byte",
        {"blob": "b"},
        206,
        {"Content-Range": "bytes 0-0/99"},
        "x",
        {("should", "row-22.content-range")},
    ),
    (
        "range.open",
        {"blob": "b"},
        206,
        {"Content-Range": "bytes 0-99/100"},
        "x",
        {("should", "row-22.other")},
    ),
    ("range.suffix", {"blob": "b", "n": 2}, 206, {"Content-Range": "bytes 98-99/100"}, "xy", set()),
    ("range.suffix", {"blob": "b", "n": 1000}, 206, {"Content-Range": "bytes 0-99/100"}, "xy", set()),
    (
        "range.suffix",
        {"blob": "b", "n": 2},
        206,
        {"Content-Range": "bytes 0-1/100"},
        "xy",
        {("should", "row-22.other")},
    ),
    ("range.first-byte", {"blob": "b"}, 416, {}, None, {("should", "row-22.satisfiable")}),
    ("range.first-byte", {"blob": "empty"}, 416, {}, None, set()),
    ("accept.other", {"manifest": "m"}, 200, {}, SYMBOLS.manifest("m").decode(), set()),
    ("accept.other", {"manifest": "m"}, 200, {}, "{}", {("must", "row-12.bytes")}),
    ("range.several", {"blob": "b"}, 206, {"Content-Type": "multipart/byteranges; boundary=x"}, "x", set()),
    (
        "range.beyond",
        {"blob": "b"},
        206,
        {"Content-Range": "bytes 0-99/100"},
        "",
        {("should", "row-22.status")},
    ),
    ("tags.none", {}, 200, {}, {"name": REPO, "tags": []}, set()),
    ("tags.none", {}, 200, {}, TAGS, {("must", "row-70.too-many")}),
    (
        "tags.none",
        {},
        200,
        {"Link": '</x>; rel="next"'},
        {"name": REPO, "tags": []},
        {("must", "row-70.link")},
    ),
    ("tags.none", {}, 200, {}, {"name": REPO, "tags": None}, set()),
    ("tags.one", {}, 200, {}, TAGS, {("must", "row-68.too-many")}),
    ("tags.one", {}, 200, {}, {"name": REPO, "tags": ["a"]}, set()),
    ("tags.limit", {"a": "-1"}, 200, {}, TAGS, set()),
    ("tags.limit", {"a": "1"}, 200, {}, TAGS, {("must", "row-68.too-many")}),
    ("tags.limit", {"a": "99999999999999999999"}, 200, {}, TAGS, set()),
    ("tags.limit", {"a": "99999999999999999999"}, 400, {}, None, set()),
    ("tags.last-unknown", {"a": "zz"}, 200, {}, {"name": REPO, "tags": []}, set()),
    ("tags.last-unknown", {"a": "zz"}, 200, {}, {"tags": []}, {("must", "row-66.name")}),
    (
        "tags.last-bad",
        {"a": "!"},
        200,
        {},
        {"name": REPO, "tags": list("abcd")},
        {("must", "row-68.too-many")},
    ),
    ("referrers.unknown-subject", {}, 200, LISTED, index(), set()),
    ("referrers.unknown-subject", {}, 200, LISTED, index(ENTRY), {("must", "row-78.listed")}),
    ("referrers.unknown-subject", {}, 200, {}, index(), {("must", "row-74.type")}),
    ("referrers.unknown-type", {"manifest": "m"}, 200, LISTED, index(), {("should", "row-80.missing")}),
    (
        "referrers.unknown-type",
        {"manifest": "m"},
        200,
        {**LISTED, "OCI-Filters-Applied": "artifactType"},
        index(ENTRY),
        {("must", "row-80.unfiltered")},
    ),
    ("referrers.odd-filter", {}, 200, LISTED, {"manifests": 1}, {("must", "row-74.form")}),
    ("manifest.empty-index", {}, 201, {"Location": "https://elsewhere/x"}, None, set()),
    ("manifest.empty-index", {}, 201, {}, None, {("must", "row-52.place")}),
    (
        "manifest.empty-index",
        {},
        201,
        {"Location": "https://elsewhere/x", "Docker-Content-Digest": DIGEST["b"]},
        None,
        {("must", "row-54.other")},
    ),
    ("manifest.unknown-blobs", {}, 201, {}, None, set()),
    ("manifest.unknown-blobs", {}, 404, {}, errors("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID"), set()),
    ("manifest.unknown-blobs", {}, 400, {}, errors("MANIFEST_INVALID"), {("must", "row-58.code")}),
    ("manifest.unknown-blobs", {}, 404, {}, errors("BLOB_UNKNOWN"), {("must", "row-58.code")}),
    ("manifest.unknown-blobs", {}, 404, {}, "404 page not found", {("must", "row-58.code")}),
    ("manifest.unknown-children", {}, 400, {}, errors("UNSUPPORTED"), set()),
    ("manifest.unknown-children", {}, 415, {}, None, set()),
    ("manifest.unknown-subject", {}, 201, {}, None, {("must", "row-59.missing")}),
    ("manifest.unknown-subject", {}, 201, {"OCI-Subject": DIGEST["b"]}, None, {("must", "row-59.other")}),
    (
        "manifest.unknown-subject",
        {},
        404,
        {},
        errors("MANIFEST_BLOB_UNKNOWN"),
        {("should", "row-57.status"), ("must", "row-57.refused")},
    ),
]


@pytest.mark.parametrize(("name", "args", "status", "headers", "body", "expected"), JUDGED)
def test_the_rest_of_an_answer(
    name: str, args: dict[str, Any], status: int, headers: Any, body: Any, expected: set[tuple[str, str]]
) -> None:
    op = asked(name, **args)
    assert judged(op, replied(op, status, headers, body)) == expected


def test_every_judge_is_tried_both_ways() -> None:
    good = {CASES[name].judge for name, *_, expected in JUDGED if not expected}
    bad = {CASES[name].judge for name, *_, expected in JUDGED if expected}
    assert bad >= set(JUDGES)
    assert good >= set(JUDGES) - {"subject", "referrers", "filtered"}, "these are shown good elsewhere"


def test_good_referrers_and_subjects() -> None:
    op = asked("manifest.unknown-subject")
    digest = json.loads(render(CASES[op["case"]], op, SYMBOLS).body or b"")["subject"]["digest"]
    assert judged(op, replied(op, 201, {"OCI-Subject": digest})) == set()
    op = asked("referrers.unknown-type", manifest="m")
    headers = {**LISTED, "OCI-Filters-Applied": "artifactType"}
    assert judged(op, replied(op, 200, headers, index())) == set()
    op = asked("referrers.odd-filter")
    assert judged(op, replied(op, 200, LISTED, index())) == set()


def test_the_old_code_for_missing_blobs() -> None:
    op = asked("manifest.unknown-blobs")
    assert judged(op, replied(op, 404, {}, errors("BLOB_UNKNOWN")), spec="1.0") == set()


def test_a_small_limit_is_served_where_the_repository_is_there() -> None:
    op = asked("tags.limit", a="2")
    put = answer("manifest.put", 201, {"Location": "/x"}, manifest="m", tag="t", digest=DIGEST["m"])
    refused = replied(op, 400)
    assert judged(op, refused, put) == {("should", "row-68.refused")}
    assert judged(op, refused) == set()


@pytest.mark.parametrize(("tag", "found"), [({"tag": "t"}, set()), ({}, {("should", "row-12.status")})])
def test_a_manifest_by_tag_is_known_by_the_digest_that_a_registry_chooses(
    tag: dict[str, Any], found: set[tuple[str, str]]
) -> None:
    op = asked("accept.all", manifest="m512")
    put = answer("manifest.put", 201, {"Location": "/x"}, manifest="m512", digest=DIGEST["m512"], **tag)
    told = judged(op, replied(op, 404, {}, errors("MANIFEST_UNKNOWN")), put)
    assert {flaw for flaw in told if flaw[1] == "row-12.status"} == found
