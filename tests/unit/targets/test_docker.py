"""Registries in containers, as far as it goes without an engine: a fake one answers on a socket."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.faults import storage
from harness.run.kit import TIERS, Kit
from harness.targets import doctor, engine, reaper
from harness.targets.base import TargetError
from harness.targets.description import ContainerImage, Description, parse_description
from harness.targets.docker import DockerTarget
from harness.targets.inside import KILLED, Inside
from harness.targets.load import load_target

BOXED = """
[container]
image = "registry:2"
port = 5000
command = ["serve", "{config}"]
volume = "/var/lib/registry"
network = "bridge"
env = { A = "{port}" }
health = "/up"
limit_s = 3
stop_limit_s = 2
[collect]
command = ["gc"]
[files]
"c.yml" = "x"
"""
WAIT_S = 20.0


class FakeEngine:
    """Holds containers, networks and volumes, and how often each kind was listed. ``broken``: a kind whose
    listing fails; ``stubborn``: how many removals are refused first; ``late``: a container that appears only
    after the first look."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.held: dict[str, dict[str, str]] = {"containers": {}, "networks": {}, "volumes": {}}
        self.broken, self.stubborn = "", 0
        self.version = '{"Version": "99.1", "ApiVersion": "1.41"}'
        self.late: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path.endswith("/version"):
                    self.answer(200, outer.version.encode())
                    return
                kind = url.path.split("/")[1]
                if kind == outer.broken:
                    self.answer(500, b'{"message": "broken"}')
                    return
                (label,) = json.loads(parse_qs(url.query)["filters"][0])["label"]
                found = [name for name, its in outer.held[kind].items() if its == label]
                if kind == "containers":
                    assert parse_qs(url.query)["all"] == ["1"]
                    outer.held[kind] |= outer.late
                    outer.late = {}
                body: Any = [{"Id": name} for name in found]
                if kind == "volumes":
                    body = {"Volumes": [{"Name": name} for name in found] or None}
                self.answer(200, json.dumps(body).encode())

            def do_DELETE(self) -> None:
                kind, name = urlsplit(self.path).path.split("/")[1:3]
                if outer.stubborn:
                    outer.stubborn -= 1
                    self.answer(409, b"{}")
                    return
                del outer.held[kind][name]
                self.answer(204, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(body)

            def address_string(self) -> str:
                return "socket"

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def fill(self) -> None:
        for kind, held in self.held.items():
            held |= {f"{kind}-ours-1": "s=ours", f"{kind}-ours-2": "s=ours", f"{kind}-theirs": "s=theirs"}

    @property
    def left(self) -> list[str]:
        return [name for held in self.held.values() for name in held]


THEIRS = ["containers-theirs", "networks-theirs", "volumes-theirs"]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path / "socket")
    yield made
    made.server.shutdown()
    made.server.server_close()


# --- what a target file says


def test_every_key_of_a_container_arrives() -> None:
    read = parse_description(BOXED, "n", "f.toml")
    assert read.container == ContainerImage("registry:2", 5000, "/var/lib/registry", "bridge")
    assert read.command == ("serve", "{config}")
    assert (read.env, read.health, read.limit_s, read.stop_limit_s) == ({"A": "{port}"}, "/up", 3.0, 2.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("port = 5000", ""), "f.toml:2: [container] needs `port`: where the registry listens inside it"),
        (("port = 5000", "port = 0"), "f.toml:4: `port` must be a port between 1 and 65535, not 0"),
        (("port = 5000", "port = true"), "f.toml:4: `port` must be a port"),
        (('image = "registry:2"', ""), 'f.toml:2: [container] needs `image`, such as "registry:2"'),
        (("image =", "imgae ="), "f.toml:3: unknown key `imgae` in [container]; did you mean `image`?"),
        (('"/var/lib/registry"', '"data"'), "f.toml:6: `volume` is an absolute folder inside, not 'data'"),
        (('"bridge"', '"none"'), 'f.toml:7: `network` must be "bridge" or "host", not \'none\''),
        (("[collect]", "[storage]\n[collect]"), "f.toml:12: [storage] is for a registry that runs on this"),
        (("[collect]", '[serve]\ncommand = ["x"]\n[collect]'), "f.toml:12: [serve] is for a registry that"),
    ],
)
def test_what_is_wrong_with_a_container_is_one_line(change: tuple[str, str], why: str) -> None:
    with pytest.raises(TargetError, match=re.escape(why)) as raised:
        parse_description(BOXED.replace(*change, 1), "n", "f.toml")
    assert "\n" not in str(raised.value)


def test_a_container_gets_nothing_that_is_for_processes(tmp_path: Path) -> None:
    (tmp_path / "boxed.toml").write_text(BOXED)
    target = load_target(tmp_path / "boxed.toml")
    assert isinstance(target, DockerTarget)
    assert target.controls == {"kill", "restart", "pause", "collect"}
    kit = Kit.choose(frozenset(TIERS), target.description)
    assert kit.missing == dict.fromkeys(TIERS, "the registry runs in a container")
    assert (kit.volume, kit.network) == (None, None)
    assert storage.available(tmp_path) is not None


