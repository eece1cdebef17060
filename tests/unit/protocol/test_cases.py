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
from harness.history import ABILITIES, Abilities, Control, Promises
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
    judged,
    replied,
    told,
)

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LISTED = {"Content-Type": OCI_INDEX}
LOCATION = f"http://registry/v2/{REPO}/blobs/uploads/the-session?_state=x%3D"


def drawn(case: Case, seed: int = 1, **args: Any) -> Operation:
    return asked(case.name, **{**inputs(Dice(seed), case), **args})


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
    used = case.fields | ({"a"} if case.body in ("malformed", "odd", "deep") else set())
    assert {"n" if name == "name_of_n" else name for name in used} & {"a", "b", "n"} == set(case.draws)


def test_names_and_judges_are_used_once_and_at_all() -> None:
    assert all(name == case.name for name, case in CASES.items())
    assert {case.judge for case in CASES.values()} - {""} == set(JUDGES)
    assert {case.body for case in CASES.values()} - {""} == set(BODIES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_can_be_sent(case: Case) -> None:
    for seed in range(3 if case.large else 30):
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
