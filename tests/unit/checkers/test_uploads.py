"""P6, and sessions under P8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.plan.content import BlobSpec
from tests.unit.checkers.tell import Tale

BLOBS = {"b": BlobSpec(100), "other": BlobSpec(100)}
Act = Callable[[Tale], object]


def opened(**promises: object) -> Tale:
    t = Tale(BLOBS).promising(**{"spec": "dev", **promises})
    t.open("r", op="open")
    return t


def test_a_chunked_push_is_right() -> None:
    t = opened()
    t.status("r", "0-0")
    t.patch("r", "b", 0, 40)
    t.status("r", "0-39")
    t.patch("r", "b", 70, 10, 416)
    t.patch("r", "b", 40, 60)
    t.finish("r", "b")
    t.finish("r", "b", 404)
    t.status("r", status=404)
    t.pull("r", "b")
    assert not t.findings()


CASES: dict[str, tuple[Act, set[tuple[str, str]]]] = {
    "a gap": (lambda t: t.patch("r", "b", 40, 10, 202), {("must", "uploads.order")}),
    "a gap, refused otherwise": (
        lambda t: t.patch("r", "b", 40, 10, 400),
        {("should", "uploads.order_code")},
    ),
    "a gap, refused": (lambda t: t.patch("r", "b", 40, 10, 416), set()),
    "in order, refused": (lambda t: t.patch("r", "b", 20, 10, 416), {("must", "uploads.in_order_refused")}),
    "another status": (lambda t: t.patch("r", "b", 20, 10, 204), {("must", "uploads.code")}),
    "range of the chunk": (
        lambda t: t.patch("r", "b", 20, 10, headers={"Range": "0-9"}),
        {("must", "uploads.range")},
    ),
    "exclusive end": (
        lambda t: t.patch("r", "b", 20, 10, headers={"Range": "0-30"}),
        {("must", "uploads.range")},
    ),
    "no range": (lambda t: t.patch("r", "b", 20, 10, headers={}), {("must", "uploads.range")}),
    "range as bytes=": (
        lambda t: t.patch("r", "b", 20, 10, headers={"Range": "bytes=0-29"}),
        {("should", "uploads.range")},
    ),
    "streamed": (lambda t: t.patch("r", "b", 20, 10, claim=None), set()),
    "status too low": (lambda t: t.status("r", "0-9"), {("must", "uploads.status_range")}),
    "status too high": (lambda t: t.status("r", "0-20"), {("must", "uploads.status_range")}),
    "status malformed": (lambda t: t.status("r", "0--1"), {("must", "uploads.status_range")}),
    "status gone": (lambda t: t.status("r", status=404), {("must", "uploads.status")}),
    "wrong digest taken": (
        lambda t: t.finish("r", "b", first=20, size=80, claim=20, declare="other"),
        {("must", "uploads.wrong_digest_accepted")},
    ),
    "too little taken": (lambda t: t.finish("r", "b"), {("must", "uploads.wrong_digest_accepted")}),
    "wrong digest refused": (
        lambda t: t.finish("r", "b", 400, first=20, size=80, claim=20, declare="other"),
        set(),
    ),
    "wrong digest, odd code": (
        lambda t: t.finish("r", "b", 409, first=20, size=80, claim=20, declare="other"),
        {("should", "uploads.wrong_digest_code")},
    ),
    "right digest refused": (
        lambda t: t.finish("r", "b", 400, first=20, size=80, claim=20),
        {("must", "uploads.refused")},
    ),
    "right digest over a limit": (lambda t: t.finish("r", "b", 413, first=20, size=80, claim=20), set()),
    "last chunk out of order": (
        lambda t: t.finish("r", "b", first=20, size=80, claim=30),
        {("must", "uploads.last_order")},
    ),
    "cancel refused": (lambda t: t.cancel("r", 400), {("should", "uploads.cancel_code")}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_answer(name: str) -> None:
    act, expected = CASES[name]
    t = opened()
    t.patch("r", "b", 0, 20)
    act(t)
    assert t.all_checks() == expected


def test_the_last_chunk_was_free_before_the_rule() -> None:
    t = opened(spec="1.1")
    t.patch("r", "b", 0, 20)
    t.finish("r", "b", first=20, size=80, claim=30)
    assert t.all_checks() == {("note", "uploads.last_order")}


def test_an_empty_session_has_no_good_range() -> None:
    for told, bad in (("0-0", False), (None, False), ("0--1", True), ("0-7", True)):
        t = opened()
        t.status("r", told)
        assert bool(t.checks()) == bad


def test_a_single_post_is_held_to_its_digest() -> None:
    t = Tale(BLOBS)
    t.push("r", "b", 201, declare="other")
    assert t.checks() == {"P6 uploads.wrong_digest_accepted"}


def cut(t: Tale, sent: int = 30, **more: Any) -> None:
    t.patch("r", "b", 20, 60, None, error="cut", cut="reset", sent=sent, headers={}, **more)


def broken(sent: int = 30, **promises: object) -> Tale:
    """The client vanished in its second chunk."""
    t = opened(**promises)
    t.patch("r", "b", 0, 20)
    cut(t, sent)
    return t


@pytest.mark.parametrize("told", ["0-19", "0-20", "0-49"])
def test_after_a_cut_the_place_is_between_acknowledged_and_sent(told: str) -> None:
    t = broken()
    t.status("r", told)
    at = int(told[2:]) + 1
    t.patch("r", "b", at, 100 - at)
    t.finish("r", "b")
    t.pull("r", "b")
    assert not t.findings()


@pytest.mark.parametrize("told", ["0-10", "0-50", "0-79"])
def test_after_a_cut_no_other_place_is_right(told: str) -> None:
    t = broken()
    t.status("r", told)
    assert t.checks() == {"P6 uploads.status_range"}


def test_a_session_that_a_cut_ended() -> None:
    for resume in (True, False):
        t = broken(resume=resume)
        t.status("r", status=404)
        assert t.checks() == ({"P6 uploads.not_resumable"} if resume else set())


def test_a_late_byte_may_move_the_place() -> None:
    t = broken()
    t.status("r", "0-29")
    t.patch("r", "b", 30, 70, 416)
    assert not t.findings()


def test_a_resumed_upload_that_cannot_be_committed() -> None:
    t = broken()
    t.status("r", "0-29")
    t.patch("r", "b", 30, 70)
    t.finish("r", "b", 400)
    assert t.checks() == {"P6 uploads.resume_corrupt"}


def test_after_a_crash_a_session_may_be_gone_or_further_back() -> None:
    t = opened()
    t.patch("r", "b", 0, 20)
    t.crash()
    t.status("r", status=404)
    assert not t.findings()
    t = opened()
    t.patch("r", "b", 0, 20)
    t.crash()
    t.status("r", "0-9")
    assert not t.findings()


def test_sessions_that_are_promised_to_survive() -> None:
    t = opened(sessions_survive_restart=True)
    t.patch("r", "b", 0, 20)
    t.restart()
    t.status("r", status=404)
    assert t.checks() == {"P6 uploads.status"}


def test_a_closed_session_should_not_answer_and_takes_nothing() -> None:
    t = opened()
    t.patch("r", "b", 0, 100)
    t.finish("r", "b")
    t.finish("r", "b")  # the same again changes nothing
    assert not t.findings()
    t.patch("r", "b", 100, 1, headers={})
    assert t.all_checks() == {("must", "uploads.after_finish")}
    t = opened()
    t.cancel("r")
    t.patch("r", "b", 0, 10)
    assert t.all_checks() == {("must", "uploads.after_cancel")}
    t = opened()
    t.cancel("r")
    t.status("r")
    assert t.all_checks() == {("should", "uploads.after_cancel")}


def test_racing_requests_are_only_held_to_what_they_commit() -> None:
    t = opened()
    t.patch("r", "b", 0, 50, at=(100, 200), headers={})
    t.patch("r", "b", 50, 50, at=(150, 250), headers={}, lane=2)
    t.finish("r", "b", at=(300, 400))
    t.finish("r", "other", at=(350, 450), lane=2)
    assert t.checks() == {"P6 uploads.two_committers"}


def test_one_of_two_committers_is_right() -> None:
    t = opened()
    t.patch("r", "b", 0, 100)
    t.finish("r", "b", at=(300, 400))
    t.finish("r", "b", 404, at=(350, 450), lane=2)
    assert not t.findings()


def test_a_session_belongs_to_its_repository() -> None:
    for status, leaks in ((404, False), (202, True)):
        t = opened()
        t.open("q", "v")
        t.patch("q", "b", 0, 20, status, upload="u")
        assert t.checks() == ({"P8 isolation.session"} if leaks else set())


def test_a_session_keeps_its_home_whatever_the_plan_calls_it() -> None:
    t = opened()
    t.patch("q", "b", 0, 100, path_repo="r")
    t.finish("q", "b", path_repo="r")
    t.pull("r", "b")
    assert not t.findings()


def test_a_request_of_the_table_leaves_a_session_in_doubt() -> None:
    t = opened()
    t.patch("r", "b", 0, 100)
    t.step("request", "PUT", "/", 400, repo="r", upload="u", case="finish.mismatch")
    t.status("r", status=404)
    assert not t.findings()
    t = opened()
    t.patch("r", "b", 0, 100)
    t.step("request", "PUT", "/", 201, repo="r", upload="u", case="some.finish")
    t.pull("r", "b")
    assert not t.findings()


def test_the_same_request_again_goes_to_the_old_place() -> None:
    t = opened()
    t.patch("r", "b", 0, 20)
    t.patch("r", "b", 0, 20, 404, again=1, headers={})
    assert not t.findings()
    t.patch("r", "b", 0, 20, 202, again=1)
    assert t.checks() == {"P6 uploads.order"}


def test_who_guesses_the_place_after_a_cut_learns_nothing() -> None:
    t = opened()
    t.patch("r", "b", 0, 20, None, error="cut", cut="reset", sent=20, headers={})
    t.patch("r", "b", 20, 80, headers={"Range": "0-89"})
    t.finish("r", "b", 400)
    assert not t.findings()


def test_a_cut_before_the_first_byte_sent_nothing() -> None:
    t = opened()
    t.patch("r", "b", 0, 20, None, error="cut", cut="reset", sent=0, headers={})
    t.patch("r", "b", 20, 80)
    assert t.checks() == {"P6 uploads.order"}


def test_a_session_may_be_busy_with_a_request_that_broke() -> None:
    t = opened()
    t.patch("r", "b", 0, 20, None, error="cut", cut="close", sent=20, headers={})
    t.status("r", "0-19")
    t.patch("r", "b", 20, 80, 416)
    assert "P6 uploads.in_order_refused" not in t.checks()


@pytest.mark.parametrize(("status", "found"), [(416, set()), (400, {"P6 uploads.refused"})])
def test_a_commit_may_find_a_session_busy_with_a_request_that_broke(status: int, found: set[str]) -> None:
    t = opened()
    t.patch("r", "b", 0, 20, None, error="cut", cut="half", sent=0, headers={})
    t.status("r", None, 204)
    t.finish("r", "b", status, first=0, size=100)
    assert t.checks() == found


@pytest.mark.parametrize(
    ("told", "found"),
    [(True, {"P6 uploads.resume_corrupt"}), (False, set())],
    ids=["the status told where it is", "nobody asked"],
)
def test_an_upload_whose_chunk_failed_is_what_its_status_says(told: bool, found: set[str]) -> None:
    t = opened()
    t.patch("r", "b", 0, 100, 503, headers={})
    if told:
        t.status("r", "0-99", 204)
    t.finish("r", "b", 400)
    assert t.checks("P6") == found


def test_what_a_client_did_not_send_may_be_refused() -> None:
    t = opened()
    t.finish("r", "b", 400, first=0, size=100, cut="half", sent=0)
    assert not t.checks("P6")


def test_a_patch_that_a_kill_broke_can_be_resumed_where_sessions_survive() -> None:
    t = opened(sessions_survive_restart=True)
    t.kill()
    t.patch("r", "b", 0, 20, None, error="closed", sent=20, headers={})
    t.started()
    t.status("r", status=404)
    assert "P6 uploads.not_resumable" in t.checks()


def test_who_goes_on_elsewhere_than_the_status_told_proves_nothing() -> None:
    t = opened()
    t.patch("r", "b", 0, 64, None, error="cut", cut="close", sent=64, headers={})
    t.status("r", "0-0")
    t.patch("r", "b", 32, 68)
    t.finish("r", "b", 400)
    assert "P6 uploads.resume_corrupt" not in t.checks()


def test_who_goes_on_where_the_status_told_is_owed_the_blob() -> None:
    t = opened()
    t.patch("r", "b", 0, 64, None, error="cut", cut="close", sent=64, headers={})
    t.status("r", "0-31")
    t.patch("r", "b", 32, 68)
    t.finish("r", "b", 400)
    assert "P6 uploads.resume_corrupt" in t.checks()


def test_a_session_has_a_place_that_can_be_put_to() -> None:
    for status, found in ((405, {"P6 uploads.refused"}), (403, set())):
        t = opened()
        t.finish("r", "b", status, first=0, size=100)
        assert t.checks() == found


@pytest.mark.parametrize(("promise", "checks"), [("online", {"P6 uploads.status"}), ("offline", set())])
def test_a_collector_that_is_safe_beside_pushes_leaves_uploads_alone(promise: str, checks: set[str]) -> None:
    t = opened(collection=promise)
    t.patch("r", "b", 0, 40)
    t.collect()
    t.status("r", status=404)
    assert t.checks() == checks
