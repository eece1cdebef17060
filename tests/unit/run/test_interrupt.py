"""A Ctrl-C that Python drops still ends the run, at the next plan at the latest."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

from harness.cli.base import INTERRUPTED, Commands
from harness.history import Abilities, Promises
from harness.plan.operation import Operation
from harness.plan.plan import Plan
from harness.run import interrupt
from harness.run.options import Options
from harness.run.trial import Trial
from harness.wire import Client
from tests.unit.run.registry import MemoryTarget

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 120.0


@pytest.fixture
def target() -> Iterator[MemoryTarget]:
    made = MemoryTarget()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """SIGINT is heeded; what is started in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """The kinds of exceptions that Python drops during a test."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: found.append(unraisable.exc_type))
    return found


def lose() -> None:
    """Have SIGINT come in a callback of Python's garbage collector, as Hypothesis has one."""

    def callback(phase: str, info: object) -> None:
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()


class Loser:
    """A pytest plugin: SIGINT comes right before a property is tried, and is dropped."""

    def pytest_runtest_call(self) -> None:
        lose()


def test_no_plan_begins_after_it(target: MemoryTarget, dropped: list[type[BaseException]]) -> None:
    abilities = Abilities(frozenset({"push", "oci"}), frozenset())
    promises = Promises(collection="none")
    trial = Trial(target, Options(), promises, abilities, {}, lambda _: Client(target.url))
    plan = Plan((Operation("list", 1, "tags.list", {"repo": "r"}),))

    @interrupt.remembered()
    def plans() -> None:
        trial.run(plan)
        lose()
        trial.run(plan)

    with pytest.raises(KeyboardInterrupt):
        plans()
    assert dropped == [KeyboardInterrupt]
    assert trial.executions == 1


def test_one_in_the_last_plan_is_said_at_the_end(dropped: list[type[BaseException]]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.remembered():
        lose()
    assert dropped == [KeyboardInterrupt]


def test_one_that_is_not_lost_comes_at_once_and_only_once() -> None:
    reached = []

    @interrupt.remembered()
    def plans() -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("after the signal")

    with pytest.raises(KeyboardInterrupt):
        plans()
    assert not reached
    interrupt.check()


def test_afterwards_the_signal_does_what_it_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupt.remembered():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_what_ignores_it_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt.remembered():
        signal.raise_signal(signal.SIGINT)
        interrupt.check()


def test_a_thread_may_run_plans() -> None:
    through = []

    def run() -> None:
        with interrupt.remembered():
            through.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT_S)
    assert through


def test_a_command_says_that_it_was_interrupted(dropped: list[type[BaseException]]) -> None:
    made = CliRunner().invoke(Commands("seatrial", commands=[Command("lose", callback=lose)]), ["lose"])
    assert made.exit_code == INTERRUPTED
    assert made.stderr == "seatrial: interrupted\n"
    assert dropped == [KeyboardInterrupt]


def test_pytest_harness_ends_with_its_code_for_it(tmp_path: Path) -> None:
    code = (
        "import pytest, sys; from tests.unit.run.test_interrupt import Loser;"
        " sys.exit(pytest.main(sys.argv[1:], plugins=[Loser()]))"
    )
    arguments = ["harness", "--tiers", "wire", "--budget", "8s", "--out", str(tmp_path)]
    made = subprocess.run(
        ["env", "--default-signal=INT", sys.executable, "-c", code, "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert made.returncode == pytest.ExitCode.INTERRUPTED, made.stdout[-4000:]
    assert "KeyboardInterrupt" in made.stdout
    written = json.loads((tmp_path / "findings.json").read_text())
    assert sum(row["plans"] for row in written["properties"]) == 0
