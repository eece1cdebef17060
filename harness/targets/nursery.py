"""The nursery: a Python server that has imported everything already, and forks a real process for each start.

Importing a web framework takes some 300 ms; a run starts its registry hundreds of times. The nursery imports
the server once and waits; for each start it forks a child, which gets its own session, output and
environment, and then runs the server's ``main``. SIGKILL, SIGSTOP and crashes are as real as ever: only the
imports are saved. It is optional, and on any trouble (`NurseryError`) a plain start does the same.

This is the harness's side; `harness.targets.nursery_main` is the nursery itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.targets import nursery_main
from harness.targets.nursery_main import MESSAGE_BYTES
from harness.targets.process import Entry, clear_group
from harness.targets.reaper import REAPER, kill_group

ANSWER_LIMIT_S = 30.0


class NurseryError(Exception):
    """The nursery cannot start a process; start it plainly."""


class Nursery:
    """The harness's side. ``modules`` are imported, in order; the first one holds ``main``. Raises
    `NurseryError` where the system lacks what it needs."""

    def __init__(self, modules: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        if not hasattr(os, "pidfd_open") or not hasattr(socket, "send_fds"):
            raise NurseryError("needs Linux")
        self._lock = threading.Lock()
        self._module = modules[0].removesuffix(".__main__")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(ANSWER_LIMIT_S)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", nursery_main.__file__, str(theirs.fileno()), *modules],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            self._socket.close()
            raise NurseryError(str(error)) from None
        finally:
            theirs.close()
        REAPER.watch_process(self._popen.pid)

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        out: int,
        err: int,
        *,
        entry: Entry | None = None,
    ) -> Fledgling:
        """Start ``python -m package …``; `out` and `err` are file descriptors."""
        if list(argv[:3]) != [sys.executable, "-m", self._module]:
            raise NurseryError(f"preloaded for `python -m {self._module}` only")
        request = {"argv": list(argv[2:]), "env": dict(env), "cwd": str(cwd)}
        files = [out, err]
        if entry is not None:
            request["entry"] = str(entry.script)
            files.append(entry.fd)
        answer = self._ask(request, files)
        return Fledgling(int(answer["pid"]), self)

    def reap(self, pid: int) -> int:
        """The exit status of a child that ended, minus the signal's number where one ended it."""
        return int(self._ask({"reap": pid}, [])["code"])

    def close(self) -> None:
        """End the nursery; its children go on."""
        self._socket.close()
        if self._popen.poll() is None:
            kill_group(self._popen.pid)
            self._popen.wait()
        REAPER.forget_process(self._popen.pid)

    def _ask(self, request: Mapping[str, Any], files: list[int]) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], files)
                answer = json.loads(self._socket.recv(MESSAGE_BYTES) or b"{}")
            except (OSError, ValueError) as error:
                # An answer that comes late would be taken for the next one's.
                self._socket.close()
                raise NurseryError(str(error)) from None
        if not isinstance(answer, dict) or not answer:
            raise NurseryError("the nursery has ended")
        return answer


class Fledgling:
    """A process that the nursery forked; implements `harness.targets.process.Process`. It is the nursery's
    child, so its end is seen through a pidfd, and its status asked for."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self._pid = pid
        self._nursery = nursery
        self._code: int | None = None
        self._lock = threading.Lock()
        REAPER.watch_process(pid)
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError as error:
            kill_group(pid)
            raise NurseryError(str(error)) from None

    @property
    def pid(self) -> int:
        return self._pid

    def code(self) -> int | None:
        return self.wait(0.0)

    def wait(self, limit_s: float) -> int | None:
        if self._code is None:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if poller.poll(limit_s * 1000):
                self._ended()
        return self._code

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._pidfd)

    def _ended(self) -> None:
        with self._lock:
            if self._code is None:
                try:
                    self._code = self._nursery.reap(self._pid)
                except NurseryError:
                    self._code = -signal.SIGKILL
                clear_group(self._pid)
                REAPER.forget_process(self._pid)