# --- no engine


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("tcp://10.0.0.1:2375", "DOCKER_HOST='tcp://10.0.0.1:2375' cannot be used: give unix:///path or"),
        ("ssh://me@here", "DOCKER_HOST='ssh://me@here' cannot be used"),
        ("unix:///nowhere/socket", "no Docker engine answers at unix:///nowhere/socket (No such file"),
        ("tcp://127.0.0.1:9", "no Docker engine answers at tcp://127.0.0.1:9 (Connection refused); start"),
    ],
)
def test_without_an_engine_it_is_said_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, host: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    target = DockerTarget(parse_description(BOXED, "n", "f.toml"))
    with pytest.raises(TargetError, match=re.escape(why)) as raised:
        target.open()
    assert "\n" not in str(raised.value)
    target.close()
    assert engine.available() == str(raised.value)
    row = next(row for row in doctor.machine() if row.what == "docker engine")
    assert not row.available
    assert why in row.note


def test_an_engine_that_talks_nonsense_is_one_line(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", fake.address)
    fake.version = "nonsense"
    why = engine.available()
    assert why is not None
    assert "\n" not in why


def test_doctor_names_the_engine_and_what_it_cannot_hold(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fake.address)
    row = next(row for row in doctor.machine() if row.what == "docker engine")
    assert row.available
    assert row.note.startswith("99.1 at unix://")
    assert DockerTarget.HOLDS in row.note


# --- removal


def test_all_that_has_the_label_goes_and_nothing_else(fake: FakeEngine) -> None:
    fake.fill()
    fake.stubborn, fake.late = 3, {"containers-ours-late": "s=ours"}
    assert reaper.clear_engine(fake.address, "s=ours")
    assert fake.left == THEIRS


@pytest.mark.parametrize("kind", ["containers", "networks", "volumes"])
def test_an_engine_that_does_not_say_what_it_has_is_not_clear(fake: FakeEngine, kind: str) -> None:
    fake.broken = kind
    assert not reaper.clear_engine(fake.address, "s=ours", 0.2)


def test_where_no_engine_is_there_is_no_wait(tmp_path: Path) -> None:
    since = time.monotonic()
    assert not reaper.clear_engine(f"unix://{tmp_path}/none", "s=ours", 600)
    assert time.monotonic() - since < 300


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_reaper_removes_what_a_dead_harness_left(fake: FakeEngine, forgotten: bool) -> None:
    fake.fill()
    told = f"+c{fake.address} s=ours\n" + (f"-c{fake.address} s=ours\n" if forgotten else "")
    subprocess.run(
        [sys.executable, "-I", "-S", reaper.__file__], input=told.encode(), timeout=WAIT_S, check=True
    )
    assert (len(fake.left) == 9) if forgotten else (fake.left == THEIRS)


# --- the collector inside


class FakeApi:
    """An engine's exec: gives chunks of (output, errors), then an exit status."""

    def __init__(self, chunks: list[tuple[bytes | None, bytes | None]], code: int | None) -> None:
        self.chunks, self.code = chunks, code
        self.released = threading.Event()

    def exec_create(self, container: str, argv: list[str], environment: dict[str, str]) -> dict[str, str]:
        assert container == "c"
        return {"Id": "e"}

    def exec_start(self, name: str, stream: bool, demux: bool) -> FakeApi:
        assert (name, stream, demux) == ("e", True, True)
        return self

    def __iter__(self) -> Iterator[tuple[bytes | None, bytes | None]]:
        yield from self.chunks
        if self.code is None:
            self.released.wait(WAIT_S)

    def close(self) -> None:
        self.released.set()

    def exec_inspect(self, name: str) -> dict[str, object]:
        return {"Running": self.code is None, "ExitCode": self.code}


def inside(api: FakeApi) -> Inside:
    client: Any = type("Client", (), {"api": api})()
    return Inside("n", client, "c")


def test_lines_are_whole_whatever_the_chunks() -> None:
    api = FakeApi([(b"on", None), (b"e\r\ntwo\nth", b"er"), (None, b"r\n"), (b"ree", None)], 3)
    seen: list[str] = []
    ended = inside(api).run(["gc"], WAIT_S, seen.append)
    assert (ended.code, ended.out, ended.err) == (3, ("one", "two", "three"), ("err",))
    assert not ended.timed_out
    assert seen == ["one", "two", "three"]


def test_a_collector_over_its_limit_is_said_to_be_killed() -> None:
    api = FakeApi([(b"one\n", None)], None)
    ended = inside(api).run(["gc"], 0.2, None)
    assert api.released.is_set()
    assert ended.timed_out
    description: Description = parse_description(BOXED, "n", "f.toml")
    assert description.collector is not None
    collected = ended.collected(description.collector)
    assert (collected.code, collected.lines) == (KILLED, ("one", "killed after 0.2 s"))


def test_what_a_gate_raises_ends_the_run() -> None:
    def gate(line: str) -> None:
        raise InterruptedError(line)

    run: Callable[..., object] = inside(FakeApi([(b"a\n", None)] * 9, 0)).run
    with pytest.raises(InterruptedError, match="a"):
        run(["gc"], WAIT_S, gate)
