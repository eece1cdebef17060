"""Running a program in a container to its end, line by line."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker.errors import DockerException
from requests import RequestException

from harness.targets.base import Collected, LineGate
from harness.targets.collector import removed_by
from harness.targets.description import CollectorCommand
from harness.targets.engine import told

_ENV = {"PYTHONUNBUFFERED": "1"}
"""A Python collector that does not flush each line would print nothing until its end."""
_CODE_LIMIT_S = 10.0
_POLL_S = 0.02
KILLED = -9


@dataclass(frozen=True, slots=True)
class Ended:
    """``timed_out``: its limit ran out, and it may still run."""

    code: int
    out: tuple[str, ...]
    err: tuple[str, ...]
    limit_s: float
    timed_out: bool

    def collected(self, collector: CollectorCommand) -> Collected:
        lines = self.out + self.err
        if self.timed_out:
            lines += (f"killed after {self.limit_s:g} s",)
        return Collected(self.code, lines, removed_by(collector.removed, self.out))


class Inside:
    """Programs in one running container."""

    def __init__(self, who: str, client: DockerClient, container: str) -> None:
        self._who, self._api, self._container = who, client.api, container

    def run(self, argv: list[str], limit_s: float, gate: LineGate | None) -> Ended:
        """The limit counts the program's own time, not the time that the gate took. Raises `TargetError`,
        and whatever the gate raises; the program may then still run."""
        with told(self._who, f"{argv[0]!r} cannot be run in the container"):
            made = self._api.exec_create(self._container, argv, environment=dict(_ENV))
            stream = self._api.exec_start(made["Id"], stream=True, demux=True)
        reader = _Reader(stream)
        out, err = _Lines(), _Lines()
        left_s = limit_s
        try:
            while True:
                since = time.monotonic()
                chunk = reader.next(left_s)
                left_s -= time.monotonic() - since
                if chunk is None or left_s <= 0:
                    break
                err.add(chunk[1])
                for line in out.add(chunk[0]):
                    if gate is not None:
                        gate(line)
            ended = reader.ended and left_s > 0
            err.end()
            for line in out.end():
                if gate is not None and ended:
                    gate(line)
        finally:
            reader.close()
        code = self._code(made["Id"]) if ended else None
        return Ended(
            KILLED if code is None else code, out.all(), err.all(), limit_s, not ended or code is None
        )

    def _code(self, exec_id: str) -> int | None:
        """Its exit status; ``None`` when it closed its output and does not end."""
        limit = time.monotonic() + _CODE_LIMIT_S
        while True:
            with told(self._who, "the collector's exit status"):
                found = self._api.exec_inspect(exec_id)
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            if time.monotonic() > limit:
                return None
            time.sleep(_POLL_S)


class _Lines:
    """Bytes as they come, cut into lines."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._rest = b""

    def add(self, data: bytes | None) -> Iterator[str]:
        *lines, self._rest = (self._rest + (data or b"")).split(b"\n")
        new = [line.decode(errors="replace").removesuffix("\r") for line in lines]
        self._done += new
        return iter(new)

    def end(self) -> Iterator[str]:
        """What came after the last line's end."""
        return self.add(b"\n") if self._rest else iter(())

    def all(self) -> tuple[str, ...]:
        return tuple(self._done)


_Chunk = tuple[bytes | None, bytes | None]


class _Reader:
    """Reads a stream that has no limit of its own in a thread, one chunk ahead."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._chunks: queue.Queue[_Chunk | None] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self.ended = False
        threading.Thread(target=self._read, name="seatrial-exec", daemon=True).start()

    def next(self, limit_s: float) -> _Chunk | None:
        """``None`` at its end, or when the limit ran out first."""
        try:
            chunk = self._chunks.get(timeout=max(limit_s, 0.0))
        except queue.Empty:
            return None
        self.ended = chunk is None
        return chunk

    def close(self) -> None:
        self._closed.set()
        with suppress(DockerException, RequestException, OSError, AttributeError):
            self._stream.close()

    def _read(self) -> None:
        with suppress(DockerException, RequestException, OSError, ValueError):
            for chunk in self._stream:
                self._put(chunk)
        self._put(None)

    def _put(self, chunk: _Chunk | None) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._chunks.put(chunk, timeout=0.1)
                return
