"""The nursery: a Python server that has imported everything already, and forks a real process for each start.

Importing a web framework takes some 300 ms; a run starts its registry hundreds of times. The nursery imports
the server once and waits; for each start it forks a child, which gets its own session, output and
environment, and then runs the server's ``main``. SIGKILL, SIGSTOP and crashes are as real as ever: only the
imports are saved. It is optional, and on any trouble (`NurseryError`) a plain start does the same.

The protocol, over a Unix socket: one JSON object for each request, the child's output and error as file
descriptors along with it, and one line of JSON in answer. ``{"argv", "env", "cwd"}`` → ``{"pid"}``;
``{"reap": pid}`` → ``{"code"}``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.targets.process import clear_group
from harness.targets.reaper import REAPER, kill_group

MESSAGE_BYTES = 1 << 20
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
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(ANSWER_LIMIT_S)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), *modules],
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

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, out: int, err: int) -> Fledgling:
        """Start ``python -m package …``; `out` and `err` are file descriptors."""
        if list(argv[:2]) != [sys.executable, "-m"]:
            raise NurseryError("only `python -m …` can be preloaded")
        answer = self._ask({"argv": list(argv[2:]), "env": dict(env), "cwd": str(cwd)}, [out, err])
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
            with self._lock:
                if self._code is not None:
                    return self._code
                poller.register(self._pidfd, select.POLLIN)
            if poller.poll(limit_s * 1000):
                self._ended()
        return self._code

    def _ended(self) -> None:
        with self._lock:
            if self._code is None:
                try:
                    self._code = self._nursery.reap(self._pid)
                except NurseryError:
                    self._code = -signal.SIGKILL
                clear_group(self._pid)
                REAPER.forget_process(self._pid)
                os.close(self._pidfd)


# --- the nursery's own side


def main() -> None:
    pipe = socket.socket(fileno=int(sys.argv[1]))
    for number, module in enumerate(sys.argv[2:]):
        try:
            importlib.import_module(module)
        except ImportError:
            if number == 0:
                raise
    gc.freeze()
    while True:
        data, files, _, _ = socket.recv_fds(pipe, MESSAGE_BYTES, 2)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])}
        else:
            pid = os.fork()
            if pid == 0:
                pipe.close()
                _live(sys.argv[2], request, files)
            answer = {"pid": pid}
        for file in files:
            os.close(file)
        pipe.send(json.dumps(answer).encode())


def _live(module: str, request: Mapping[str, Any], files: list[int]) -> None:
    """The child's life; does not return."""
    code = 1
    try:
        os.setsid()
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        for file in files:
            os.close(file)
        # Line by line, and each line in one write(2): a collector in lockstep depends on it.
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv = request["argv"]
        entry = getattr(sys.modules[module], "main", None)
        if entry is None:
            runpy.run_module(request["argv"][0], run_name="__main__", alter_sys=True)
        result = entry() if entry is not None else 0
        code = result if isinstance(result, int) else 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
