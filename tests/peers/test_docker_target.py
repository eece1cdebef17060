"""The harness against registries in containers, on an engine of the test's own: nothing stays behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.targets.base import TargetError
from harness.targets.description import CollectorCommand, Description, parse_description
from harness.targets.docker import DockerTarget

from . import programs
from .engine import Engine
from .images import (
    FILE,
    REFERENCE_FILE,
    REFERENCE_IMAGE,
    REGISTRY_IMAGE,
    program_image,
    reference_image,
)
from .registries import PROJECT

RUN_LIMIT_S = 240.0
REAP_LIMIT_S = 30.0
_KINDS = (("ps", "--all"), ("network", "ls", "--filter", "type=custom"), ("volume", "ls"))
pytestmark = pytest.mark.peer("docker", "dockerd", "unshare", "docker-registry")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as started:
        program_image(started, REGISTRY_IMAGE, "docker-registry")
        yield started


@pytest.fixture(autouse=True)
def _nothing_left(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", engine.environment["DOCKER_HOST"])
    processes, mounted = set(engine.processes()), mounts(engine)
    yield
    assert left(engine) == []
    assert set(engine.processes()) <= processes
    assert mounts(engine) == mounted


@pytest.fixture
def target() -> Iterator[DockerTarget]:
    made = DockerTarget(description())
    yield made
    made.close()


def description() -> Description:
    return parse_description(FILE, "boxed", "boxed.toml")


def left(engine: Engine) -> list[str]:
    return [word for kind in _KINDS for word in engine.docker(*kind, "--quiet").split()]


def mounts(engine: Engine) -> set[str]:
    """The mount points of the engine's containers: it keeps its host's network name space for itself."""
    lines = Path(f"/proc/{engine.processes()[-1]}/mounts").read_text().splitlines()
    points = {line.split()[1] for line in lines if not line.startswith("nsfs ")}
    return {point for point in points if point.startswith(str(engine.folder))}


def push_blob(target: DockerTarget, repository: str, data: bytes) -> None:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    start = urllib.request.Request(f"{target.url}/v2/{repository}/blobs/uploads/", method="POST")
    with urllib.request.urlopen(start, timeout=10) as answer:
        place = f"{answer.headers['Location']}&digest={digest}"
    put = urllib.request.Request(place, data, {"Content-Type": "application/octet-stream"}, method="PUT")
    with urllib.request.urlopen(put, timeout=10) as answer:
        assert answer.status == 201


def status(target: DockerTarget, path: str = "/v2/", method: str = "GET") -> int:
    request = urllib.request.Request(f"{target.url}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_life(target: DockerTarget, engine: Engine) -> None:
    target.open()
    assert len(left(engine)) == 2
    assert status(target) == 200
    assert status(target, "/v2/a/blobs/uploads/", "POST") == 202
    target.kill()
    assert not target.running()
    target.kill()
    target.start()
    assert status(target) == 200
    target.restart()
    assert status(target) == 200
    target.pause()
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(f"{target.url}/v2/", timeout=0.3)
    target.resume()
    assert status(target) == 200
    target.pause()
    target.kill()
    assert not target.running()
    target.start()
    assert status(target) == 200
    assert "level=" in target.log()


def test_a_kill_keeps_the_volume_and_fresh_empties_it(target: DockerTarget, engine: Engine) -> None:
    target.open()
    assert status(target, "/v2/kept/blobs/uploads/", "POST") == 202
    target.kill()
    target.start()
    assert "kept" in stored(target, engine)
    target.fresh()
    assert "kept" not in stored(target, engine)
    assert len(left(engine)) == 2


def stored(target: DockerTarget, engine: Engine) -> str:
    volume = engine.docker("volume", "ls", "--quiet", "--filter", f"label={target.label}")
    folder = engine.folder / "data" / "volumes" / volume / "_data"
    return "\n".join(str(path) for path in folder.rglob("*"))


def test_the_collector_runs_inside_line_by_line(target: DockerTarget) -> None:
    target.open()
    push_blob(target, "a", b"unreferenced")
    seen: list[str] = []
    ended = target.collect(untagged=True, gate=seen.append)
    assert ended.code == 0, ended.lines
    assert any("blob eligible for deletion" in line for line in seen), seen
    assert list(ended.lines[: len(seen)]) == seen
    assert ended.removed == 1
    assert status(target) == 200


def test_a_collector_ends_with_a_registry_that_is_killed(target: DockerTarget) -> None:
    target.open()
    push_blob(target, "a", b"unreferenced")
    ended = target.collect(untagged=False, gate=lambda line: target.kill())
    # The collector may have been through before its first line was looked at.
    assert ended.code in (0, 137, -9)
    assert not target.running()
    with pytest.raises(TargetError, match="the collector needs a running container; start it first"):
        target.collect(untagged=False)
    target.start()
    assert target.collect(untagged=False).code == 0


def test_a_collector_that_does_not_end_is_killed_with_its_container(engine: Engine) -> None:
    known = description()
    served = known.files["config.yml"].replace("{port}", "0")
    never = CollectorCommand(("/bin/docker-registry", "serve", "{work}/other.yml"), limit_s=1.5)
    files = {**known.files, "other.yml": served}
    target = DockerTarget(replace(known, collector=never, files=files))
    try:
        target.open()
        push_blob(target, "kept", b"kept")
        before = len(engine.processes())
        ended = target.collect(untagged=False)
        assert ended.code == -9
        assert ended.lines[-1] == "killed after 1.5 s"
        assert len(engine.processes()) == before
        assert "kept" in stored(target, engine)
        assert status(target) == 200
    finally:
        target.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "nowhere:1"}, "there is no image 'nowhere:1' in the engine at unix://"),
        ({"network": "bridge"}, 'the engine has no network "bridge"; write network = "host"'),
    ],
)
def test_what_cannot_be_made_is_one_line(change: dict[str, Any], why: str) -> None:
    known = description()
    assert known.container is not None
    target = DockerTarget(replace(known, container=replace(known.container, **change)))
    with pytest.raises(TargetError) as raised:
        target.open()
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("/bin/docker-registry", "serve", "/nowhere"), "ended at its start with exit status 1; it said: "),
        (("/bin/nothing",), "cannot be started: "),
        ((), "cannot be made: No command specified"),
    ],
)
def test_a_failing_open_says_why_and_leaves_nothing(command: tuple[str, ...], why: str) -> None:
    target = DockerTarget(replace(description(), command=command))
    with pytest.raises(TargetError) as raised:
        target.open()
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    # The fixture looks at what is left before anything else is closed.
    assert target.label == ""


_MORTAL = """
import sys
from pathlib import Path
from typing import Any
from harness.targets.load import load_target
target = load_target(Path(sys.argv[1]))
target.open()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_harness_that_is_ended_leaves_nothing(engine: Engine, tmp_path: Path, number: int) -> None:
    file = tmp_path / "boxed.toml"
    file.write_text(FILE)
    harness = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-c", _MORTAL, str(file)],
        cwd=PROJECT,
        env={**os.environ, **engine.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert harness.stdout is not None
    assert harness.stdin is not None
    with harness, harness.stdout as said:
        assert said.readline() == b"open\n"
        assert len(left(engine)) == 2
        harness.send_signal(number)
        harness.wait(10)
    limit = time.monotonic() + REAP_LIMIT_S
    while left(engine):
        assert time.monotonic() < limit
        time.sleep(0.05)


_BRIDGED = """
import os
from harness.targets.description import parse_description
from harness.targets.docker import DockerTarget
from tests.peers.engine import Engine
from tests.peers.images import FILE, REGISTRY_IMAGE, program_image
from tests.peers.test_docker_target import left, status

options = ("--exec-opt=native.cgroupdriver=cgroupfs", "--storage-driver=vfs", "--ip6tables=false")
with Engine(options) as engine:
    os.environ |= engine.environment
    program_image(engine, REGISTRY_IMAGE, "docker-registry")
    target = DockerTarget(parse_description(FILE, "boxed", "boxed.toml"))
    try:
        target.open()
        print(status(target), target.url.removeprefix("http://") in engine.docker("ps"))
        target.unplug()
        try:
            print(status(target))
        except OSError:
            print("unplugged")
        target.plug_in()
        target.plug_in()
        print(status(target))
        target.unplug()
        target.plug_in()
        target.restart()
        target.fresh()
        print(status(target))
    finally:
        target.close()
    print(left(engine))
"""


@pytest.mark.peer("ip")
def test_the_port_is_published_where_the_engine_has_a_bridge() -> None:
    """In a network of the test's own: an engine with a bridge changes the one that it is in."""
    inside = 'ip link set lo up; exec "$@"'
    command = ["unshare", "--net", "sh", "-ec", inside, "sh", sys.executable, "-c", _BRIDGED]
    assert programs.run(*command, cwd=PROJECT).decode() == "200 True\nunplugged\n200\n200\n[]\n"


def test_the_harness_finds_what_is_wrong_with_a_registry_in_a_container(
    engine: Engine, tmp_path: Path
) -> None:
    ran = trials(engine, tmp_path, FILE, "test_listing")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "seatrial-out" / "findings.json").read_text())
    assert "P7" in {finding["property"] for finding in found["findings"]}


def test_the_reference_in_a_container_holds(engine: Engine, tmp_path: Path) -> None:
    reference_image(engine, REFERENCE_IMAGE)
    ran = trials(engine, tmp_path, REFERENCE_FILE, "test_listing or test_durability or test_collection")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "seatrial-out" / "findings.json").read_text())
    assert found["findings"] == []


def trials(engine: Engine, folder: Path, text: str, families: str) -> subprocess.CompletedProcess[str]:
    file = folder / "boxed.toml"
    file.write_text(text)
    command = ["run", "--target-file", str(file), "--profile", "quick", "--seed", "1", "--budget", "4"]
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *command, "-k", families],
        cwd=folder,
        env={**os.environ, **engine.environment, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
    )
