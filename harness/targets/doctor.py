"""What this machine and a target allow: the data behind ``seatrial doctor``."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.history import ABILITIES
from harness.targets import engine
from harness.targets.base import Target, TargetError
from harness.targets.controls import CONTROLS
from harness.targets.docker import DockerTarget
from harness.targets.host import SHARED_MEMORY, roomy
from harness.targets.load import find_description, names
from harness.targets.lockstep import Pipe
from harness.targets.probe import Probed

VERSION_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """``about``: ``machine``, ``catalogue``, ``control`` or ``ability``. ``note``: what it is good for and
    which one it is; where it is not available, why not and what would allow it."""

    about: str
    what: str
    available: bool
    note: str


def machine() -> list[Row]:
    """What this machine has. Starts a few programs for their versions; never raises."""
    return [
        Row("machine", "python", True, f"{platform.python_version()} at {sys.executable}"),
        _packet_pipe(),
        _shared_memory(),
        _pidfd(),
        _root(),
        *(_program(name, option, use, how) for name, option, use, how in _PROGRAMS),
        _docker_engine(),
    ]


def catalogue() -> list[Row]:
    """Which targets of the catalogue can be started here."""
    rows = []
    for name in names():
        try:
            description = find_description(name)
        except TargetError as error:
            rows.append(Row("catalogue", name, False, str(error)))
            continue
        if description.container is not None:
            rows.append(Row("catalogue", name, True, f"{description.title}: see docker engine"))
            continue
        command = description.command[0]
        found = command == "{python}" or shutil.which(command) is not None
        how = f"; install it: {description.install}" if description.install else ""
        note = description.title if found else f"there is no command {command!r} on this machine{how}"
        rows.append(Row("catalogue", name, found, note))
    return rows


def target(opened: Target, probed: Probed) -> list[Row]:
    """Which controls and abilities a target has, what is skipped without them, and what would allow it."""
    rows = []
    for name, control in CONTROLS.items():
        has = name in opened.controls
        rows.append(Row("control", name, has, control.use if has else f"skipped; {control.how}"))
    for ability, doc in ABILITIES.items():
        reason = probed.reasons.get(ability, "not probed")
        note = doc if ability in probed.supports else f"skipped; {reason}"
        rows.append(Row("ability", ability, ability in probed.supports, note))
    return rows


_PROGRAMS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("docker-registry", ("--version",), "the target distribution-2.8", "apt-get install docker-registry"),
    ("skopeo", ("--version",), "tests among peers", "apt-get install skopeo"),
    (
        "crane",
        ("version",),
        "tests among peers",
        "see github.com/google/go-containerregistry",
    ),
    ("strace", ("--version",), "a look at what a collector does", "apt-get install strace"),
)
"""Program, how to ask its version, what it is good for, where it comes from."""


def _program(name: str, option: tuple[str, ...], use: str, how: str) -> Row:
    path = shutil.which(name)
    if path is None:
        return Row("machine", name, False, f"{how}: for {use}")
    said = _first_line([path, *option])
    return Row("machine", name, True, f"{path}{f' ({said})' if said else ''}: {use}")


def _docker_engine() -> Row:
    try:
        version = engine.version()
    except TargetError as error:
        return Row("machine", "docker engine", False, f"{error}: for registries in containers")
    note = f"{version} at {engine.address()}: registries in containers; {DockerTarget.HOLDS}"
    return Row("machine", "docker engine", True, note)


def _packet_pipe() -> Row:
    pipe = Pipe()
    pipe.close()
    note = {
        "exact": "a held collector stops before its next line",
        "one line": "no tee(2): a held collector may run one line ahead",
        "one page": "no packet pipes (Linux has them): a held collector may run a page of lines ahead",
    }[pipe.guarantee]
    return Row("machine", "packet pipe", pipe.guarantee == "exact", note)


def _shared_memory() -> Row:
    if roomy(SHARED_MEMORY):
        free = shutil.disk_usage(SHARED_MEMORY).free >> 30
        return Row("machine", str(SHARED_MEMORY), True, f"{free} GiB free: storage of owned targets")
    return Row(
        "machine", str(SHARED_MEMORY), False, "not there, or less than 1 GiB free: storage goes to TMPDIR"
    )


def _pidfd() -> Row:
    if hasattr(os, "pidfd_open"):
        return Row("machine", "pidfd", True, "quick restarts of Python servers")
    return Row(
        "machine", "pidfd", False, "needs Linux 5.3: each start of a Python server imports everything anew"
    )


def _root() -> Row:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Row("machine", "root", True, "loop devices and mounts, where the kernel has them")
    return Row("machine", "root", False, "not root: no loop devices, no mounts")


def _first_line(argv: list[str]) -> str | None:
    """The first line that a command prints, ``None`` where it fails."""
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_LIMIT_S,
            check=True,
            cwd=Path("/"),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = ended.stdout.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else None
