"""P10, P11, the judge, and *sometimes*."""

from __future__ import annotations

import pytest

from harness import checkers
from harness.checkers.finding import Report
from harness.checkers.sometimes import SOMETIMES, reached
from harness.history import Control, History
from harness.plan.content import BlobSpec, ManifestSpec
from tests.unit.checkers.tell import Tale

MANIFESTS = {"m": ManifestSpec(layers=("b",)), "index": ManifestSpec(kind="index", children=("m",))}


def tale(**promises: object) -> Tale:
    t = Tale({"b": BlobSpec(64), "free": BlobSpec(64), "tiny": BlobSpec(1)}, MANIFESTS).promising(**promises)
    t.push("r", "b")
    return t


# --- P10 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "fails"), [(0, False), (1, True)])
def test_a_collection_ends_with_success(code: int, fails: bool) -> None:
    t = tale()
    t.put("r", "m", "t")
    t.collect(code=code, op="gc")
    assert t.checks() == ({"P10 collection.failed"} if fails else set())


def test_an_empty_store_is_nobodys_making() -> None:
    t = Tale()
    t.collect(code=1)
    assert not t.findings()


def test_a_collection_that_was_killed_says_nothing() -> None:
    t = tale()
    t.control("collect.start", "gc")
    t.kill()
    t.control("collect.end", "gc", code=137)
    t.started()
    assert not t.findings()


def test_a_collector_that_was_struck_dead_says_nothing() -> None:
    t = tale()
    t.control("collect.start", "gc")
    t.control("fault.delivered", "gc", fault="kill")
    t.control("collect.end", "gc", code=-9)
    assert not t.findings()


def test_garbage_is_gone_after_a_collection() -> None:
    t = tale()
    t.push("r", "free")
    t.put("r", "m", "t")
    t.collect()
    t.pull("r", "b", 200)
    t.pull("r", "free", 404)
    assert not t.findings()
    t = tale()
    t.push("r", "free")
    t.collect()
    t.pull("r", "free", 200)
    assert t.checks() == {"P10 collection.garbage_left"}


@pytest.mark.parametrize(
    "why", ["grace", "none", "online", "head", "tiny", "pushed again", "elsewhere", "perhaps named"]
)
def test_what_may_stay(why: str) -> None:
    t = tale()
    if why in ("grace", "none"):
        t.promising(grace_s=60.0) if why == "grace" else t.promising(collection="none")
    blob = "tiny" if why == "tiny" else "b"
    if why == "tiny":
        t.push("r", "tiny")
    if why == "elsewhere":
        t.push("q", "b")
        t.put("q", "m", "t")
    if why == "perhaps named":
        t.put("r", "m", "t", None, error="reset", cut="reset")
    t.collect(online=why == "online")
    if why == "pushed again":
        t.push("r", "b")
    (t.head if why == "head" else t.pull)("r", blob, 200)
    assert "P10 collection.garbage_left" not in t.checks()


@pytest.mark.parametrize("kept_by", ["", "tag", "index", "mode"])
def test_untagged_manifests_are_garbage_when_asked_for(kept_by: str) -> None:
    t = tale()
    t.put("r", "m", "t" if kept_by == "tag" else None)
    if kept_by == "index":
        t.put("r", "index")
    t.collect(untagged=kept_by != "mode")
    t.fetch("r", "m", 200)
    assert t.checks() == (set() if kept_by else {"P10 collection.garbage_left"})


# --- P11 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "check"),
    [
        ({"status": 500}, "P11 availability.error"),
        ({"status": 503}, "P11 availability.error"),
        ({"status": None, "error": "timeout"}, "P11 availability.hang"),
        ({"status": None, "error": "closed"}, "P11 availability.broken"),
        ({"status": None, "error": "refused"}, "P11 availability.crash"),
        ({"status": None, "error": "cut", "cut": "reset"}, None),
        ({"status": 404}, None),
    ],
)
def test_errors_without_a_fault(more: dict[str, object], check: str | None) -> None:
    t = tale()
    t.step("ping", "GET", "/v2/", **more)  # type: ignore[arg-type]
    assert t.checks() == ({check} if check else set())


def test_what_is_not_implemented_is_a_note() -> None:
    t = tale()
    t.step("ping", "GET", "/v2/", 501)
    assert {level for level, _ in t.all_checks()} == {"note"}


def test_faults_excuse_until_they_are_healed() -> None:
    t = tale()
    t.kill()
    t.pull("r", "b", None, error="refused")
    t.started()
    t.pull("r", "b", 200)
    assert not t.findings()
    t.step("ping", "GET", "/v2/", 500)
    assert t.checks() == {"P11 availability.error"}


