"""The registries that benches compare, each over a folder of its own on the same disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.registries import PROJECT, Distribution, Reference, Served

COLLECT_LIMIT_S = 1800.0


class CachedDistribution(Distribution):
    """With the descriptor cache in memory, as Debian configures it."""

    def _configuration(self, port: int) -> Path:
        path = super()._configuration(port)
        path.write_text(
            path.read_text().replace("storage:\n", "storage:\n  cache: {blobdescriptor: inmemory}\n")
        )
        return path


@dataclass(frozen=True, slots=True)
class Collected:
    """One run of a collector: seconds, and the peak of its resident memory in MiB."""

    took_s: float
    peak_mib: float


@dataclass(slots=True)
class Contestant:
    """A registry by its name, served or not."""

    name: str
    served: Served

    @property
    def place(self) -> str:
        return self.served.place

    @property
    def root(self) -> Path:
        return self.served.root

    def peak_mib(self) -> float:
        """The peak of resident memory since the last `forget_peak`, its worker processes included."""
        return sum(_status(pid, "VmHWM") for pid in self._pids()) / 1024

    def forget_peak(self) -> None:
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _pids(self) -> list[int]:
        assert self.served._child is not None
        return [self.served._child.pid, *_children(self.served._child.pid)]

    def collect(self) -> Collected:
        """Run its collector over its folder to the end; nobody serves it meanwhile."""
        if isinstance(self.served, Distribution):
            command = ["docker-registry", "garbage-collect", str(self.served._configuration(0))]
        else:
            command = [sys.executable, "-m", "reference_impl", "collect", "--root", str(self.root)]
        return _timed(command)


def contestants(folder: Path, names: Sequence[str], reference_options: Sequence[str]) -> list[Contestant]:
    made: list[Contestant] = []
    for name in names:
        root, log = folder / name, folder / f"{name}.log"
        root.mkdir(parents=True)
        if name == "reference":
            made.append(Contestant(name, Reference(root, log, *reference_options)))
        else:
            kind = CachedDistribution if name == "distribution-cached" else Distribution
            made.append(Contestant(name, kind(root, log)))
    return made


def _timed(command: Sequence[str]) -> Collected:
    begun_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - begun_s
    code = process.returncode = os.waitstatus_to_exitcode(status)
    assert code == 0, f"{command[0]} ended with {code}"
    return Collected(took_s, usage.ru_maxrss / 1024)


def _status(pid: int, key: str) -> int:
    """A line of ``/proc/<pid>/status``, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
