"""The registries of the catalogue, for real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from harness.targets.base import Target, TargetError
from harness.targets.load import find_description, load_target
from harness.targets.probe import Probed, probe
from harness.wire import Client, Request, bytes_source

DISTRIBUTION = pytest.param(
    "distribution-2.8",
    marks=[
        pytest.mark.peer("docker-registry"),
        pytest.mark.skipif(shutil.which("docker-registry") is None, reason="apt-get install docker-registry"),
    ],
)
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    found = load_target(request.param)
    found.open()
    yield found
    found.close()


def push(target: Target) -> None:
    client = Client(target.url)
    opened = client.send(Request("POST", "/v2/a/blobs/uploads/", body=bytes_source(b"")))
    location = opened.header("Location")
    assert location is not None
    joint = "&" if "?" in location else "?"
    done = client.send(Request("PUT", f"{location}{joint}digest={HELLO}", body=bytes_source(b"hello")))
    assert done.status == 201
    client.close()


def status(target: Target) -> int | None:
    client = Client(target.url)
    try:
        return client.send(Request("HEAD", f"/v2/a/blobs/{HELLO}")).status
    finally:
        client.close()


def probed(target: Target) -> Probed:
    return probe(target.url, lambda: Client(target.url), "ns")


@pytest.mark.parametrize("target", [DISTRIBUTION, "reference"], indirect=True)
def test_what_is_stored_survives_a_kill_but_not_a_fresh_start(target: Target) -> None:
    push(target)
    target.kill()
    target.start()
    assert status(target) == 200
    target.fresh()
    assert status(target) == 404


@pytest.mark.parametrize("target", [DISTRIBUTION, "reference"], indirect=True)
@pytest.mark.parametrize("untagged", [False, True])
def test_the_collector_says_what_it_removes(target: Target, untagged: bool) -> None:
    push(target)
    seen: list[str] = []
    collected = target.collect(untagged=untagged, gate=seen.append)
    assert collected.code == 0, collected.lines
    assert collected.removed == 1
    assert list(collected.lines[: len(seen)]) == seen
    assert any("blobs marked" in line for line in seen)


@pytest.mark.parametrize("target", [DISTRIBUTION], indirect=True)
def test_a_distribution_held_after_the_mark_has_removed_nothing(target: Target) -> None:
    push(target)
    seen: list[int | None] = []

    def gate(line: str) -> None:
        if "blobs marked" in line:
            seen.append(status(target))

    data = list(target.storage.rglob("data"))  # type: ignore[attr-defined]
    assert target.collect(untagged=False, gate=gate).removed == 1
    assert seen == [200]
    assert not any(path.exists() for path in data)


@pytest.mark.parametrize("target", ["reference-memory"], indirect=True)
def test_memory_forgets(target: Target) -> None:
    push(target)
    assert not target.promises.durable
    target.restart()
    assert status(target) == 404


@pytest.mark.parametrize("target", [DISTRIBUTION], indirect=True)
def test_what_distribution_can_do(target: Target) -> None:
    found = probed(target)
    lacking = {"single-post", "mount-anywhere", "tag-delete", "tag-params", "sha512-manifest"}
    lacking |= {"referrers", "referrers-filter"}
    assert set(found.reasons) - found.supports == lacking, found.reasons


@pytest.mark.parametrize("target", ["reference"], indirect=True)
def test_what_the_reference_can_do(target: Target) -> None:
    found = probed(target)
    assert set(found.reasons) - found.supports <= {"mount-anywhere"}, found.reasons


def test_the_reference_can_deviate() -> None:
    plain = find_description("reference")
    made = find_description("reference+one+two~three")
    assert made.name == "reference+one+two~three"
    options = ("--defect", "one", "--defect", "two", "--variant", "three")
    assert made.command == (*plain.command, *options)
    assert made.collector is not None
    assert plain.collector is not None
    assert made.collector.command == (*plain.collector.command, *options)
    assert made.collector.untagged == (*plain.collector.untagged, *options)
    assert find_description("reference-memory+one").collector is None


@pytest.mark.parametrize("name", ["distribution-2.8+one", "reference+", "nothing+one", "reference-x+one"])
def test_others_cannot(name: str) -> None:
    with pytest.raises(TargetError, match=r"there is no target|cannot be read"):
        find_description(name)