def test_other_faults_last_until_the_closing_part() -> None:
    t = tale()
    t.control("fault.delivered", "disk", fault="enospc")
    t.push("r", "free", 500)
    assert not t.findings()
    t.control("closing", part="read")
    t.push("r", "free", 500)
    assert t.checks() == {"P11 availability.error"}


@pytest.mark.parametrize(("fault", "excuses"), [("net", True), ("disk.full", False)])
def test_weather_that_nobody_met_closed_connections_all_the_same(fault: str, excuses: bool) -> None:
    t = tale()
    t.control("op.start", "storm")
    t.pull("r", "b", None, error="closed")
    t.control("fault.missed", "storm", fault=fault)
    t.control("fault.healed")
    assert t.checks() == (set() if excuses else {"P11 availability.broken"})
    t.step("ping", "GET", "/v2/", 500)
    assert "P11 availability.error" in t.checks()


def test_who_waits_for_a_hold_waits_for_us() -> None:
    t = tale()
    t.control("op.held", "gc")
    t.step("ping", "GET", "/v2/", None, error="timeout")
    t.control("op.released", "gc")
    assert not t.findings()


def test_one_story_for_each_kind_of_failure() -> None:
    t = tale()
    for _ in range(3):
        t.step("ping", "GET", "/v2/", 500)
    t.step("tags.list", "GET", "/v2/", 500, repo="r")
    assert len(t.findings("P11")) == 2


# --- the judge --------------------------------------------------------------------------------------------


def test_a_checker_that_fails_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(history: History) -> Report:
        raise KeyError("oops")

    monkeypatch.setitem(checkers.CHECKERS, "P1", (fails,))
    report = checkers.judge(tale().history())["P1"]
    assert report.unknown == ["the checker failed: KeyError: 'oops'"]
    assert not report.findings


def test_every_property_has_a_report() -> None:
    assert list(checkers.judge(tale().history())) == [f"P{i}" for i in range(1, 13)]


# --- sometimes --------------------------------------------------------------------------------------------


def test_nothing_happens_in_an_empty_history() -> None:
    assert reached(Tale().history()) == set()


def everything() -> Tale:
    """A history in which everything happens that must happen sometimes."""
    manifests = {
        **MANIFESTS,
        "m2": ManifestSpec(layers=("b",), annotations=1),
        "sig": ManifestSpec(kind="artifact", layers=("b",), subject="m"),
    }
    t = Tale({"b": BlobSpec(64), "free": BlobSpec(64), "long": BlobSpec(64, "sha512")}, manifests)
    t.push("r", "b")
    t.push("r", "free")
    t.push("r", "long")
    t.pull("r", "long")
    t.pull("r", "b")
    t.pull("r", "b", 206, t.symbols.blob("b")[:1], first=0, last=0)
    t.mount("q", "b", "r")
    t.head("q", "free", 404)
    t.put("r", "m", "t")
    t.put("r", "m2", "t", at=(t.now, t.now + 9))
    t.fetch("r", tag="t", shows="m2", at=(t.now - 9, t.now), lane=2)
    t.put("r", "sig")
    t.referrers("r", "m", ["sig"])
    t.tags("r", ["t"], n=1, headers={"Link": '</x>; rel="next"'}, op="list")
    t.tags("r", [], n=1, page=2, op="list")
    t.collect()
    t.pull("r", "b")
    t.pull("r", "free", 404)
    t.push("r", "free", declare="b", status=400)
    t.push("r", "free")
    t.drop("r", "free")
    t.pull("r", "free", 404)
    t.erase("r", "sig")
    t.fetch("r", "sig", 404)
    t.open("r")
    for first in range(0, 40, 10):
        t.patch("r", "free", first, 10)
    t.patch("r", "free", 60, 2, 416)
    t.patch("r", "free", 40, 20, None, error="cut", cut="reset", sent=5)
    t.status("r", "0-39")
    t.patch("r", "free", 40, 24)
    t.finish("r", "free")
    t.push("r", "free", at=(t.now, t.now + 90))
    t.push("r", "b", at=(t.now - 80, t.now), lane=2)
    t.push("r", "free", None, at=(t.now, t.now + 30), error="reset")
    t.now -= 20
    t.crash()
    t.now += 60
    t.pull("r", "b")
    t.restart()
    t.pull("r", "b")
    return t


def test_everything_can_be_reached() -> None:
    assert reached(everything().history()) == set(SOMETIMES)


def test_the_story_of_everything_is_legal() -> None:
    assert not everything().checks()


def test_what_a_collection_says_that_it_removed_counts() -> None:
    t = tale()
    t.controls.append(Control("collect.start", t.now, "gc"))
    t.controls.append(Control("collect.end", t.now + 1, "gc", data={"code": 0, "removed": 3}))
    assert "collected" in reached(t.history())
