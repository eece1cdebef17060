"""Servers that the tests start: the reference and CNCF Distribution, each over a folder of the test's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import httpx

from harness.targets.host import LOOPBACK, Port, status_of
from harness.targets.process import Child, end, kill

PROJECT = Path(__file__).parents[2]
START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
COLLECT_LIMIT_S = 60.0
_POLL_S = 0.005


class Served:
    """A server in a process of its own, at the same port each time it is started.  ``probe`` is what it is
    asked, and what it answers as soon as it serves."""

    probe: tuple[str, Collection[int]] = ("/v2/", (200, 401))
    environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self.log = log
        self._port = Port()
        self.place = f"{LOOPBACK}:{self._port.number}"
        self.client = httpx.Client(base_url=f"http://{self.place}", timeout=20)
        self._child: Child | None = None

    def command(self, port: int) -> Sequence[str]:
        raise NotImplementedError

    def start(self) -> Self:
        """Serve, and return once it answers."""
        with self.log.open("ab") as log:
            command = self.command(self._port.number)
            environment = {**os.environ, **self.environment}
            self._child = Child(command, environment, PROJECT, log.fileno(), log.fileno())
        limit = time.monotonic() + START_LIMIT_S
        path, statuses = self.probe
        while status_of(LOOPBACK, self._port.number, path) not in statuses:
            assert self._child.code() is None, self.log.read_text()
            assert time.monotonic() < limit, f"{command[0]} does not answer: {self.log.read_text()}"
            time.sleep(_POLL_S)
        return self

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        if self._child is not None:
            assert end(self._child, signal.SIGTERM, STOP_LIMIT_S), "it does not stop"
            self._child = None

    def kill(self) -> None:
        if self._child is not None:
            kill(self._child)
            self._child = None

    def close(self) -> None:
        self.client.close()
        try:
            self.stop()
        finally:
            self.kill()
            self._port.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Reference(Served):
    """The reference registry; ``options`` are those of its ``serve``."""

    def __init__(self, root: Path, log: Path, *options: str) -> None:
        super().__init__(root, log)
        self._options = options

    def command(self, port: int) -> Sequence[str]:
        return _reference("serve", "--root", str(self.root), "--port", str(port), *self._options)

    def close(self) -> None:
        super().close()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()


def collect_by_reference(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the reference's collector to its end, whatever that is."""
    return _collect(_reference("collect", "--root", str(root), *options))


def _reference(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "reference_impl", *arguments]


_DISTRIBUTION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false, age: 168h, interval: 24h, dryrun: false}}}}
http: {{addr: "{host}:{port}", secret: {secret}}}
"""


class Distribution(Served):
    """Debian's docker-registry; without a descriptor cache, so that it tells what is on disk."""

    secret = "sea trials"

    def command(self, port: int) -> Sequence[str]:
        return ["docker-registry", "serve", str(self._configuration(port))]

    def collect(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run its collector to its end, whatever that is; only while nobody serves the folder."""
        return _collect(["docker-registry", "garbage-collect", *options, str(self._configuration(0))])

    def _configuration(self, port: int) -> Path:
        path = self.log.with_suffix(".yml")
        text = _DISTRIBUTION.format(root=self.root, host=LOOPBACK, port=port, secret=self.secret)
        path.write_text(text)
        return path


def _collect(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=COLLECT_LIMIT_S, check=False
    )
