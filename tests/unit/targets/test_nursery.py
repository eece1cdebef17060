"""Preloaded servers: forked, but as real as others."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from harness.targets.base import TargetError
from harness.targets.command import CommandTarget
from harness.targets.description import CollectorCommand
from harness.targets.nursery import Nursery, NurseryError
from harness.targets.reaper import kill_group

from .conftest import FAKE, Make, alive, body, eventually

FOLDER = str(Path(FAKE).parent)


def preloaded(make: Make, *options: str, module: str = "fake_registry", **changes: object) -> CommandTarget:
    return make(
        command=("{python}", "-m", "fake_registry", "{port}", *options),
        env={"PYTHONPATH": f"{{packages}}:{FOLDER}", "GREETING": "child"},
        preload=(module,),
        **changes,
    )


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_starts_are_forked_and_killed_for_real(make: Make) -> None:
    target = preloaded(make)
    target.open()
    pids = []
    for _ in range(3):
        pids.append(int(body(target.url)))
        target.kill()
        assert not alive(pids[-1])
        target.start()
    pids.append(int(body(target.url)))
    assert len(set(pids)) == 4
    mother = parent(pids[-1])
    assert mother != os.getpid()
    assert os.getsid(pids[-1]) == pids[-1]
    assert "hello from the fake registry child" in target.log()
    target.pause()
    target.resume()
    target.restart()
    assert parent(int(body(target.url))) == mother
    last = int(body(target.url))
    target.close()
    assert not alive(last)
    assert not alive(mother)


def test_an_early_end_is_quoted(make: Make) -> None:
    target = preloaded(make, "--die", "no room at the inn")
    with pytest.raises(TargetError, match=r"ended with exit status 3 .*no room at the inn$"):
        target.open()


def test_a_module_that_cannot_be_imported_means_a_plain_start(make: Make) -> None:
    target = preloaded(make, module="no_such_module")
    target.open()
    assert parent(int(body(target.url))) == os.getpid()


def test_the_nursery_says_when_it_cannot(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "no_such_module"]
    nursery = Nursery(["no_such_module"], {}, tmp_path)
    try:
        for each in (argv, [sys.executable, "-m", "json"], ["true"]):
            with pytest.raises(NurseryError):
                nursery.spawn(each, {}, tmp_path, 1, 2)
    finally:
        nursery.close()


def test_a_dead_nursery_means_a_plain_start(make: Make) -> None:
    target = preloaded(make)
    target.open()
    pid = int(body(target.url))
    mother = parent(pid)
    kill_group(mother)
    assert eventually(lambda: not alive(mother))
    target.restart()
    assert not alive(pid)
    assert parent(int(body(target.url))) == os.getpid()


def test_a_collector_in_lockstep_is_forked_too(make: Make) -> None:
    target = preloaded(
        make,
        collector=CollectorCommand(
            ("{python}", "-m", "fake_registry", "0", "--die", "why"), removed={"hello": re.compile("^hello")}
        ),
    )
    target.open()
    seen: list[str] = []
    collected = target.collect(untagged=False, gate=seen.append)
    assert seen == ["hello from the fake registry child"]
    assert (collected.code, collected.lines, collected.removed) == (3, (*seen, "why"), 1)
