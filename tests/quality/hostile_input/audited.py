"""``python -m tests.quality.hostile_input.audited REPORT ROOT serve …``: the reference, watched.

From the moment it has a port, REPORT gets a line for each thing done to a path outside of ROOT, and for each
program started or connection made; at the end it says how many paths were looked at.  Reading Python's
modules is allowed: some are loaded when they are first wanted.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

PATHS: dict[str, tuple[int, ...]] = {
    "open": (0,),
    "os.listdir": (0,),
    "os.scandir": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.utime": (0,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.chdir": (0,),
    "os.setxattr": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
    "shutil.copyfile": (0, 1),
}
"""Audit events of Python, and which of their arguments are paths.  There is none for looking at a file."""
READING = frozenset({"open", "os.listdir", "os.scandir"})
NEVER = frozenset(
    {
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"),
        *("socket.connect", "ctypes.dlopen"),
    }
)
MODULES = tuple(
    f"{os.path.realpath(folder)}/"
    for folder in {*(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
)
PROJECT = Path(__file__).parents[3]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Watch:
    def __init__(self, report: str, root: str) -> None:
        self._fd = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._root = root
        self._modules = (*MODULES, f"{PROJECT}/reference_impl")
        self._armed = False
        self.seen = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.bind":
            self._armed = True
        if not self._armed:
            return
        if event in NEVER:
            self.say(f"{event} {arguments!r:.200}")
        for index in PATHS.get(event, ()):
            path = arguments[index]
            if isinstance(path, int) or path is None:
                continue
            self.seen += 1
            full = os.path.abspath(os.fsdecode(path))
            if full != self._root and not full.startswith(f"{self._root}/"):
                writing = event not in READING or (event == "open" and bool((arguments[2] or 0) & _WRITING))
                if writing or not full.startswith(self._modules):
                    self.say(f"{event} {full!r}")

    def say(self, text: str) -> None:
        os.write(self._fd, text.encode("utf-8", "backslashreplace") + b"\n")


def main() -> int:
    report, root, *arguments = sys.argv[1:]
    watch = Watch(report, root)
    sys.addaudithook(watch)
    from reference_impl.commands import main as reference

    try:
        return reference(arguments)
    finally:
        watch.say(f"seen {watch.seen}")


if __name__ == "__main__":
    sys.exit(main())
