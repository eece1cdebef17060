from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.faults.syscall import Armed, Gate, Rule, available
from harness.targets.process import Child, Process, Start, kill

WAIT_S = 20.0


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            need(None if shutil.which(program) else f"{program} is not installed")


def need(why_not: str | None) -> None:
    """Skip a test of what is not available here; fail it where ``SEATRIAL_PEERS=required`` says so."""
    if why_not is not None:
        if os.environ.get("SEATRIAL_PEERS") == "required":
            pytest.fail(f"required here: {why_not}", pytrace=False)
        pytest.skip(why_not)


class Bench:
    """A gate over a folder, and small Python programs under it, whose working folder it is."""

    def __init__(self, root: Path, killable: bool = True) -> None:
        self.folder = root / "storage"
        self.folder.mkdir()
        self.outside = root / "outside"
        self.outside.mkdir()
        self.powered: list[str] = []
        self.killable = killable
        self.gate = Gate(self.folder, power=self._cut, killable=killable)
        self._files: dict[int, Path] = {}
        self._processes: list[Process] = []

    def start(self, code: str, *, by: str = "registry", start: Start = Child) -> Process:
        out = self.outside / f"out{len(self._processes)}"
        argv = [sys.executable, "-I", "-S", "-c", f"import os\n{code}"]
        with out.open("wb") as file:
            process = self.gate.through(start, by)(
                argv, {"HOME": "/nowhere"}, self.folder, file.fileno(), file.fileno()
            )
        self._files[process.pid] = out
        self._processes.append(process)
        return process

    def end(self, process: Process) -> str:
        """What it printed until its end."""
        assert process.wait(WAIT_S) is not None
        return self._files[process.pid].read_text().strip()

    def run(self, code: str, *rules: Rule) -> str:
        for rule in rules:
            self.gate.arm(rule)
        process = self.start(code)
        said = self.end(process)
        assert process.code() == 0, said
        return said

    def seen(self) -> list[str]:
        return [f"{point.group} {point.path}" for point in self.gate.points()]

    def _cut(self) -> None:
        self.powered.append(self.names())

    def names(self) -> str:
        return " ".join(sorted(os.listdir(self.folder)))

    def close(self) -> None:
        for process in self._processes:
            kill(process)
        self.gate.close()
        assert self.gate.trouble is None


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="seatrial-test-") as folder:
        yield Path(folder)


@pytest.fixture
def bench(root: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Its parameter: whether signals may not interrupt a call that waits (`Gate`)."""
    need(available())
    made = Bench(root, getattr(request, "param", True))
    yield made
    made.close()


def struck(armed: Armed) -> str:
    """Wait until a rule has struck; where."""
    assert armed.wait(WAIT_S), f"{armed.rule} matched {armed.matched} calls"
    assert armed.trouble is None
    assert armed.point is not None
    return f"{armed.point.group} {armed.point.path}"


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
