"""Programs that are there as Go modules: built once, and kept in the user's cache folder.

Without Go their tests are skipped.  Where peers are required, one that Go cannot build fails its tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

BUILD_LIMIT_S = 1200.0


@cache
def go_program(package: str, version: str, name: str = "") -> Path:
    """Return the program of a package, ``host/path``, at a version of its module; ``name`` it so."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"Go, to build {package} with, is not installed")
    folder = _cache() / f"{package}@{version}".replace("/", "_")
    built = folder / package.rpartition("/")[2]
    program = folder / (name or built.name)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # of several workers one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(go, f"{package}@{version}", folder)
            built.rename(program)
    return program


def _build(go: str, target: str, folder: Path) -> None:
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "", "CGO_ENABLED": "0"}
    try:
        ran = subprocess.run(
            [go, "install", target],
            env=environment, cwd=folder, capture_output=True, text=True, timeout=BUILD_LIMIT_S, check=False,
        )  # fmt: skip
        complaint = "" if ran.returncode == 0 else ran.stderr[-2000:]
    except subprocess.TimeoutExpired:
        complaint = f"not built after {BUILD_LIMIT_S:.0f} s"
    if complaint:
        told = f"go install {target}: {complaint}"
        if os.environ.get("SEATRIAL_PEERS") == "required":
            pytest.fail(told, pytrace=False)
        pytest.skip(told)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial" / "go"
