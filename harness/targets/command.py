"""A registry that the harness starts itself, as a target description says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import harness
from harness.history import Promises
from harness.targets.base import Collected, LineGate, TargetError
from harness.targets.collector import Collector
from harness.targets.description import Description
from harness.targets.host import LOOPBACK, Port, WorkFolder, empty, status_of
from harness.targets.nursery import Nursery, NurseryError
from harness.targets.process import POLL_S, Child, Entry, Process, Spawn, end, kill, stopped
from harness.targets.reaper import kill_group
from harness.targets.seams import Disk, Gateway, MakeGateway, Tap
from harness.targets.service import Service

PORT_TRIES = 5
LOG_LINES = 40
LOG_BYTES = 1 << 16
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")
_PLACEHOLDER = re.compile(r"\{(host|port|storage|work|config|python|packages|round|service_port)\}")
_IN_USE = re.compile(r"address (is )?already in use|EADDRINUSE|only one usage of each socket", re.IGNORECASE)


class CommandTarget:
    """Implements `harness.targets.base.Target`. Nothing is made or started before `open`.

    Its processes lead their own sessions and end with the harness, its folders are removed with it, however
    the harness ends. It does not see the environment of the harness, but for a few harmless variables and
    those that the description names.
    """

    def __init__(
        self,
        description: Description,
        promises: Promises | None = None,
        *,
        disk: Disk | None = None,
        gateway: MakeGateway | None = None,
        tap: Tap | None = None,
    ) -> None:
        """``disk``: holds the storage folder. ``gateway``: before its calls. ``tap``: on its wires."""
        self._description = description
        self._disk = disk
        self._tap = tap
        self._make_gateway = gateway
        self._gateway: Gateway | None = None
        self._promises = promises or description.promises
        if description.collector is None and self._promises.collects_itself == "no":
            self._promises = replace(self._promises, collection="none")
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._paused = False
        self._folder: WorkFolder | None = None
        self._port: Port | None = None
        self._collector = Collector(description.collector) if description.collector else None
        self._nursery: Nursery | None = None
        self._service: Service | None = None
        self._round = 0

    # --- what it is

    @property
    def name(self) -> str:
        return self._description.name

    @property
    def description(self) -> Description:
        return self._description

    @property
    def url(self) -> str:
        if self._port is None:
            raise TargetError(f"{self.name}: not open")
        port = self._port.number
        return f"http://{LOOPBACK}:{port if self._tap is None else self._tap.client(port)}"

    @property
    def promises(self) -> Promises:
        return self._promises

    @property
    def controls(self) -> frozenset[str]:
        return frozenset(
            {"kill", "restart", "pause"} | ({"collect", "hold"} if self._description.collector else set())
        )

    @property
    def owned(self) -> bool:
        return True

    @property
    def storage(self) -> Path:
        """The registry's storage folder. Raises `TargetError` when the target is not open."""
        return self._work / "storage" if self._disk is None else self._disk.storage

    def process_id(self) -> int | None:
        """The registry's process id while it runs."""
        return self._process.pid if self._process is not None and self.running() else None

    def log(self) -> str:
        if self._folder is None:
            return ""
        try:
            with self._log_file.open("rb") as file:
                file.seek(max(0, self._log_file.stat().st_size - LOG_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-LOG_LINES:])

    # --- life

    def open(self) -> None:
        """Make folders, start. Raises `TargetError`: no such command, it ends at once, it never answers."""
        with self._lock:
            if self._folder is not None:
                return
            self._find_command(self._description.command, dict(os.environ))
            self._folder = WorkFolder(disk=self._description.disk)
            try:
                if self._disk is not None:
                    self._disk.open()
                self._wipe()
                if self._make_gateway is not None:
                    self._gateway = self._make_gateway(self.storage)
                self._start_service()
                self._open_nursery()
                self._first_start()
            except OSError as error:
                self.close()
                raise TargetError(f"{self.name}: {error}") from None
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        with self._lock:
            if self._collector is not None:
                self._collector.kill()
            with suppress(TargetError):
                self.kill()
            self._close_nursery()
            if self._service is not None:
                self._service.close()
                self._service = None
            if self._tap is not None:
                self._tap.close()
            if self._gateway is not None:
                self._gateway.close()
                self._gateway = None
            if self._disk is not None:
                self._disk.close()
            if self._folder is not None:
                self._folder.close()
                self._folder = None
            if self._port is not None:
                self._port.close()
                self._port = None

    def fresh(self) -> None:
        with self._lock:
            self.kill()
            try:
                self._wipe()
            except OSError as error:
                raise TargetError(f"{self.name}: the storage folder cannot be emptied: {error}") from None
            self._write_files()
            self.start()

    def running(self) -> bool:
        return self._process is not None and self._process.code() is None

    def kill(self) -> None:
        """SIGKILL to the whole process group; returns when it is gone. Nothing where it does not run."""
        with self._lock:
            if self._process is not None:
                kill(self._process)
            self._process, self._paused = None, False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that has not ended it within `stop_limit_s`."""
        with self._lock:
            if self._process is not None:
                end(self._process, signal.SIGTERM, self._description.stop_limit_s)
            self.kill()

    def restart(self) -> None:
        with self._lock:
            self.stop()
            self.start()

    def start(self) -> None:
        with self._lock:
            if self.running():
                return
            self.kill()
            if self._disk is not None and self._disk.dead:
                self._disk.remount()
            self._launch()
            self._await_answer()

    def pause(self) -> None:
        """SIGSTOP; returns when the process stands still."""
        with self._lock:
            if not self.running() or self._process is None:
                raise TargetError(f"{self.name}: cannot be paused: it does not run")
            kill_group(self._process.pid, signal.SIGSTOP)
            self._paused = True
            limit = time.monotonic() + self._description.stop_limit_s
            while not stopped(self._process.pid):
                if time.monotonic() > limit:
                    raise TargetError(f"{self.name}: process {self._process.pid} does not stop after SIGSTOP")
                time.sleep(POLL_S)

    def resume(self) -> None:
        with self._lock:
            if self._paused and self._process is not None:
                kill_group(self._process.pid, signal.SIGCONT)
            self._paused = False

    # --- collector

    def collect(self, *, untagged: bool, gate: LineGate | None = None) -> Collected:
        collector = self._collector
        if collector is None:
            raise TargetError(f"{self.name}: has no collector")
        command = collector.command.command
        if untagged:
            command = collector.command.untagged
            if not command:
                raise TargetError(f"{self.name}: its collector cannot remove untagged manifests")
        argv = [self._fill(each) for each in command]
        self._find_command(argv, self._environment())
        spawn = self._spawn_by("collector")
        return collector.run(argv, self._environment(), self._work, spawn, gate)

    # --- inside

    @property
    def _work(self) -> Path:
        if self._folder is None:
            raise TargetError(f"{self.name}: not open")
        return self._folder.path

    @property
    def _log_file(self) -> Path:
        return self._work / "registry.log"

    def _wipe(self) -> None:
        self._round += 1
        if self._disk is not None:
            self._disk.wipe()
        else:
            empty(self.storage)
        for folder in self._description.folders:
            (self.storage / folder).mkdir(parents=True, exist_ok=True)
        if self._disk is not None:
            self._disk.sync()

    def _first_start(self) -> None:
        """Start on a free port; on another one when somebody was quicker."""
        for tries_left in reversed(range(PORT_TRIES)):
            self._port = Port()
            self._write_files()
            try:
                self.start()
                return
            except TargetError:
                if not tries_left or not _IN_USE.search(self.log()):
                    raise
                self.kill()
                self._log_file.unlink(missing_ok=True)
                self._port.close()

    def _write_files(self) -> None:
        for name, text in self._description.files.items():
            (self._work / name).write_text(self._fill(text), encoding="utf-8")

    def _start_service(self) -> None:
        service = self._description.service
        if service is None:
            return
        self._service = Service(self.name, service, self._work / "service.log", self._tap)
        argv = [self._fill(each) for each in service.command]
        env = self._environment(service.env)
        self._find_command(argv, env)
        self._service.start(argv, env, self._work, Child)

    def _launch(self) -> None:
        argv = [self._fill(each) for each in self._description.command]
        env = self._environment()
        self._find_command(argv, env)
        try:
            with self._log_file.open("ab") as log:
                start = self._spawn_by("registry")
                self._process = start(argv, env, self._work, log.fileno(), log.fileno())
        except OSError as error:
            raise TargetError(f"{self.name}: {argv[0]!r} cannot be started: {error.strerror}") from None

    def _spawn_by(self, name: str) -> Spawn:
        return self._start if self._gateway is None else self._gateway.through(self._start, name)

    def _start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        out: int,
        err: int,
        *,
        entry: Entry | None = None,
    ) -> Process:
        """Start a process through the nursery where there is one, else plainly."""
        nursery = self._nursery
        if nursery is not None:
            try:
                return nursery.spawn(argv, env, cwd, out, err, entry=entry)
            except NurseryError:
                self._close_nursery()
        return Child(argv, env, cwd, out, err, entry=entry)

    def _open_nursery(self) -> None:
        modules = self._description.preload
        if modules and self._nursery is None:
            with suppress(NurseryError):
                self._nursery = Nursery(modules, self._environment(), self._work)

    def _close_nursery(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.close()

    def _await_answer(self) -> None:
        assert self._process is not None
        assert self._port is not None
        limit = time.monotonic() + self._description.limit_s
        while True:
            code = self._process.wait(POLL_S)
            if code is not None:
                self._process = None
                raise TargetError(f"{self.name}: ended with {_ending(code)} at its start{self._last_words()}")
            status = status_of(LOOPBACK, self._port.number, self._description.health)
            if status is not None and status < 500 and self._process.code() is None:
                return
            if time.monotonic() > limit:
                self.kill()
                seen = "nothing" if status is None else f"status {status}"
                raise TargetError(
                    f"{self.name}: GET {self._description.health} on port {self._port.number} answers {seen}"
                    f" {self._description.limit_s:g} s after its start{self._last_words()}"
                )

    def _last_words(self, lines: int = 3) -> str:
        said = [line.strip() for line in self.log().splitlines() if line.strip()][-lines:]
        return ("; it said: " + " | ".join(said)) if said else "; it said nothing"

    def _fill(self, text: str) -> str:
        values = {
            "host": LOOPBACK,
            "port": "" if self._port is None else str(self._port.number),
            "storage": str(self.storage),
            "work": str(self._work),
            "config": str(self._work / next(iter(self._description.files), "")),
            "python": sys.executable,
            "round": str(self._round),
            "service_port": "" if self._service is None else str(self._service.port),
            "packages": str(Path(harness.__file__).parent.parent),
        }
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)

    def _environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        names = (*_INHERITED, *self._description.inherit)
        env = {name: os.environ[name] for name in names if name in os.environ}
        # A Python collector that does not flush each line would print nothing until its end.
        env |= {"HOME": str(self._work), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        more = self._description.env if more is None else more
        return env | {name: self._fill(value) for name, value in more.items()}

    def _find_command(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        command = argv[0]
        if "{" not in command and shutil.which(command, path=env.get("PATH")) is None:
            how = f"; install it: {self._description.install}" if self._description.install else ""
            raise TargetError(f"{self.name}: there is no command {command!r} on this machine{how}")


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
