"""This machine: free ports, private folders, and whether something answers like a registry."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import tempfile
from pathlib import Path

from harness.targets.reaper import REAPER, remove_folder

LOOPBACK = "127.0.0.1"
SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30
ANSWER_LIMIT_S = 2.0
_TRIES = 200


class Port:
    """A free TCP port of the loopback interface, ours until `close`.

    It is taken from below the range from which the kernel gives ports to outgoing connections: while a
    registry is dead, a client's connection could otherwise be given its port, or even be connected to itself.
    An abstract socket of the port's name keeps other harness processes away from it meanwhile.
    """

    def __init__(self) -> None:
        self._claim: socket.socket | None = None
        self.number = self._find()

    def _find(self) -> int:
        first = _first_ephemeral_port()
        choice = random.SystemRandom()
        for _ in range(_TRIES):
            number = choice.randrange(10240, first) if first > 10300 else 0
            with socket.socket() as trial:
                try:
                    trial.bind((LOOPBACK, number))
                except OSError:
                    continue
                number = int(trial.getsockname()[1])
            if self._claimed(number):
                return number
        raise OSError("no free TCP port found on the loopback interface")

    def _claimed(self, number: int) -> bool:
        if not Path("/proc/net/unix").exists():
            return True
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0seatrial-port-{number}")
        except OSError:
            claim.close()
            return False
        self._claim = claim
        return True

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None


class WorkFolder:
    """A private temporary folder, in memory where there is room: what a killed process has written survives
    there just as well as on a ``disk``, where races have the width that they have in life. Removed by
    `close`, or by the reaper when the harness dies."""

    def __init__(self, *, disk: bool = False) -> None:
        parent = str(SHARED_MEMORY) if not disk and roomy(SHARED_MEMORY) else None
        self.path = Path(tempfile.mkdtemp(prefix="seatrial-", dir=parent))
        REAPER.watch_folder(str(self.path))

    def close(self) -> None:
        remove_folder(str(self.path))
        REAPER.forget_folder(str(self.path))


def roomy(folder: Path) -> bool:
    """Whether a folder can be written to and has more than `ROOM_BYTES` left."""
    try:
        return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free > ROOM_BYTES
    except OSError:
        return False


def empty(folder: Path) -> None:
    """Make a folder empty, or make it. Raises `OSError`."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def status_of(host: str, port: int, path: str, limit_s: float = ANSWER_LIMIT_S) -> int | None:
    """The status that GET answers, ``None`` when nothing answers within the limit."""
    connection = http.client.HTTPConnection(host, port, timeout=limit_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
