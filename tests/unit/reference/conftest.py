"""A reference registry to talk to: one process for each driver, fresh repositories for each test."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from reference_impl.drivers.base import Driver
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.drivers.s3.place import Place
from reference_impl.registry.store import Registry, filesystem_driver

from . import buckets

PROJECT = Path(__file__).parents[3]


class Server:
    """A served registry, in a process of its own.  ``log`` gets its standard error.

    ``verify`` is what a client trusts, where the server has a certificate.
    """

    def __init__(
        self, *arguments: str, log: Path | None = None, verify: ssl.SSLContext | bool = True
    ) -> None:
        self._arguments = arguments
        self._log = log
        self._verify = verify
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "reference_impl", "serve", "--port", "0", *self._arguments]
        with contextlib.ExitStack() as stack:
            stderr = None if self._log is None else stack.enter_context(self._log.open("ab"))
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=PROJECT
            )
        line = self.line()
        assert line.startswith("listening on http"), line
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.client = httpx.Client(base_url=self.url, timeout=20, verify=self._verify)

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return str(self.process.stdout.readline())

    def logged(self) -> str:
        assert self._log is not None
        return self._log.read_text()

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        self.client.close()
        self.process.terminate()
        self.process.communicate(timeout=20)
        return self.process.returncode


_numbers = itertools.count()


@pytest.fixture(scope="session", params=["filesystem", "memory", "s3"])
def shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    root = str(tmp_path_factory.mktemp("registry"))
    options = ["--driver", request.param, "--root", root, "--unsafe-no-fsync"]
    if request.param == "s3":
        place = request.getfixturevalue("place")
        options = buckets.server_options(place, root, buckets.fresh_prefix())
    server = Server(*options, "--page-size", "5")
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(shared_server: Server) -> httpx.Client:
    return shared_server.client


@pytest.fixture
def repo() -> str:
    return f"team/app-{next(_numbers)}"


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """A bucket of a moto server, the same for all tests."""
    server = buckets.Moto()
    yield server.bucket
    server.stop()


@pytest.fixture
def backend() -> Iterator[buckets.Backend]:
    """A server that the test may stop and start."""
    server = buckets.Moto()
    yield server
    server.stop()


@pytest.fixture
def shop(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> buckets.Shop:
    """A place of the test's own in a bucket whose server takes parts of any size."""
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    return buckets.Shop(place, str(tmp_path), 1000)


@pytest.fixture(params=["filesystem", "memory", "s3"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    if request.param == "memory":
        return MemoryDriver()
    if request.param == "filesystem":
        return filesystem_driver(str(tmp_path), fsync=False)
    place = request.getfixturevalue("place")
    return buckets.s3_driver(place, str(tmp_path), buckets.fresh_prefix())


@pytest.fixture
def registry(driver: Driver) -> Registry:
    return Registry(driver)


def half_patch(
    server: Server, location: str, data: bytes, claimed_bytes: int, tls: ssl.SSLContext | None = None
) -> socket.socket:
    """Send part of a PATCH's body, and wait until it has arrived."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    if tls is not None:
        sock = tls.wrap_socket(sock)
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {claimed_bytes}\r\n\r\n"
    sock.sendall(head.encode() + data)
    await_size(server.client, location, len(data))
    return sock


def eventually(happened: Callable[[], bool]) -> None:
    """Ask until it has happened, for a while."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end, "it never happened"


def await_size(client: httpx.Client, location: str, size_bytes: int) -> None:
    for _ in range(5000):
        if client.get(location).headers.get("range") == f"0-{size_bytes - 1}":
            return
    raise AssertionError("the bytes never arrived")
