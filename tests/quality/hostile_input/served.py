"""A served registry in a process of its own, and what that process uses."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[3]
_START_LIMIT_S = 60.0
_QUIET_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the process: what it has in memory now, what it had at most since `Served.forget_peak`."""

    resident_bytes: int
    peak_bytes: int
    threads: int
    files: int


class Served:
    """``through``: a program that runs the server; ``log`` gets its standard error."""

    def __init__(self, arguments: Sequence[str], log: Path, through: Sequence[str] | None = None) -> None:
        program = through or (sys.executable, "-m", "reference_impl")
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*program, "serve", "--port", "0", *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=PROJECT,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on http://"):
            self.stop()
            raise AssertionError(f"the server does not start: {line}{log.read_text()[-500:]}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        """Of the server, also where another program runs it as its child."""
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(children[0]) if children else own

    def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.pid, signal.SIGTERM)
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._process.communicate()
        return self._process.returncode

    # -- what it uses ----------------------------------------------------------------------

    def usage(self) -> Usage:
        status = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        kib = {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}
        files = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        return Usage(kib["VmRSS"] << 10, kib["VmHWM"] << 10, int(fields["Threads"]), files)

    def quiet_usage(self, files: int = 0) -> Usage:
        """What it uses once it has noticed that all clients are gone: ``files`` are open then."""
        end = time.monotonic() + _QUIET_LIMIT_S
        while (found := self.usage()).files > files and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
