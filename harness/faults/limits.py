"""Limits of a running process: how many files it may open more, how much memory it may use more."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from harness.targets.base import TargetError

MIB = 1 << 20


class Limits:
    """The limits of one process; `heal` gives it back what it had. Raises `TargetError`, one line."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._had: dict[int, tuple[int, int]] = {}

    def files(self, more: int) -> None:
        """It may open so many files more than it has open now (the next numbers are counted, so a gap in them
        gives it a few more)."""
        try:
            numbers = [int(name) for name in os.listdir(f"/proc/{self.pid}/fd")]
        except (OSError, ValueError) as error:
            raise TargetError(f"the open files of process {self.pid} cannot be counted: {error}") from None
        self._limit(resource.RLIMIT_NOFILE, max(numbers, default=2) + 1 + more)

    def memory(self, more_mib: int) -> None:
        """Its address space may grow by so many MiB."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[0])
        except (OSError, ValueError, IndexError) as error:
            raise TargetError(f"the memory of process {self.pid} cannot be read: {error}") from None
        self._limit(resource.RLIMIT_AS, pages * resource.getpagesize() + more_mib * MIB)

    def heal(self) -> None:
        """Does nothing where it has ended."""
        for which, had in self._had.items():
            try:
                resource.prlimit(self.pid, which, had)
            except OSError:
                continue
        self._had.clear()

    def _limit(self, which: int, soft: int) -> None:
        try:
            had = resource.prlimit(self.pid, which)
            self._had.setdefault(which, had)
            hard = had[1]
            limit = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
            resource.prlimit(self.pid, which, (limit, hard))
        except OSError as error:
            raise TargetError(f"process {self.pid} cannot be limited: {error.strerror}") from None


def available() -> str | None:
    """``None`` where limits can be set, else why not, in a line."""
    if sys.platform != "linux" or not hasattr(resource, "prlimit"):
        return f"limits of a running process need prlimit(2): Linux, not {sys.platform}"
    return None
