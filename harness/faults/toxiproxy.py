"""A Toxiproxy server on this machine: one that we start, or one that somebody runs.

It is driven through the package ``toxiproxy-python``, which is used nowhere else: it has no types and no
limits of time, and keeps the server's address in a class. What was seen is read from the server's metrics.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import shutil
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from harness.targets.base import TargetError
from harness.targets.host import LOOPBACK, Port, status_of
from harness.targets.process import POLL_S, Child, Process, kill

PROGRAM = "toxiproxy-server"
HOW = (
    f"install {PROGRAM} (2.5 or newer, github.com/Shopify/toxiproxy) on PATH, or give --toxiproxy URL"
    " of one that runs with -proxy-metrics"
)
START_LIMIT_S = 10.0
ANSWER_LIMIT_S = 10.0
_TURN = threading.Lock()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Toxic:
    """``attributes`` as Toxiproxy names them; ``stream``: ``upstream`` or ``downstream``."""

    type: str
    attributes: Mapping[str, int]
    stream: str = "downstream"


class Proxies(Protocol):
    """What we need of a server. Every method has a limit and raises `TargetError`, one line."""

    def add(self, name: str, port: int, upstream: int, toxics: tuple[Toxic, ...], *, open: bool) -> None:
        """A proxy from one loopback port to another. It listens, where ``open``, once its toxics are in."""

    def remove(self, name: str) -> None:
        """It listens no longer and all its connections are closed. Nothing where there is none."""

    def seen(self, name: str) -> bool:
        """Whether a connection went through it, once those connections are closed."""
        ...

    def check(self) -> None:
        """See that it still answers."""

    def close(self) -> None:
        """Never raises; idempotent."""


class Toxiproxy:
    """Implements `Proxies`. ``url`` of a server that runs on this machine; without, one is started, ends with
    the harness and listens on the loopback interface only. Raises `TargetError`, one line."""

    def __init__(self, url: str | None = None) -> None:
        if (why := available(url)) is not None:
            raise TargetError(why)
        self._process: Process | None = None
        self._port: Port | None = None
        if url is None:
            self._port = Port()
            self._host, self._number = LOOPBACK, self._port.number
            self._start()
        else:
            self._host, self._number = _address(url)
        try:
            self._metrics()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._number}"

    @property
    def process_id(self) -> int | None:
        return None if self._process is None else self._process.pid

    def add(self, name: str, port: int, upstream: int, toxics: tuple[Toxic, ...], *, open: bool) -> None:
        def add(server: Any) -> None:
            proxy = server.create(f"{LOOPBACK}:{upstream}", name, f"{LOOPBACK}:{port}", False)
            for number, toxic in enumerate(toxics):
                proxy.add_toxic(
                    name=f"{toxic.type}{number}",
                    type=toxic.type,
                    stream=toxic.stream,
                    attributes=dict(toxic.attributes),
                )
            if open:
                proxy.enable()
            made = server.get_proxy(name)
            if made is None or made.enabled is not open or len(made.toxics()) != len(toxics):
                raise ValueError(f"proxy {name} on port {port} is not as it was asked for")

        self._ask(add)

    def remove(self, name: str) -> None:
        def remove(server: Any) -> None:
            proxy = server.get_proxy(name)
            if proxy is not None:
                proxy.destroy()

        self._ask(remove)

    def names(self) -> frozenset[str]:
        """Of all proxies that it has."""
        return self._ask(lambda server: frozenset(server.proxies()))

    def seen(self, name: str) -> bool:
        return any(
            sample.labels.get("proxy") == name
            for family in text_string_to_metric_families(self._metrics())
            for sample in family.samples
        )

    def check(self) -> None:
        if status_of(self._host, self._number, "/version") != 200:
            raise TargetError(f"Toxiproxy at {self.url} does not answer any more")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(TargetError):
                kill(process)
        if self._port is not None:
            self._port.close()

    # --- inside

    def _start(self) -> None:
        path = shutil.which(PROGRAM)
        assert path is not None
        with tempfile.TemporaryFile() as log:
            argv = [path, "-host", LOOPBACK, "-port", str(self._number), "-proxy-metrics"]
            env = {"PATH": os.environ.get("PATH", ""), "LOG_LEVEL": "error"}
            try:
                self._process = Child(argv, env, Path("/"), log.fileno(), log.fileno())
            except OSError as error:
                raise TargetError(f"{path} cannot be started: {error.strerror}") from None
            limit = time.monotonic() + START_LIMIT_S
            while status_of(LOOPBACK, self._number, "/version") != 200:
                if self._process.wait(POLL_S) is None and time.monotonic() < limit:
                    continue
                self.close()
                log.seek(0)
                said = " | ".join(log.read().decode(errors="replace").splitlines()[-2:]) or "nothing"
                raise TargetError(f"{path} does not answer on port {self._number}; it said: {said}")

    def _ask(self, what: Callable[[Any], T]) -> T:
        """Let the package do something, within the limit."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                import toxiproxy  # type: ignore[import-untyped]

                with _TURN:
                    server = toxiproxy.Toxiproxy()
                    server.update_api_consumer(self._host, self._number)
                    future.set_result(what(server))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="toxiproxy", daemon=True).start()
        try:
            return future.result(ANSWER_LIMIT_S)
        except TimeoutError:
            why = f"does not answer within {ANSWER_LIMIT_S:g} s"
        except Exception as error:  # the package's own have no common base
            why = f"did not do what it was asked for: {type(error).__name__}: {error}".replace("\n", " ")
        raise TargetError(f"Toxiproxy at {self.url} {why}")

    def _metrics(self) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/metrics", timeout=ANSWER_LIMIT_S) as answer:
                return str(answer.read().decode())
        except (OSError, ValueError) as error:
            raise TargetError(
                f"Toxiproxy at {self.url} shows no metrics ({error}); start it with -proxy-metrics"
            ) from None


def available(url: str | None = None) -> str | None:
    """``None`` where a server can be had, else why not and how to get it, in a line."""
    if importlib.util.find_spec("toxiproxy") is None:
        return "the package toxiproxy-python is not installed; pip install toxiproxy-python"
    if url is not None:
        try:
            host, port = _address(url)
        except TargetError as error:
            return str(error)
        if status_of(host, port, "/version") != 200:
            return f"no Toxiproxy answers at {url}; start one there: {PROGRAM} -proxy-metrics"
        return None
    if shutil.which(PROGRAM) is None:
        return f"there is no {PROGRAM}; {HOW}"
    return None


def _address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or 8474
        near = host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        near, host, port = False, "", 0
    if parts.scheme != "http" or not near or parts.path not in ("", "/"):
        raise TargetError(
            f"--toxiproxy {url!r} cannot be used; write http://127.0.0.1:8474: a server on this machine"
        )
    return host, port
