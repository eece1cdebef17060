"""What the gate does to the call that a rule names, and to nobody else."""

from __future__ import annotations

import os
import threading

import pytest

from harness.faults.syscall import Armed, Rule

from .conftest import WAIT_S, Bench, alive, struck

RENAMES = """
for name in 'abcde':
    open(name, 'w').close()
    os.rename(name, name.upper())
print('all')
"""
TRIES = """
def tried(call, *args):
    try: call(*args); return 'ok'
    except OSError as error: return os.strerror(error.errno)
"""


@pytest.mark.parametrize("nth", [1, 3, 5])
def test_kill_comes_right_before_the_nth_call(bench: Bench, nth: int) -> None:
    armed = bench.gate.arm(Rule("kill", "rename", nth=nth))
    process = bench.start(RENAMES)
    assert bench.end(process) == ""
    assert process.code() == -9
    assert struck(armed) == f"rename {'ABCDE'[nth - 1]}"
    assert bench.names() == " ".join([*"ABCDE"[: nth - 1], "abcde"[nth - 1]])


def test_kill_reaches_all_threads_and_children(bench: Bench) -> None:
    armed = bench.gate.arm(Rule("kill", "create", "last"))
    process = bench.start(
        """
import threading, time
child = os.fork()
if child == 0:
    while True: os.utime('.')
open(str(child), 'w').close()
def work():
    while True: os.utime('.')
threading.Thread(target=work, daemon=True).start()
open('last', 'w').close()
"""
    )
    struck(armed)
    assert bench.end(process) == ""
    assert process.code() == -9
    (child,) = os.listdir(bench.folder)
    assert not alive(int(child))
    assert bench.gate.points()[-1].path == "last"


def test_a_held_thread_stands_still_while_others_go_on(bench: Bench) -> None:
    mine = bench.gate.arm(Rule("hold", "rename", "A"))
    theirs = bench.gate.arm(Rule("hold", "mkdir", "others"))
    process = bench.start(
        """
import threading
open('a', 'w').close()
one = threading.Thread(target=os.rename, args=('a', 'A'))
two = threading.Thread(target=os.mkdir, args=('others',))
one.start(); two.start(); one.join(); two.join()
print('done')
"""
    )
    assert struck(mine) == "rename A"
    assert struck(theirs) == "mkdir others"
    assert bench.names() == "a"
    assert theirs.release()
    end = bench.gate.arm(Rule("hold", "rename"))
    assert mine.release()
    assert not mine.release()
    assert bench.end(process) == "done"
    assert bench.names() == "A others"
    assert not mine.gave_up
    assert not end.hit.is_set()
    assert end.matched == 0


def test_a_hold_ends_by_itself_after_its_limit(bench: Bench) -> None:
    armed = bench.gate.arm(Rule("hold", "rename", nth=2, limit_s=0.05))
    assert bench.run(RENAMES) == "all"
    assert struck(armed) == "rename B"
    assert armed.gave_up


def test_disarming_and_healing_release(bench: Bench) -> None:
    first = bench.gate.arm(Rule("hold", "rename", "A"))
    second = bench.gate.arm(Rule("hold", "rename", "B"))
    gone = bench.gate.arm(Rule("kill", "rename", "C"))
    process = bench.start(RENAMES)
    struck(first)
    first.disarm()
    struck(second)
    bench.gate.heal()
    assert bench.end(process) == "all"
    assert process.code() == 0
    assert not gone.hit.is_set()


def test_a_rule_counts_from_when_it_is_armed(bench: Bench) -> None:
    before = bench.gate.arm(Rule("hold", "rename", "B"))
    process = bench.start(RENAMES)
    struck(before)
    armed = bench.gate.arm(Rule("kill", "rename", nth=2))
    before.release()
    assert struck(armed) == "rename D"
    bench.end(process)


def test_an_error_strikes_once(bench: Bench) -> None:
    armed = bench.gate.arm(Rule("enospc", "write", nth=2))
    said = bench.run(
        f"""{TRIES}
fd = os.open('f', os.O_WRONLY | os.O_CREAT)
print([tried(os.write, fd, b'x') for _ in range(3)])
"""
    )
    assert said == "['ok', 'No space left on device', 'ok']"
    assert struck(armed) == "write f"
    assert (bench.folder / "f").stat().st_size == 2


