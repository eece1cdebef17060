"""The nursery itself, run as a script: imports a server, then forks a child for each start.

Spoken over a Unix socket, a packet each: a request as JSON, with the child's output and error as file
descriptors along with it, then the answer as JSON. ``{"argv", "env", "cwd"}`` is answered by ``{"pid"}``, and
``{"reap": pid}`` by ``{"code"}``. With ``"entry"``, a script, and a third file descriptor, the child first
calls the script's ``enter`` with it. It ends when the socket does; its children go on.

Arguments: the socket's file descriptor, and the modules to import, the first of which holds ``main``. Besides
these, only the standard library is imported.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any

MESSAGE_BYTES = 1 << 20


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
        data, files, _, _ = socket.recv_fds(pipe, MESSAGE_BYTES, 3)
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
        if "entry" in request:
            runpy.run_path(request["entry"])["enter"](files.pop())
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
