"""The reaper: a small process that ends what a dead harness left behind.

A harness that is killed cannot clean up after itself. The reaper is told of each process group, each mount,
each folder, each label of containers and each name of proxies that the harness makes; when its standard input
ends, because the harness closed it or died in any way, it kills the groups that are still there, removes what
is named so from its Docker engine and its Toxiproxy, unmounts, and removes the folders. (PR_SET_PDEATHSIG
would do for processes, but it fires when the starting *thread* ends, and leaves folders, which may be in
memory, behind.)

This file is both sides: imported, it is the harness's side; run as a script, it is the reaper. The script
must not import anything but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from typing import IO

REMOVAL_LIMIT_S = 5.0
ENGINE_LIMIT_S = 60.0
ENGINE_SETTLES_S = 1.0
_MNT_DETACH = 2


class Reaper:
    """The harness's side. One for each harness process; started with the first thing to remember."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, None] = {}
        self._pipe: IO[bytes] | None = None
        self._pid = 0

    def watch_process(self, pid: int) -> None:
        """Remember a process that leads its own process group."""
        self._add(f"p{pid}")

    def forget_process(self, pid: int) -> None:
        """It ended and was waited for: its number may be somebody else's from now on."""
        self._drop(f"p{pid}")

    def watch_mount(self, path: str) -> None:
        """Remember a mount point; a loop device behind it detaches itself with the mount."""
        self._add(f"m{path}")

    def forget_mount(self, path: str) -> None:
        self._drop(f"m{path}")

    def watch_folder(self, path: str) -> None:
        self._add(f"d{path}")

    def forget_folder(self, path: str) -> None:
        self._drop(f"d{path}")

    def watch_label(self, address: str, label: str) -> None:
        """Remember what has a label in the Docker engine at an address, see `clear_engine`."""
        self._add(f"c{address} {label}")

    def forget_label(self, address: str, label: str) -> None:
        self._drop(f"c{address} {label}")

    def watch_proxies(self, address: str, prefix: str) -> None:
        """Remember the proxies in somebody's Toxiproxy whose names begin so."""
        self._add(f"t{address} {prefix}")

    def forget_proxies(self, address: str, prefix: str) -> None:
        self._drop(f"t{address} {prefix}")

    def _add(self, entry: str) -> None:
        with self._lock:
            self._entries[entry] = None
            self._tell([f"+{entry}"])

    def _drop(self, entry: str) -> None:
        with self._lock:
            if entry in self._entries:
                del self._entries[entry]
                self._tell([f"-{entry}"])

    def _tell(self, lines: list[str]) -> None:
        if self._pid != os.getpid():
            # First use, or first use in a forked child, whose parent's reaper is not its own.
            if self._pid:
                self._entries = {line[1:]: None for line in lines if line.startswith("+")}
            self._start()
            return
        try:
            self._write(lines)
        except OSError:
            self._start()

    def _start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        # It outlives this object on purpose; nobody waits for it.
        process.returncode = 0
        self._pipe, self._pid = process.stdin, os.getpid()
        self._write([f"+{entry}" for entry in self._entries])

    def _write(self, lines: list[str]) -> None:
        assert self._pipe is not None
        for line in lines:
            os.write(self._pipe.fileno(), line.encode(errors="surrogateescape") + b"\n")


REAPER = Reaper()


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to the process group that `pid` leads; nothing when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def remove_folder(path: str, limit_s: float = REMOVAL_LIMIT_S) -> None:
    """Remove a tree that a dying process may still be writing to. Never raises."""
    end = time.monotonic() + limit_s
    while os.path.lexists(path):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path) or time.monotonic() > end:
            return
        time.sleep(0.01)


def detach_mount(path: bytes) -> None:
    """Unmount, as soon as nobody uses it any more. Never raises."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).umount2(path, _MNT_DETACH)


def clear_engine(address: str, label: str, limit_s: float = ENGINE_LIMIT_S) -> bool:
    """Remove the containers, networks and volumes that have a label; whether none is left. Never raises.

    ``address``: ``unix:///path`` or ``tcp://host:port`` of a Docker engine. Gives up at once where no engine
    listens.
    """
    end = time.monotonic() + limit_s
    while True:
        try:
            if not _remove_labelled(address, label, limit_s):
                return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (OSError, ValueError, TypeError, KeyError, http.client.HTTPException):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.05)


_KINDS = (
    ("/containers/json?all=1&", "/containers/", "?force=1&v=1", "Id"),
    ("/networks?", "/networks/", "", "Id"),
    ("/volumes?", "/volumes/", "?force=1", "Name"),
)
"""How each kind is listed and removed, and the key of its identifier (Docker Engine API, since 1.24)."""


def _remove_labelled(address: str, label: str, limit_s: float) -> int:
    """How many were there, each of which was asked to go."""
    count = 0
    filters = urllib.parse.urlencode({"filters": json.dumps({"label": [label]})})
    for listing, place, options, key in _KINDS:
        found = json.loads(_ask(address, "GET", listing + filters, limit_s))
        for one in (found.get("Volumes") or ()) if isinstance(found, dict) else found or ():
            _ask(address, "DELETE", f"{place}{one[key]}{options}", limit_s)
            count += 1
    return count


def _ask(address: str, method: str, path: str, limit_s: float) -> bytes:
    url = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "localhost", url.port, timeout=limit_s)
    try:
        if url.scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(limit_s)
            connection.sock.connect(url.path)
        connection.request(method, path)
        answer = connection.getresponse()
        if method == "GET" and answer.status != http.client.OK:
            raise http.client.HTTPException(f"{path}: status {answer.status}")
        return answer.read()
    finally:
        connection.close()


def clear_proxies(address: str, prefix: str, limit_s: float = REMOVAL_LIMIT_S) -> None:
    """Remove the proxies whose names begin so from the Toxiproxy at ``http://host:port``. Never raises."""
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        for name in json.loads(_ask(address, "GET", "/proxies", limit_s)):
            if name.startswith(prefix):
                _ask(address, "DELETE", f"/proxies/{name}", limit_s)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    entries: dict[bytes, None] = {}
    for line in sys.stdin.buffer:
        entry = line[1:].rstrip(b"\n")
        if line.startswith(b"+"):
            entries[entry] = None
        else:
            entries.pop(entry, None)
    for entry in entries:
        if entry.startswith(b"p"):
            kill_group(int(entry[1:]))
    for entry in entries:
        if entry.startswith(b"t"):
            address, _, prefix = os.fsdecode(entry[1:]).partition(" ")
            clear_proxies(address, prefix)
    labels = [os.fsdecode(entry[1:]).split(" ", 1) for entry in entries if entry.startswith(b"c")]
    for address, label in labels:
        clear_engine(address, label)
    if labels:
        # The engine may still be making what the harness asked for just before it died.
        time.sleep(ENGINE_SETTLES_S)
    for address, label in labels:
        clear_engine(address, label)
    for entry in entries:
        if entry.startswith(b"m"):
            detach_mount(entry[1:])
    for entry in entries:
        if entry.startswith(b"d"):
            remove_folder(os.fsdecode(entry[1:]))


if __name__ == "__main__":
    main()