def test_a_sticky_error_strikes_until_it_is_disarmed(bench: Bench) -> None:
    full = bench.gate.arm(Rule("enospc", nth=2, sticky=True))
    pause = bench.gate.arm(Rule("hold", "unlink"))
    process = bench.start(
        f"""{TRIES}
fd = os.open('f', os.O_WRONLY | os.O_CREAT)
print(tried(os.write, fd, b'x'), tried(os.mkdir, 'd'), tried(os.rename, 'f', 'g'), tried(os.unlink, 'f'),
      tried(os.write, fd, b'x'), tried(os.mkdir, 'd'), sep=', ')
"""
    )
    assert struck(pause) == "unlink f"
    full.disarm()
    pause.release()
    full_text = "No space left on device"
    assert bench.end(process) == f"{full_text}, {full_text}, {full_text}, ok, ok, ok"
    assert struck(full) == "write f"
    assert full.matched == 4


def test_power_is_cut_before_anybody_dies_and_then_all_die(bench: Bench) -> None:
    up = bench.gate.arm(Rule("hold", "touch"))
    other = bench.start("os.mkdir('up'); os.utime('up')", by="other")
    struck(up)
    ready = bench.gate.arm(Rule("hold", "rename", "A"))
    armed = bench.gate.arm(Rule("power", "rename", nth=3))
    process = bench.start(RENAMES)
    struck(ready)
    ready.release()
    struck(armed)
    assert bench.powered == ["A B c up"]
    assert process.wait(WAIT_S) == -9
    assert other.wait(WAIT_S) == -9


def test_a_slow_disk_only_delays(bench: Bench) -> None:
    armed = bench.gate.arm(Rule("slow", sticky=True, limit_s=0.001))
    assert bench.run(RENAMES) == "all"
    assert struck(armed) == "create a"
    assert armed.matched == 10
    assert not armed.gave_up
    assert bench.names() == "A B C D E"


def test_rules_tell_processes_apart(bench: Bench) -> None:
    armed = bench.gate.arm(Rule("hold", "rename", by="collector"))
    assert bench.run(RENAMES) == "all"
    process = bench.start("os.rename('A', 'x')", by="collector")
    assert struck(armed) == "rename x"
    assert armed.point is not None
    assert armed.point.by == "collector"
    armed.release()
    bench.end(process)


@pytest.mark.parametrize("path", ["b", "B", "[b]", "*/../b", "x"])
def test_a_rename_matches_by_either_name(bench: Bench, path: str) -> None:
    armed = bench.gate.arm(Rule("kill", "rename", path))
    said = bench.end(bench.start(RENAMES))
    if path in ("b", "B", "[b]"):
        assert struck(armed) == "rename B"
        assert (said, bench.names()) == ("", "A b")
    else:
        assert (said, bench.names()) == ("all", "A B C D E")
        assert not armed.hit.is_set()


def test_where_two_rules_meet_the_second_waits_for_its_next_call(bench: Bench) -> None:
    first = bench.gate.arm(Rule("hold", "rename", "B"))
    second = bench.gate.arm(Rule("hold", "rename", nth=2))
    process = bench.start(RENAMES)
    assert struck(first) == "rename B"
    assert not second.hit.is_set()
    first.release()
    assert struck(second) == "rename C"
    second.release()
    assert bench.end(process) == "all"


def test_what_is_to_follow_comes_before_hit_and_may_fail(bench: Bench) -> None:
    seen: list[bool] = []

    def follow(armed: Armed) -> None:
        seen.append(armed.hit.is_set())
        assert armed.point is not None
        assert threading.current_thread().name == "seatrial-gate"
        raise RuntimeError("no")

    armed = bench.gate.arm(Rule("eio", "rename"), follow)
    process = bench.start(f"{TRIES}open('a', 'w').close(); print(tried(os.rename, 'a', 'b'))")
    assert bench.end(process) == "Input/output error"
    assert armed.wait(WAIT_S)
    assert seen == [False]
    assert armed.trouble is not None
    assert "no" in armed.trouble


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"act": "explode"}, "there is no act 'explode'; it is one of kill, power, hold"),
        (
            {"act": "kill", "call": "renameat"},
            "there is no call 'renameat'; it is any or one of create, write",
        ),
        ({"act": "kill", "nth": 0}, "there is no call number 0"),
        ({"act": "kill", "sticky": True}, "'kill' strikes once"),
        (
            {"act": "emfile", "call": "rename"},
            "'rename' does not fail with 'emfile' in life; these do: create",
        ),
    ],
)
def test_rules_that_mean_nothing_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        Rule(**fields)  # type: ignore[arg-type]
    assert said in str(caught.value)
