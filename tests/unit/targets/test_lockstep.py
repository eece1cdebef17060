"""A collector stands still where it is held."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from harness.targets import lockstep
from harness.targets.base import LineGate, TargetError
from harness.targets.lockstep import Pipe, Printed

from .conftest import alive, eventually

COLLECTOR = """
import os, sys
progress = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
for number in range(1, 1001):
    os.write(1, b"line %d\\n" % number)
    os.pwrite(progress, b"%6d" % number, 0)
"""


def run(script: str, *arguments: str, gate: LineGate | None = None, limit_s: float = 20.0) -> Printed:
    pids: list[int] = []
    try:
        with tempfile.TemporaryFile() as stderr:
            return lockstep.run(
                [sys.executable, "-I", "-S", "-c", script, *arguments],
                env=dict(os.environ),
                cwd=Path.cwd(),
                stderr=stderr,
                limit_s=limit_s,
                gate=gate,
                started=pids.append,
            )
    finally:
        assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("held", [1, 2, 500, 999])
def test_a_held_line_stops_the_collector(tmp_path: Path, held: int) -> None:
    progress, reached = tmp_path / "progress", []

    def gate(line: str) -> None:
        if line == f"line {held}":
            pid = int(next(iter(pids)))
            # Blocked in the write of the next line, or (which is the failure) run to its end.
            assert eventually(lambda: _state(pid) in "SZ" and progress.exists())
            assert eventually(lambda: int(progress.read_text() or 0) >= held)
            assert eventually(lambda: _state(pid) in "SZ")
            reached.append(int(progress.read_text()))

    pids: list[int] = []
    with tempfile.TemporaryFile() as stderr:
        printed = lockstep.run(
            [sys.executable, "-I", "-S", "-c", COLLECTOR, str(progress)],
            env=dict(os.environ),
            cwd=tmp_path,
            stderr=stderr,
            limit_s=20.0,
            gate=gate,
            started=pids.append,
        )
    assert reached == [held]
    assert printed == Printed(0, tuple(f"line {number}" for number in range(1, 1001)), ())


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_this_machine_gives_the_exact_guarantee() -> None:
    pipe = Pipe()
    pipe.close()
    assert pipe.guarantee == "exact"


@pytest.mark.parametrize("lacking", ["tee", "packets"])
def test_weaker_pipes_still_deliver_every_line(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if lacking == "tee":
        monkeypatch.setattr(lockstep, "_tee", lambda: None)
    else:
        monkeypatch.delattr(os, "pipe2")
    pipe = Pipe()
    pipe.close()
    assert pipe.guarantee == {"tee": "one line", "packets": "one page"}[lacking]
    seen: list[str] = []
    printed = run("for n in range(300): print(n, flush=True)", gate=seen.append)
    assert seen == [str(n) for n in range(300)] == list(printed.out)


@pytest.mark.parametrize(
    ("writes", "lines"),
    [
        (["a\nb\nc\n"], ("a", "b", "c")),
        (["ab", "c\nd", "e\n"], ("abc", "de")),
        (["a\n", "no end"], ("a", "no end")),
        (["\n3 blobs marked\n"], ("", "3 blobs marked")),
        (["a\r\nb\n"], ("a", "b")),
        (["x" * 10_000 + "\n", "y\n"], ("x" * 10_000, "y")),
        ([], ()),
    ],
)
@pytest.mark.parametrize("gated", [True, False])
def test_lines_are_put_together(writes: list[str], lines: tuple[str, ...], gated: bool) -> None:
    seen: list[str] = []
    script = f"import os\nfor each in {writes!r}: os.write(1, each.encode())"
    printed = run(script, gate=seen.append if gated else None)
    assert printed.out == lines
    assert tuple(seen) == (lines if gated else ())


def test_undecodable_lines_do_no_harm() -> None:
    assert run(r"import os; os.write(1, b'\xff\xfe\n')").out == ("��",)


def test_stderr_is_kept_apart_and_may_be_long() -> None:
    printed = run("import sys; print('out'); sys.stderr.write('err\\n' * 50000); sys.exit(3)")
    assert (printed.code, printed.out, len(printed.err)) == (3, ("out",), 50000)


def test_a_gate_that_raises_ends_the_collector() -> None:
    def gate(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="first"):
        run("import signal; print('first', flush=True); signal.pause()", gate=gate)


@pytest.mark.parametrize(
    "script",
    [
        "import signal; print('a', flush=True); signal.pause()",
        "import signal, os; print('a', flush=True); os.close(1); signal.pause()",
        "while True: print('a', flush=True)",
    ],
)
def test_the_limit_kills(script: str) -> None:
    printed = run(script, limit_s=0.3)
    assert printed.timed_out
    assert printed.code == -signal.SIGKILL
    assert printed.out[0] == "a"


def test_a_grandchild_that_keeps_the_pipe_open_does_not_matter(tmp_path: Path) -> None:
    script = f"""
import os, signal
if os.fork() == 0:
    open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
    os.rename({str(tmp_path / "pid")!r}, {str(tmp_path / "grandchild")!r})
    signal.pause()
while not os.path.exists({str(tmp_path / "grandchild")!r}): pass
os.write(1, b"done\\n")
os._exit(0)
"""
    assert run(script) == Printed(0, ("done",), ())
    assert eventually(lambda: not alive(int((tmp_path / "grandchild").read_text())))


def test_a_missing_collector_is_named() -> None:
    with (
        tempfile.TemporaryFile() as stderr,
        pytest.raises(TargetError, match="'/no/collector' cannot be started"),
    ):
        lockstep.run(["/no/collector"], env={}, cwd=Path("/"), stderr=stderr, limit_s=1.0)
