"""What a registry needs beside it, such as an object store: started before it, ended after it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.targets.base import TargetError
from harness.targets.host import LOOPBACK, Port, status_of
from harness.targets.process import POLL_S, Process, Spawn, kill
from harness.targets.seams import Tap

LAST_WORDS_BYTES = 600


@dataclass(frozen=True, slots=True)
class ServiceCommand:
    """``health``: a path that answers with a status below 400 once the service is ready."""

    command: tuple[str, ...]
    health: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = 30.0


class Service:
    """One running service. Faults never reach it: it is there before the registry, and until `close`.
    ``port``: where it listens, and then where the registry finds it: at a tap, where there is one."""

    def __init__(self, name: str, service: ServiceCommand, log: Path, tap: Tap | None = None) -> None:
        self._name = name
        self._service = service
        self._claim = Port()
        self.port = self._claim.number
        self._tap = tap
        self._log = log
        self._process: Process | None = None

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, spawn: Spawn) -> None:
        """Start it and wait until it answers. Raises `TargetError`, one line; nothing is left then."""
        try:
            with self._log.open("ab") as log:
                self._process = spawn(argv, env, cwd, log.fileno(), log.fileno())
        except OSError as error:
            raise TargetError(
                f"{self._name}: the service {argv[0]!r} cannot be started: {error.strerror}"
            ) from None
        limit = time.monotonic() + self._service.limit_s
        while (status_of(LOOPBACK, self.port, self._service.health) or 500) >= 400:
            code = self._process.wait(POLL_S)
            if code is None and time.monotonic() < limit:
                continue
            self.close()
            why = (
                f"ended with {code}"
                if code is not None
                else f"does not answer in {self._service.limit_s:g} s"
            )
            raise TargetError(f"{self._name}: the service {argv[0]!r} {why}; it said: {self._last_words()}")
        if self._tap is not None:
            self.port = self._tap.backend(self.port)

    def close(self) -> None:
        """Never raises; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(TargetError):
                kill(process)
        self._claim.close()

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self._log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").split("\n")
            return " | ".join(line.strip() for line in lines if line.strip()) or "nothing"
        return "nothing"
