"""The reference under strace: every path that any of its system calls names, of all that only look too."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .audited import MODULES, PROJECT

MARK = "strace-begins-here"
"""A repository: what comes after its first mention is looked at."""
_CALL = re.compile(r"^\d+ +(?P<call>\w+)\((?P<arguments>.*)$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ALLOWED = ("/proc/self/", "/proc/sys/vm/overcommit_memory", "/dev/null")
"""What the C library looks at by itself."""


def program(output: Path) -> tuple[str, ...]:
    options = ("-f", "-qq", "-e", "trace=%file", "-e", "signal=none", "-s", "5000", "-o", str(output))
    return ("strace", *options, sys.executable, "-m", "reference_impl")


def outside(output: Path, root: Path) -> tuple[list[str], int]:
    """Return the calls that name a path outside of the root, and how many paths were looked at."""
    found, seen = [], 0
    allowed = (f"{root}/", f"{PROJECT}/reference_impl", *MODULES, *_ALLOWED)
    for call, path in _paths(output):
        seen += 1
        normal = os.path.normpath(path)
        if not normal.startswith(allowed) and normal != str(root):
            found.append(f"{call} {path}")
    return found, seen


def _paths(output: Path) -> Iterator[tuple[str, str]]:
    begun = False
    for line in output.read_text(errors="replace").splitlines():
        begun = begun or MARK in line
        call = _CALL.match(line)
        if begun and call is not None:
            for text in _TEXT.findall(call["arguments"]):
                if text:  # without one it is about an open file
                    yield call["call"], text
