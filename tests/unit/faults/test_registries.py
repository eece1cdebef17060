"""Gate and volume with real registries: calls are the same each time, and struck where they are named."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.faults import storage, syscall, volume
from harness.faults.syscall import Gate, Rule
from harness.faults.volume import Volume
from harness.targets.command import CommandTarget
from harness.targets.load import load_target
from harness.wire import Answer, Client, Request, bytes_source

from .conftest import WAIT_S, need, struck

IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONFIG, LAYER = b"{}" * 10, b"layer" * 3000
REPO = "a/b"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Trial:
    """A registry on a volume, under a gate, and a client."""

    def __init__(self, name: str) -> None:
        self.volume = Volume()
        target = load_target(name, disk=self.volume, gateway=self._make)
        assert isinstance(target, CommandTarget)
        self.target = target
        self.target.open()
        self.client = Client(self.target.url)

    def _make(self, folder: Path) -> Gate:
        self.gate = Gate(folder, power=self.volume.cut_power)
        return self.gate

    def send(self, method: str, path: str, body: bytes | None = None, type: str = "") -> Answer:
        headers = (("Content-Type", type),) if type else (("Accept", IMAGE),)
        source = None if body is None else bytes_source(body)
        return self.client.send(Request(method, path, headers, source))

    def push_blob(self, data: bytes) -> int | None:
        opened = self.send("POST", f"/v2/{REPO}/blobs/uploads/", b"", "application/octet-stream")
        place = opened.header("Location") or ""
        place += f"{'&' if '?' in place else '?'}digest={sha(data)}"
        return self.send("PUT", place, data, "application/octet-stream").status

    def push_manifest(self, tag: str, data: bytes) -> int | None:
        return self.send("PUT", f"/v2/{REPO}/manifests/{tag}", data, IMAGE).status

    def push(self, tag: str) -> list[int | None]:
        blobs = [self.push_blob(CONFIG), self.push_blob(LAYER)]
        return [*blobs, self.push_manifest(tag, image(tag))]

    def pull(self, tag: str) -> list[bytes | int | None]:
        paths = [f"blobs/{sha(CONFIG)}", f"blobs/{sha(LAYER)}", f"manifests/{tag}"]
        answers = [self.send("GET", f"/v2/{REPO}/{path}") for path in paths]
        return [answer.text if answer.status == 200 else answer.status for answer in answers]

    def close(self) -> None:
        self.client.close()
        self.target.close()
        assert self.gate.trouble is None


def image(note: str) -> bytes:
    def descriptor(data: bytes, type: str) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{type}", "digest": sha(data), "size": len(data)}

    layers = [descriptor(LAYER, "layer.v1.tar")]
    config = descriptor(CONFIG, "config.v1+json")
    notes = {"note": note}
    fields = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": config,
        "layers": layers,
        "annotations": notes,
    }
    return json.dumps(fields).encode()


@pytest.fixture(
    params=[
        pytest.param("distribution-2.8-nocache", marks=pytest.mark.peer("docker-registry")),
        "reference",
    ]
)
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    need(syscall.available())
    need(volume.available())
    made = Trial(request.param)
    yield made
    made.close()


only_distribution = pytest.mark.parametrize(
    "trial",
    [pytest.param("distribution-2.8-nocache", marks=pytest.mark.peer("docker-registry"))],
    indirect=True,
)


def test_the_same_push_makes_the_same_calls(trial: Trial) -> None:
    rounds = []
    for _ in range(3):
        trial.target.fresh()
        before = trial.gate.count
        assert trial.push("t") == [201, 201, 201]
        rounds.append([point.group for point in trial.gate.points(before)])
    assert len(rounds[0]) > 80
    assert rounds[0] == rounds[1] == rounds[2]


def test_what_was_acknowledged_survives_a_power_cut_at_a_call(trial: Trial) -> None:
    assert trial.push("kept") == [201, 201, 201]
    armed = trial.gate.arm(Rule("power", path="*_manifests/tags/lost*"))
    assert trial.push_manifest("lost", image("lost")) is None
    struck(armed)
    assert trial.volume.dead
    assert not trial.target.running()
    trial.target.start()
    assert not trial.volume.dead
    assert trial.pull("kept") == [CONFIG, LAYER, image("kept")]
    assert trial.push_manifest("lost", image("lost")) == 201
    assert trial.pull("lost")[-1] == image("lost")


def test_a_full_disk_at_a_call_is_an_error_and_passes(trial: Trial) -> None:
    armed = trial.gate.arm(Rule("enospc", "write", sticky=True))
    status = trial.push_blob(LAYER)
    assert status is None or status >= 400
    struck(armed)
    armed.disarm()
    assert trial.push("t") == [201, 201, 201]
    assert trial.pull("t") == [CONFIG, LAYER, image("t")]


def test_a_held_request_does_not_hold_others(trial: Trial) -> None:
    assert trial.push("t") == [201, 201, 201]
    armed = trial.gate.arm(Rule("hold", path="*_manifests/tags/t*"))
    pusher = Client(trial.target.url)
    request = Request(
        "PUT", f"/v2/{REPO}/manifests/t", (("Content-Type", IMAGE),), bytes_source(image("new"))
    )
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(pusher.send(request)))
    thread.start()
    struck(armed)
    assert trial.pull("t") == [CONFIG, LAYER, image("t")]
    assert answers == []
    assert armed.release()
    thread.join(WAIT_S)
    pusher.close()
    assert [answer.status for answer in answers] == [201]
    assert trial.pull("t")[-1] == image("new")


@only_distribution
def test_a_collection_beside_a_push_loses_blobs_each_time(trial: Trial) -> None:
    """The collector holds before it removes its first file; the push of a manifest that references it is
    acknowledged; then the collector goes on."""
    for _ in range(3):
        trial.target.fresh()
        assert [trial.push_blob(CONFIG), trial.push_blob(LAYER)] == [201, 201]
        armed = trial.gate.arm(Rule("hold", "unlink", "*/blobs/*", by="collector"))
        collected: list[int] = []
        thread = threading.Thread(
            target=lambda into: into.append(trial.target.collect(untagged=False).code), args=(collected,)
        )
        thread.start()
        struck(armed)
        assert trial.push_manifest("t", image("t")) == 201
        armed.release()
        thread.join(WAIT_S)
        assert collected == [0]
        assert trial.pull("t") == [404, 404, image("t")]


@only_distribution
def test_a_kill_between_two_calls_breaks_an_acknowledged_tag(trial: Trial) -> None:
    """Distribution 2.8 cuts the link of a tag to nothing before it writes it anew."""
    assert trial.push("t") == [201, 201, 201]
    armed = trial.gate.arm(Rule("kill", "write", "*/tags/t/current/link"))
    assert trial.push_manifest("t", image("new")) is None
    assert struck(armed).endswith("_manifests/tags/t/current/link")
    assert storage.find(trial.volume.storage, "tag", repo=REPO, tag="t").read_bytes() == b""
    trial.target.start()
    assert trial.pull("t")[-1] == 500


@pytest.mark.parametrize(
    "damage", [lambda path: storage.flip(path, 7), lambda path: storage.truncate(path, 7)]
)
def test_a_damaged_blob_is_found_where_it_is_stored(trial: Trial, damage: Callable[[Path], None]) -> None:
    assert trial.push("t") == [201, 201, 201]
    assert storage.available(trial.volume.storage) is None
    damage(storage.find(trial.volume.storage, "content", digest=sha(LAYER)))
    assert trial.pull("t")[1] != LAYER
