"""Running a registry's collector: line by line, within its limit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.targets import lockstep
from harness.targets.base import Collected, LineGate
from harness.targets.description import CollectorCommand
from harness.targets.process import Spawn
from harness.targets.reaper import kill_group


class Collector:
    """The runs of one target's collector."""

    def __init__(self, command: CollectorCommand) -> None:
        self.command = command
        self._running: set[int] = set()

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        work: Path,
        spawn: Spawn,
        gate: LineGate | None,
    ) -> Collected:
        """One that runs longer than its limit is killed; its code is then negative and its last line says
        so. Raises `OSError`, `TargetError`."""
        pid = 0

        def started(number: int) -> None:
            nonlocal pid
            pid = number
            self._running.add(number)

        try:
            with tempfile.TemporaryFile(dir=work) as stderr:
                printed = lockstep.run(
                    argv,
                    env=env,
                    cwd=work,
                    stderr=stderr,
                    limit_s=self.command.limit_s,
                    gate=gate,
                    started=started,
                    spawn=spawn,
                )
        finally:
            self._running.discard(pid)
        lines = printed.out + printed.err
        if printed.timed_out:
            lines += (f"killed after {self.command.limit_s:g} s",)
        return Collected(printed.code, lines, removed_by(self.command.removed, printed.out))

    def kill(self) -> None:
        """End the runs under way."""
        for pid in list(self._running):
            kill_group(pid)


def removed_by(patterns: Mapping[str, re.Pattern[str]], lines: Sequence[str]) -> int | None:
    """How many objects the lines say were removed (`CollectorCommand.removed`); ``None`` without patterns."""
    if not patterns:
        return None
    count = 0
    for line in lines:
        for pattern in patterns.values():
            if found := pattern.search(line):
                count += sum(int(each) for each in found.groups() if each) if pattern.groups else 1
    return count
