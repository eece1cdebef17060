"""Running other people's clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

LIMIT_S = 60.0


def run(
    *command: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    limit_s: float = LIMIT_S,
    also_errors: bool = False,
) -> bytes:
    """What a program printed; fails the test with its complaint unless it ended well."""
    ran = _run(command, cwd, env, stdin, limit_s)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stderr.decode(errors='replace')}"
    return ran.stdout + ran.stderr if also_errors else ran.stdout


def refused(*command: str, env: Mapping[str, str] | None = None) -> str:
    """The complaint of a program that must fail."""
    ran = _run(command, None, env, b"", LIMIT_S)
    assert ran.returncode != 0, f"{' '.join(command)} succeeded: {ran.stdout.decode(errors='replace')}"
    return ran.stderr.decode(errors="replace")


def lines(*command: str) -> list[str]:
    return run(*command).decode().split()


def _run(
    command: tuple[str, ...],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: bytes,
    limit_s: float,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=limit_s,
        check=False,
    )
