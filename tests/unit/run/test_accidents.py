"""Accidents in plans, against the reference: delivered or missed, never neither; healed; judged fairly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.checkers.finding import Finding
from harness.faults import limits, syscall, volume
from harness.history import History
from harness.plan.codec import load
from harness.plan.plan import Plan
from harness.run.enumerate import NotEnumerable, Spot, brief, check, spots, struck, struck_by
from harness.run.options import Options
from harness.run.trial import Trial, open_trial

gated = pytest.mark.skipif(syscall.available() is not None, reason=str(syscall.available()))
on_a_volume = pytest.mark.skipif(volume.available() is not None, reason=str(volume.available()))
limited = pytest.mark.skipif(limits.available() is not None, reason=str(limits.available()))

IMAGE = """
push = { do = "blob.push", repo = "r", blob = "layer", size = 5000 }
put  = { do = "manifest.put", repo = "r", tag = "t", layers = ["layer"] }
"""


def plan(*operations: str) -> Plan:
    text = 'seatrial = 1\ntitle = "x"\nclosing = "restart"\n[ops]\n' + "\n".join(operations)
    return load(text, "x.toml").plan


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    opened = open_trial(Options(target_file="reference"))
    yield opened
    opened.close()


def carried_out(trial: Trial, plan: Plan) -> tuple[History, list[Finding]]:
    history = trial.run(plan)
    assert trial.target.running()
    return history, [finding for finding in trial.found(history) if finding.red]


def delivered(history: History) -> list[str]:
    return [str(control.data["fault"]) for control in history.what("fault.delivered")]


def statuses(history: History, op: str, method: str) -> list[int | None]:
    return [exchange.status for exchange in history.by_op[op] if exchange.method == method]


@gated
@pytest.mark.parametrize("nth", [1, 9, 30])
def test_a_registry_is_killed_right_before_a_call(trial: Trial, nth: int) -> None:
    strike = f'strike = {{ call = "any", nth = {nth}, act = "kill" }}'
    again = 'again = { do = "manifest.put", repo = "r", tag = "t", layers = ["layer"], annotations = 1'
    history, red = carried_out(trial, plan(IMAGE, f"{again}, {strike} }}", 'restart = { do = "restart" }'))
    assert delivered(history) == ["kill"]
    assert statuses(history, "again", "PUT")[-1] is None
    assert red == []


@gated
def test_a_call_that_is_never_made_is_missed(trial: Trial) -> None:
    strike = 'strike = { call = "rename", path = "*/no-such-name", act = "kill" }'
    look = f'look = {{ do = "blob.head", repo = "r", blob = "layer", {strike} }}'
    history, _ = carried_out(trial, plan(IMAGE, look))
    assert delivered(history) == []
    missed = next(history.what("fault.missed"))
    assert missed.data["why"] == "only 0 such calls were made"


@gated
@pytest.mark.parametrize("act", ["enospc", "eio", "emfile"])
def test_an_error_at_a_call_leaves_nothing_half_done(trial: Trial, act: str) -> None:
    strike = f'strike = {{ call = "create", path = "*", act = "{act}", rest = true }}'
    refused = f'refused = {{ do = "blob.push", repo = "r", blob = "b", size = 900, {strike} }}'
    history, red = carried_out(
        trial, plan(IMAGE, refused, 'again = { do = "blob.push", repo = "r", blob = "b" }')
    )
    assert delivered(history) == [act]
    assert (history.by_op["refused"][-1].status or 0) >= 500
    assert statuses(history, "again", "PUT") == [201]
    assert red == []


@gated
def test_a_collector_is_held_at_a_call(trial: Trial) -> None:
    collect = 'collect = { do = "collect", hold = { call = "link", until = "put" }, after = ["push"] }'
    history, red = carried_out(
        trial,
        plan(
            'push = { do = "blob.push", repo = "r", blob = "layer", size = 5000 }',
            collect,
            'put = { do = "manifest.put", repo = "r", tag = "t", layers = ["layer"],'
            ' after = ["collect.held"] }',
            'pull = { do = "image.pull", repo = "r", tag = "t", after = ["collect"] }',
        ),
    )
    assert [control.op for control in history.what("op.held")] == ["collect"]
    put = history.by_op["put"][0]
    ended = next(control.at_ns for control in history.what("op.end") if control.op == "collect")
    assert put.invoked_ns < ended
    assert red == []


@on_a_volume
def test_what_was_acknowledged_survives_a_power_cut(trial: Trial) -> None:
    history, red = carried_out(
        trial, plan(IMAGE, 'power = { do = "power", after = ["put"] }', 'restart = { do = "restart" }')
    )
    assert delivered(history) == ["power"]
    assert red == []


@on_a_volume
def test_a_full_disk_refuses_and_then_accepts(trial: Trial) -> None:
    history, red = carried_out(
        trial,
        plan(
            IMAGE,
            'full = { do = "disk.full", free = 65536, after = ["put"] }',
            'big = { do = "blob.push", repo = "r", blob = "big", size = 900000, after = ["full"] }',
            'heal = { do = "heal", after = ["big"] }',
            'again = { do = "blob.push", repo = "r", blob = "big", after = ["heal"] }',
        ),
    )
    assert delivered(history) == ["disk.full"]
    assert statuses(history, "big", "PUT") == [507]
    assert statuses(history, "again", "PUT") == [201]
    assert red == []


@on_a_volume
def test_a_disk_that_is_not_healed_by_the_plan_is_healed_at_its_end(trial: Trial) -> None:
    history, red = carried_out(trial, plan(IMAGE, 'full = { do = "disk.full", after = ["put"] }'))
    assert len(list(history.what("fault.healed"))) == 1
    assert red == []


@limited
def test_a_registry_without_files_recovers(trial: Trial) -> None:
    history, red = carried_out(
        trial,
        plan(
            IMAGE,
            'limit = { do = "limit", what = "files", value = 0, after = ["put"] }',
            'push2 = { do = "blob.push", repo = "r", blob = "b", size = 900, after = ["limit"] }',
            'heal = { do = "heal", after = ["push2"] }',
            'again = { do = "blob.push", repo = "r", blob = "b", after = ["heal"] }',
        ),
    )
    assert delivered(history) == ["limit"]
    assert statuses(history, "again", "PUT") == [201]
    assert red == []


@pytest.mark.parametrize("damage", ['do = "disk.flip", at = 7', 'do = "disk.cut", size = 3'])
def test_damage_is_excused_until_a_push_heals_it(trial: Trial, damage: str) -> None:
    history, red = carried_out(
        trial,
        plan(
            IMAGE,
            f'rot = {{ {damage}, blob = "layer", after = ["put"] }}',
            'spoilt = { do = "blob.pull", repo = "r", blob = "layer", after = ["rot"] }',
            'again = { do = "blob.push", repo = "r", blob = "layer" }',
            'pull = { do = "blob.pull", repo = "r", blob = "layer" }',
        ),
    )
    assert len(delivered(history)) == 1
    bodies = [history.by_op[op][0].body for op in ("spoilt", "pull")]
    assert bodies[0] != bodies[1]
    assert red == []


@pytest.mark.parametrize("what", ['manifest = "put"', 'manifest = "signature"', 'repo = "r", tag = "t"'])
@pytest.mark.parametrize("damage", ['do = "disk.flip", at = 0', 'do = "disk.cut", size = 0'])
def test_lists_are_excused_for_what_is_damaged(trial: Trial, damage: str, what: str) -> None:
    history, red = carried_out(
        trial,
        plan(
            IMAGE,
            'signature = { do = "manifest.put", repo = "r", layers = ["layer"], subject = "put" }',
            f'rot = {{ {damage}, {what}, after = ["signature"] }}',
            'quiet = { do = "quiet", after = ["rot"] }',
            'tags = { do = "tags.list", repo = "r", after = ["quiet"] }',
            'signatures = { do = "referrers.list", repo = "r", manifest = "put", after = ["quiet"] }',
        ),
    )
    assert len(delivered(history)) == 1
    assert red == []


@gated
def test_the_spots_of_a_plan_and_a_crash_at_each(trial: Trial) -> None:
    pushed = plan('push = { do = "blob.push", repo = "r", blob = "layer", size = 50 }')
    check(trial, pushed, ("kill",))
    spots(trial, pushed)  # some folders are made once for each store
    # Not exactly the same twice: the folder of a digest's first two digits may be there already.
    found, again = spots(trial, pushed), spots(trial, pushed)
    assert {spot.call for spot in found} == {spot.call for spot in again}
    assert [spot.nth for spot in found] == list(range(1, len(found) + 1))
    assert {spot.op for spot in found} == {"push"}
    assert any("blobs/sha256/" in spot.path for spot in found)
    # Not at the last one: with a folder less to make, there are not so many.
    crash = struck(pushed, found[len(found) // 2], "kill")
    assert [op.do for op in crash] == ["blob.push", "restart"]
    history, red = carried_out(trial, crash)
    assert delivered(history) == ["kill"]
    assert red == []


@gated
def test_plans_whose_changes_cannot_be_told_apart_have_no_spots(trial: Trial) -> None:
    both = plan(
        'one = { lane = 1, do = "blob.push", repo = "r", blob = "a", size = 5 }',
        'two = { lane = 2, do = "blob.push", repo = "r", blob = "b", size = 5 }',
    )
    with pytest.raises(NotEnumerable, match="may overlap"):
        check(trial, both, ("kill",))
    once = struck(replace(both, operations=both.operations[:1]), Spot("one", 1, "rename", ""), "kill")
    with pytest.raises(NotEnumerable, match="'one' has a fault already"):
        check(trial, once, ("kill",))


def test_paths_are_the_same_in_every_run() -> None:
    digest = "0123456789abcdef" * 4
    path = f"docker/registry/v2/repositories/ns/salt/r/_layers/sha256/{digest}/link"
    assert brief(path, "ns/salt") == "repositories/r/_layers/sha256/0123456…/link"
    session = "docker/registry/v2/repositories/ns/salt/r/_uploads/12345678-1234-1234-1234-123456789abc/data"
    assert brief(session, "ns/salt") == "repositories/r/_uploads/‹session›/data"


def test_an_error_strikes_only_calls_that_can_fail_so() -> None:
    found = [
        Spot("one", 1, "openat", "a", "create"),
        Spot("one", 2, "unlinkat", "b", "unlink"),
        Spot("one", 3, "write", "c", "write"),
        Spot("two", 1, "unlinkat", "d", "unlink"),
        Spot("two", 2, "openat", "e", "create"),
    ]
    assert struck_by(found, "kill") == struck_by(found, "eio") == found
    told = {
        act: [(spot.op, spot.nth, spot.path) for spot in struck_by(found, act)]
        for act in ("enospc", "emfile")
    }
    assert told["enospc"] == [("one", 1, "a"), ("one", 2, "c"), ("two", 1, "e")]
    assert told["emfile"] == [("one", 1, "a"), ("two", 1, "e")]


def test_after_an_error_the_same_is_tried_again() -> None:
    put = plan(IMAGE)
    failed = struck(put, Spot("put", 3, "write", "", "write"), "enospc")
    assert [op.id for op in failed] == ["push", "put", "put-again"]
    again = failed["put-again"]
    assert again.strike is None
    assert again["manifest"] == "put", "the same bytes, not others under another name"
    assert again["tag"] == failed["put"]["tag"]
