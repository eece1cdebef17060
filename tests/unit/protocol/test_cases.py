"""Requests of the table: what they send, and what is said of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.checkers.protocol import check
from harness.checkers.protocol.bodies import BODIES, FOUR_MB, MALFORMED, ODD, Stuff
from harness.checkers.protocol.case import LEGAL
from harness.checkers.protocol.cases import CASES, Case, render, verdict
from harness.checkers.protocol.judges import JUDGES
from harness.checkers.protocol.rows import ROWS
from harness.history import ABILITIES, Abilities, Control, Exchange, Promises
from harness.machines.dice import Dice
from harness.machines.requests import inputs
from harness.plan.operation import Operation
from tests.unit.protocol.answers import (
    ALL,
    DIGEST,
    REPO,
    SYMBOLS,
    answer,
    asked,
    errors,
    flaws,
    index,
    replied,
    told,
)

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LISTED = {"Content-Type": OCI_INDEX}
LOCATION = f"http://registry/v2/{REPO}/blobs/uploads/the-session?_state=x%3D"


def drawn(case: Case, seed: int = 1, **args: Any) -> Operation:
    return asked(case.name, **{**inputs(Dice(seed), case), **args})


def judged(op: Operation, reply: Exchange, *before: Exchange, **more: Any) -> set[tuple[str, str]]:
    """(level, check) of what is said of a reply; the names of row and case are cut off."""
    found = flaws(told(*before, reply, ops=(op,), **more))
    return {(level, name.replace(f"{op['case']}.", "")) for level, name in found}


# --- the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_is_whole(case: Case) -> None:
    assert case.row in ROWS
    assert ROWS[case.row].how != "none"
    assert not case.judge or case.judge in JUDGES
    assert not case.needs or case.needs in ABILITIES
    assert not case.body or case.body in BODIES
    assert case.present in ("", "blob", "manifest", "repo")
    assert case.allowed - LEGAL
    assert case.should is None or case.should <= case.allowed
    assert set(case.draws) <= {"a", "b", "n"}
    used = case.fields | ({"a"} if case.body in ("malformed", "odd") else set())
    assert {"n" if name == "name_of_n" else name for name in used} & {"a", "b", "n"} == set(case.draws)


def test_names_and_judges_are_used_once_and_at_all() -> None:
    assert all(name == case.name for name, case in CASES.items())
    assert {case.judge for case in CASES.values()} - {""} == set(JUDGES)
    assert {case.body for case in CASES.values()} - {""} == set(BODIES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_can_be_sent(case: Case) -> None:
    for seed in range(30):
        op = drawn(case, seed)
        made = render(case, op, SYMBOLS, LOCATION)
        assert made == render(case, op, SYMBOLS, LOCATION), "a pure function"
        assert made.target.startswith(("/", "http://registry/"))
        assert all("!" <= character <= "~" for character in made.target + made.method)
        assert "{" not in made.target
        for name, value in made.headers:
            assert value == value.strip()
            assert all(" " <= character <= "~" for character in name + value)
        assert (made.body is None) == (case.body == "")
        assert case.session == ("the-session" in made.target)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rendering_bears_any_arguments(case: Case) -> None:
    bare = Operation("Op 1/é", 1, "request", {"case": case.name})
    assert render(case, bare, SYMBOLS).target.startswith("/")
    odd = bare.with_args(a="\x00 {repo}\n", b="", n=-5)
    made = render(case, odd, SYMBOLS)
    assert all("!" <= character <= "~" for character in made.target)


def test_a_session_keeps_the_query_of_its_location() -> None:
    made = render(CASES["finish.no-digest"], asked("finish.no-digest"), SYMBOLS, LOCATION)
    assert made.target == LOCATION
    made = render(CASES["finish.mismatch"], asked("finish.mismatch"), SYMBOLS, LOCATION)
    assert made.target.startswith(LOCATION + "&digest=sha256:")
    made = render(CASES["finish.mismatch"], asked("finish.mismatch"), SYMBOLS, "/x")
    assert made.target.startswith("/x?digest=sha256:")


def test_what_is_stored_is_in_a_repository_of_its_own() -> None:
    for case in CASES.values():
        if case.method == "PUT" and "/manifests/" in case.path:
            target = render(case, drawn(case), SYMBOLS).target
            assert not target.startswith(f"/v2/{REPO}/")
            other = render(case, Operation("other", 1, "request", {**drawn(case).args}), SYMBOLS).target
            assert other != target


def test_bodies_are_what_they_say() -> None:
    stuff = Stuff("salt op", DIGEST["b"], DIGEST["empty"])
    assert len(BODIES["four megabytes"](stuff)) == FOUR_MB
    assert len(BODIES["too large"](stuff)) > 2 * FOUR_MB
    for name in ("index", "index with subject", "index of the unknown", "image of the unknown"):
        assert json.loads(BODIES[name](stuff))["schemaVersion"] == 2
        assert BODIES[name](stuff) != BODIES[name](Stuff("salt op2", DIGEST["b"], DIGEST["empty"]))
    assert len({make(stuff) for make in MALFORMED.values()}) == len(MALFORMED)
    for make in ODD.values():
        assert (make(stuff)[:1], make(stuff)[-1:]) == (b"{", b"}")


# --- verdicts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_allowed_at_its_best_is_no_finding(case: Case) -> None:
    op = drawn(case)
    for status in sorted((case.should or case.allowed) - LEGAL):
        if status in (200, 201, 202, 206, 416) and case.judge:
            continue
        codes = errors("MANIFEST_BLOB_UNKNOWN") if status >= 400 else None
        if status >= 400 and case.judge == "tag-accepted":
            codes = errors("MANIFEST_INVALID")
        reply = replied(op, status, {}, codes if case.method != "HEAD" else None, location=LOCATION)
        assert judged(op, reply) == set(), status


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_may_always_be_answered_is_no_finding(case: Case) -> None:
    op = drawn(case)
    for status in LEGAL:
        assert judged(op, replied(op, status, {"Retry-After": "1"}, location=LOCATION)) == set(), status


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_not_allowed_is_found(case: Case) -> None:
    op = drawn(case)
    reply = replied(op, 299, location=LOCATION)
    (found,) = check(told(reply, ops=(op,), spec="dev")).findings
    assert found.check == f"protocol.row-{case.row}.{case.name}.status"
    assert found.clause == f"row {case.row}"
    assert found.witness == (op.id,)
    assert found.property == "P12"
    assert "sha256:" not in found.title


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_request_is_worth_a_server_error(case: Case) -> None:
    op = drawn(case)
    reply = replied(op, 500, {}, "oops", location=LOCATION)
    (found,) = check(told(reply, ops=(op,))).findings
    assert (found.property, found.check) == ("P11", "availability.hostile")
    assert found.clause == f"row {case.row}"
    assert found.subject == case.name
    assert found.red


def test_a_lost_answer_is_one_unless_a_fault_excuses_it() -> None:
    op = asked("catalog.huge")
    lost = replied(op, None, error="reset")
    assert judged(op, lost) == {("promise", "availability.hostile")}
    killed = (Control("kill", 52), Control("started", 99))
    assert judged(op, lost, controls=killed) == set()
    assert judged(op, replied(op, None, error="reset", cut="reset")) == set()
    assert judged(op, replied(op, None, error="refused")) == set(), "it was down before it was asked"
    large = asked("manifest.too-large")
    assert judged(large, replied(large, None, error="reset")) == set(), "413, then hung up"


def test_501_is_an_answer_to_an_unknown_method() -> None:
    op = asked("method.unknown", a="BREW")
    assert judged(op, replied(op, 501)) == set()


def test_inputs_that_are_not_the_cases_get_no_verdict() -> None:
    op = asked("tag.bad.put", a="-bad")
    assert judged(op, replied(op, 201)) == {("must", "row-6.status")}
    good = asked("tag.bad.put", a="good")
    assert judged(good, replied(good, 201)) == set()
    assert judged(good, replied(good, 500)) == {("promise", "availability.hostile")}
    gone = asked("digest.bad.blob")
    assert judged(gone, replied(gone, 200)) == set()


def test_without_the_ability_there_is_no_verdict() -> None:
    op = asked("referrers.bad-digest", a="sha256:x")
    assert judged(op, replied(op, 404)) == {("must", "row-73.status")}
    assert judged(op, replied(op, 404), supports=ALL - {"referrers"}) == set()


def test_a_session_that_could_not_be_opened_gets_no_verdict() -> None:
    op = asked("chunk.out-of-order", upload="u")
    assert judged(op, replied(op, 404, location=None)) == set()
    assert judged(op, replied(op, 202, {"Location": "/x"}, location=None)) == set()


def test_a_chunk_out_of_order() -> None:
    op = asked("chunk.out-of-order", upload="u")
    opened = answer("upload.post", 202, {"Location": LOCATION}, upload="u")
    wrong = replied(op, 202, {"Location": "/x", "Range": "0-9"}, location=LOCATION)
    assert judged(op, wrong, opened) == {("must", "row-41.status")}
    (found,) = check(told(opened, wrong, ops=(op,))).findings
    assert found.witness == ("op0", op.id)
    assert judged(op, replied(op, 416, location=LOCATION), opened) == set()
    gone = replied(op, 404, location=LOCATION)
    assert judged(op, gone, opened) == {("must", "row-41.status")}, "the session was there"
    crash = (Control("kill", 20), Control("started", 30))
    assert judged(op, gone, opened, controls=crash) == set()
    ended = answer("upload.cancel", 204, upload="u", at=1)
    assert judged(op, gone, opened, ended) == set()


def test_repeated_requests_get_no_verdict() -> None:
    op = asked("absent.tag.get")
    assert judged(op, replied(op, 200)) == {("must", "row-17.status")}
    assert judged(op, replied(op, 200, about={"again": 3})) == set()


def test_advice() -> None:
    op = asked("finish.mismatch", upload="u")
    assert judged(op, replied(op, 400, location=LOCATION)) == set()
    assert judged(op, replied(op, 422, location=LOCATION)) == {("should", "row-33.advice")}
    assert judged(op, replied(op, 201, location=LOCATION)) == {("must", "row-33.status")}


def test_a_manifest_that_may_be_gone_may_be_absent() -> None:
    op = asked("accept.none", manifest="m")
    put = answer("manifest.put", 201, {"Location": "/x"}, manifest="m", tag="t", digest=DIGEST["m"])
    absent = replied(op, 404)
    assert judged(op, absent) == set()
    assert judged(op, absent, put) == {("should", "row-12.status")}
    deleted = answer("manifest.delete", 202, digest=DIGEST["m"], at=3)
    assert judged(op, absent, put, deleted) == set()
    collected = (Control("collect.start", 20), Control("collect.end", 30, data={"code": 0}))
    assert judged(op, absent, put, controls=collected) == set()


def test_verdict_by_itself() -> None:
    op = asked("absent.blob.get")
    abilities, promises = Abilities(ALL), Promises()
    case = CASES["absent.blob.get"]
    assert verdict(case, op, replied(op, 404), SYMBOLS, abilities, promises) == []
    (found,) = verdict(case, op, replied(op, 200), SYMBOLS, abilities, promises)
    assert (found.level, found.clause) == ("must", "row 21")


def test_each_check_once_in_a_history() -> None:
    ops = [asked("tag.bad.get", a="-x"), Operation("other", 1, "request", asked("tag.bad.get", a="!y").args)]
    replies = [replied(op, 200, at=at) for at, op in enumerate(ops)]
    (found,) = check(told(*replies, ops=tuple(ops))).findings
    assert found.witness == (ops[0].id,)


REFUSED_INDEX = ("must", "row-57.status")


def test_a_refused_index_says_nothing_of_its_subject_unless_another_was_taken() -> None:
    op = asked("manifest.unknown-subject")
    refused = replied(op, 400, {}, errors("MANIFEST_INVALID"))
    assert judged(op, refused) == {("should", "row-57.status")}
    other = asked("manifest.empty-index")
    taken = replied(other, 201, {"Location": "https://elsewhere/x"}, at=1)
    found = flaws(told(taken, refused, ops=(op, other)))
    assert found == {("must", "row-57.manifest.unknown-subject.status")}


# --- what the rest of an answer says -----------------------------------------------------------------------

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
    ("tags.none", {}, 200, {}, {"name": REPO, "tags": None}, {("must", "row-66.tags")}),
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
