"""A Docker Engine of the test's own, which leaves nothing behind.

It lives in private mount and process namespaces: whatever ends it ends its containers, its containerd and
its mounts. What it writes outside its folders (keys, sockets, plug-ins) falls into file systems in memory
that only it sees. It makes no network: a container has none, and the daemon itself reaches the registries on
loopback.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.targets.host import WorkFolder
from harness.targets.process import Child, end, kill

from . import programs

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
CGROUPS = Path("/sys/fs/cgroup")
HIDDEN = ("/etc/docker", "/opt", "/run")
"""Where a daemon writes whatever its options say."""

_POLL_S = 0.01
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
_HIDE = "".join(f"if [ -d {path} ]; then mount -t tmpfs tmpfs {path}; fi; " for path in HIDDEN)
_OPTIONS = (
    "--bridge=none",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    "--ip-forward=false",
    "--ip-masq=false",
    "--ip6tables=false",
    "--iptables=false",
    "--storage-driver=vfs",  # works on any file system
    "--userland-proxy=false",
)


class Engine:
    def __init__(self, options: Sequence[str] = _OPTIONS) -> None:
        self._options = options
        self._work = WorkFolder()
        self.folder = self._work.path
        self.name = self.folder.name
        self._child: Child | None = None
        self._space = ""

    def start(self) -> Self:
        (self.folder / "daemon.json").write_text("{}")
        arguments = [
            "dockerd",
            f"--config-file={self.folder}/daemon.json",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--host=unix://{self.folder}/socket",
            f"--pidfile={self.folder}/pid",
            f"--cgroup-parent=/{self.name}",
            *self._options,
        ]
        command = [*_UNSHARE, "sh", "-ec", f'{_HIDE} exec "$@"', *arguments[:1], *arguments]
        with (self.folder / "log").open("wb") as file:
            self._child = Child(command, os.environ, self.folder, file.fileno(), file.fileno())
        limit = time.monotonic() + START_LIMIT_S
        while "API listen on" not in self.log():
            assert self._child.code() is None, self.log()[-4000:]
            assert time.monotonic() < limit, f"dockerd does not answer: {self.log()[-4000:]}"
            time.sleep(_POLL_S)
        self._space = _space(self._child.pid)
        return self

    def docker(self, *args: str, stdin: bytes = b"") -> str:
        return programs.run("docker", *args, env=self.environment, stdin=stdin).decode().strip()

    def refused(self, *args: str) -> str:
        return programs.refused("docker", *args, env=self.environment)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def processes(self) -> list[int]:
        """The ids of all processes in the engine's mount namespace; none once it has ended."""
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in numbers if self._space and _space(pid) == self._space]

    def kill(self) -> None:
        """End it without a word, as when the test's process is killed; returns when all is gone."""
        if self._child is not None:
            kill(self._child)
            self._child = None
        limit = time.monotonic() + STOP_LIMIT_S
        while left := self.processes():
            assert time.monotonic() < limit, f"processes {left} do not end"
            time.sleep(_POLL_S)

    def close(self) -> None:
        try:
            if self._child is not None:
                # unshare itself passes no signal on; the group's does reach the daemon.
                assert end(self._child, signal.SIGTERM, STOP_LIMIT_S), "dockerd does not stop"
        finally:
            self.kill()
            self._remove_cgroups()
            self._work.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find the engine."""
        return {
            "DOCKER_HOST": f"unix://{self.folder}/socket",
            "DOCKER_CONFIG": str(self.folder / "client"),
            "DOCKER_BUILDKIT": "0",
        }

    def _remove_cgroups(self) -> None:
        for folder in cgroups(self.name):
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def cgroups(name: str) -> list[Path]:
    """The control groups of an engine, in a folder for each controller (version 1) or in one (version 2)."""
    return [path for path in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if path.is_dir()]


def static_program() -> Path:
    """A program of this machine that needs no library, for images that have none."""
    found = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    assert found is not None, "no ldconfig here"
    return Path(found)


def _space(pid: int) -> str:
    """The mount namespace of a process; empty when it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""
