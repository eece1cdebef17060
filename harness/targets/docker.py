"""A registry in a container, on a Docker engine of this machine."""

from __future__ import annotations

import io
import math
import os
import re
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from requests import RequestException

from harness.history import Promises
from harness.targets import engine
from harness.targets.base import Collected, LineGate, TargetError
from harness.targets.description import ContainerImage, Description
from harness.targets.engine import told
from harness.targets.host import LOOPBACK, Port, status_of
from harness.targets.inside import Inside
from harness.targets.reaper import REAPER, clear_engine

FILES = "/seatrial"
"""The folder inside that holds the description's files."""
LABEL = "seatrial"
POLL_S = 0.02
LOG_LINES = 40
KILL_LIMIT_S = 30

_PLACEHOLDER = re.compile(r"\{(host|port|storage|work|config|round)\}")


class DockerTarget:
    """Implements `harness.targets.base.Target` for a description with a ``container``. Nothing is made before
    `open`.

    All that it makes has a label of its own and is removed by `close`, or by the reaper when the harness
    dies. Images are never pulled. With the engine's bridge the port is published on the loopback interface;
    an engine without one gives the container the host's network.

    The collector runs inside, with `pause` it stands still too. Docker hands its output on through buffers
    (some 64 KiB in each of several), so a collector that is held at a line may have run ahead by as much as
    they take: `HOLDS`. Only one that waits for something else than its output is held exactly.
    """

    HOLDS = "a collector in a container may run ahead of a held line by what Docker's buffers take"

    def __init__(self, description: Description, promises: Promises | None = None) -> None:
        assert description.container is not None
        self._description = description
        self._image: ContainerImage = description.container
        self._promises = promises or description.promises
        if description.collector is None and self._promises.collects_itself == "no":
            self._promises = replace(self._promises, collection="none")
        self._lock = threading.RLock()
        self._client: DockerClient | None = None
        self._address = ""
        self._tag = ""
        self._network = ""
        self._port: Port | None = None
        self._made: Container | None = None
        self._inside: Inside | None = None
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
        return f"http://{LOOPBACK}:{self._number}"

    @property
    def promises(self) -> Promises:
        return self._promises

    @property
    def controls(self) -> frozenset[str]:
        collect = {"collect"} if self._description.collector else set()
        unplug = {"unplug"} if self._network == "bridge" else set()
        return frozenset({"kill", "restart", "pause"} | collect | unplug)

    @property
    def owned(self) -> bool:
        return True

    @property
    def label(self) -> str:
        """What everything that it makes is labelled with; empty when it is not open."""
        return f"{LABEL}={self._tag}" if self._tag else ""

    def log(self) -> str:
        if self._made is None:
            return ""
        try:
            return self._made.logs(tail=LOG_LINES).decode(errors="replace")
        except (DockerException, RequestException, OSError):
            return ""

    # --- life

    def open(self) -> None:
        """Make a container and start it. Raises `TargetError`: no engine, no such image, it ends at once, it
        never answers."""
        with self._lock:
            if self._client is not None:
                return
            self._address = engine.address()
            self._client = engine.connect()
            try:
                self._tag = os.urandom(6).hex()
                self._find_image()
                self._network = self._choose_network()
                self._port = Port()
                REAPER.watch_label(self._address, self.label)
                self._make()
                self.start()
            except OSError as error:
                self.close()
                raise TargetError(f"{self.name}: {error}") from None
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        with self._lock:
            if self._client is None:
                return
            if self._port is not None and clear_engine(self._address, self.label):
                REAPER.forget_label(self._address, self.label)
            self._made = self._inside = None
            with suppress(DockerException, RequestException, OSError):
                self._client.close()
            self._client = None
            self._tag = ""
            if self._port is not None:
                self._port.close()
                self._port = None

    def fresh(self) -> None:
        """A new container with a new volume."""
        with self._lock:
            self._opened()
            self._made = self._inside = None
            if not clear_engine(self._address, self.label):
                raise TargetError(f"{self.name}: the engine does not remove the old container and its volume")
            self._make()
            self.start()

    def running(self) -> bool:
        return self._state() in ("running", "paused")

    def kill(self) -> None:
        """SIGKILL to everything in the container; returns when it is gone. Nothing where it does not run."""
        with self._lock:
            if self._made is None or not self.running():
                return
            with told(self.name, "cannot be killed"):
                with suppress(APIError):
                    self._made.kill()
                self._await_end(KILL_LIMIT_S, "SIGKILL")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that has not ended it within `stop_limit_s`."""
        with self._lock:
            if self._made is None or not self.running():
                return
            self.resume()
            with told(self.name, "cannot be stopped"):
                self._made.stop(timeout=math.ceil(self._description.stop_limit_s))
                self._await_end(KILL_LIMIT_S, "SIGTERM and SIGKILL")

    def restart(self) -> None:
        with self._lock:
            self.stop()
            self.start()

    def start(self) -> None:
        with self._lock:
            made = self._opened()
            if self.running():
                return
            with told(self.name, f"image {self._image.image!r} cannot be started"):
                made.start()
            self._await_answer()

    def pause(self) -> None:
        """Freezes all processes in the container; returns when they stand still."""
        with self._lock:
            if self._state() != "running":
                raise TargetError(f"{self.name}: cannot be paused: it does not run")
            with told(self.name, "cannot be paused"):
                self._opened().pause()

    def resume(self) -> None:
        with self._lock:
            if self._state() == "paused":
                with told(self.name, "cannot be resumed"):
                    self._opened().unpause()

    def unplug(self) -> None:
        """Disconnect it from its network; all its connections end."""
        with self._lock:
            self._wire("disconnected", lambda bridge, made: bridge.disconnect(made))

    def plug_in(self) -> None:
        """Connect it again, and return when it answers; nothing where it is connected."""
        with self._lock:
            if self._plugged:
                return
            self._wire("connected", lambda bridge, made: bridge.connect(made))
            if self._state() == "running":
                self._await_answer()

    @property
    def _plugged(self) -> bool:
        self._state()
        return self._made is None or bool(self._made.attrs["NetworkSettings"]["Networks"])

    def _wire(self, what: str, act: Callable[[Network, Container], None]) -> None:
        if self._network != "bridge" or self._client is None:
            raise TargetError(f"{self.name}: has no network of its own that could be {what}")
        with told(self.name, f"cannot be {what}"):
            act(self._client.networks.get("bridge"), self._opened())

    # --- collector

    def collect(self, *, untagged: bool, gate: LineGate | None = None) -> Collected:
        """Run the collector in the running container."""
        collector = self._description.collector
        if collector is None:
            raise TargetError(f"{self.name}: has no collector")
        command = collector.untagged if untagged else collector.command
        if not command:
            raise TargetError(f"{self.name}: its collector cannot remove untagged manifests")
        if not self.running() or self._inside is None:
            raise TargetError(f"{self.name}: the collector needs a running container; start it first")
        ended = self._inside.run([self._fill(each) for each in command], collector.limit_s, gate)
        if ended.timed_out and self.running():
            # Docker cannot end one program in a container, only all of it.
            self.kill()
            self.start()
        return ended.collected(collector)

    # --- inside

    @property
    def _number(self) -> int:
        if self._port is None:
            raise TargetError(f"{self.name}: not open")
        return self._port.number if self._movable else self._image.port

    @property
    def _movable(self) -> bool:
        """Whether the port on this machine can be chosen."""
        texts = (
            *self._description.command,
            *self._description.env.values(),
            *self._description.files.values(),
        )
        return self._network == "bridge" or any("{port}" in text for text in texts)

    def _opened(self) -> Container:
        if self._made is None and self._tag == "":
            raise TargetError(f"{self.name}: not open")
        if self._made is None:
            self._make()
        assert self._made is not None
        return self._made

    def _state(self) -> str:
        """The engine's word for what the container does; empty where there is none."""
        if self._made is None:
            return ""
        with told(self.name):
            try:
                self._made.reload()
            except NotFound:
                return ""
            return str(self._made.status)

    def _find_image(self) -> None:
        assert self._client is not None
        try:
            with told(self.name):
                try:
                    self._client.images.get(self._image.image)
                except ImageNotFound:
                    raise TargetError(
                        f"{self.name}: there is no image {self._image.image!r} in the engine at"
                        f" {self._address}; docker pull {self._image.image}, or build it"
                    ) from None
        except TargetError as error:
            how = f"; {self._description.install}" if self._description.install else ""
            raise TargetError(f"{error}{how}") from None

    def _choose_network(self) -> str:
        assert self._client is not None
        if self._image.network == "host":
            return "host"
        with told(self.name):
            has = any(one.name == "bridge" for one in self._client.networks.list(names=["bridge"]))
        if self._image.network == "bridge" and not has:
            raise TargetError(f'{self.name}: the engine has no network "bridge"; write network = "host"')
        return "bridge" if has else "host"

    def _make(self) -> None:
        assert self._client is not None
        self._round += 1
        image, labels = self._image, {LABEL: self._tag}
        name = f"seatrial-{self._tag}-{self._round}"
        mounts: dict[str, dict[str, str]] = {}
        with told(self.name, f"a container of image {image.image!r} cannot be made"):
            if image.volume:
                self._client.volumes.create(name, labels=labels)
                mounts[name] = {"bind": image.volume, "mode": "rw"}
            published = {f"{image.port}/tcp": (LOOPBACK, self._number)} if self._network == "bridge" else {}
            self._made = self._client.containers.create(
                image.image,
                [self._fill(each) for each in self._description.command] or None,
                name=name,
                labels=labels,
                environment={key: self._fill(value) for key, value in self._description.env.items()},
                network_mode=self._network,
                ports=published,
                volumes=mounts,
            )
            if self._description.files:
                self._made.put_archive("/", self._archive())
        self._inside = Inside(self.name, self._client, str(self._made.id))

    def _archive(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, text in self._description.files.items():
                data = self._fill(text).encode()
                entry = tarfile.TarInfo(f"{FILES.strip('/')}/{name}")
                entry.size, entry.mode = len(data), 0o644
                tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    def _await_end(self, limit_s: float, after: str) -> None:
        limit = time.monotonic() + limit_s
        while self.running():
            if time.monotonic() > limit:
                raise TargetError(f"{self.name}: the container did not end {limit_s:g} s after {after}")
            time.sleep(POLL_S)

    def _await_answer(self) -> None:
        limit = time.monotonic() + self._description.limit_s
        while True:
            if not self.running():
                raise TargetError(f"{self.name}: its container ended at its start{self._ending()}")
            status = status_of(LOOPBACK, self._number, self._description.health)
            if status is not None and status < 500 and self.running():
                return
            if time.monotonic() > limit:
                words = self._last_words()
                self.kill()
                seen = "nothing" if status is None else f"status {status}"
                raise TargetError(
                    f"{self.name}: GET {self._description.health} on port {self._number} answers {seen}"
                    f" {self._description.limit_s:g} s after its start; does it listen on port"
                    f" {self._image.port} of all interfaces in its container?{words}"
                )
            time.sleep(POLL_S)

    def _ending(self) -> str:
        state = self._made.attrs.get("State", {}) if self._made is not None else {}
        return f" with exit status {state.get('ExitCode', '?')}{self._last_words()}"

    def _last_words(self, lines: int = 3) -> str:
        said = [line.strip() for line in self.log().splitlines() if line.strip()][-lines:]
        return ("; it said: " + " | ".join(said)) if said else "; it said nothing"

    def _fill(self, text: str) -> str:
        bridged = self._network == "bridge"
        values = {
            "host": "0.0.0.0" if bridged else LOOPBACK,
            "port": str(self._image.port if bridged else self._number),
            "storage": self._image.volume,
            "work": FILES,
            "config": f"{FILES}/{next(iter(self._description.files), '')}",
            "round": str(self._round),
        }
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
