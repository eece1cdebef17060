"""Collecting inside a server, over every driver, with what it came to in logs and metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from reference_impl.drivers.s3.place import Place

from . import buckets
from .conftest import PROJECT, Server, eventually
from .images import image, push_blob, push_image, put_manifest, sha
from .test_operator_metrics import read, value


def s3_settings(place: Place, folder: Path, prefix: str) -> list[str]:
    chosen = {
        "driver": "s3", "s3.bucket": place.bucket, "s3.endpoint": str(place.endpoint),
        "s3.region": str(place.region), "s3.access_key_id": str(place.access_key_id),
        "s3.secret_access_key": str(place.secret_access_key), "s3.prefix": prefix,
        "s3.coordination": str(folder / "coordination"),
    }  # fmt: skip
    return [part for key, text in chosen.items() for part in ("--set", f"storage.{key}={text}")]


def storage(request: pytest.FixtureRequest, kind: str, folder: Path) -> list[str]:
    if kind == "s3":
        return s3_settings(request.getfixturevalue("place"), folder, buckets.fresh_prefix())
    return ["--driver", kind, "--root", str(folder / "store"), "--unsafe-no-fsync"]


def reclaimed(client: httpx.Client) -> float:
    return value(read(client.get("/metrics").text), "registry_collection_reclaimed_bytes_total")


@pytest.mark.parametrize("kind", ["filesystem", "memory", "s3"])
def test_collecting_now_and_then(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    options = ("--collect-every", "0.05", "--grace", "0", "--delete-untagged", "--session-age", "3600")
    watched = ("--metrics", "public", "--log-format", "json", "--stop-grace", "0")
    server = Server(*storage(request, kind, tmp_path), *options, *watched, log=tmp_path / "log")
    client = server.client
    body = image(b"{}", b"layer")

    def pushed() -> bool:
        """Without a grace, what is pushed may be collected before a manifest refers to it."""
        for data in (b"{}", b"layer"):
            push_blob(client, "a", data)
        return put_manifest(client, "a", "t", body).status_code == 201

    eventually(pushed)
    before = reclaimed(client)
    unused = push_blob(client, "a", b"not referred to by anything")
    location = client.post("/v2/a/blobs/uploads/").headers["location"]
    # Asking for the blob would renew its lease.
    eventually(lambda: reclaimed(client) >= before + len(b"not referred to by anything"))
    assert client.get(f"/v2/a/blobs/{unused}").status_code == 404
    series = read(client.get("/metrics").text)
    assert value(series, "registry_collections_total", outcome="done") >= 1
    assert value(series, "registry_collection_last_success_timestamp_seconds") > 1.7e9
    assert client.get("/v2/a/manifests/t").content == body
    assert client.get(f"/v2/a/blobs/{sha(b'layer')}").content == b"layer"
    assert client.get(location).status_code == 204
    assert server.stop() == 0
    told = [json.loads(line) for line in server.logged().splitlines()]
    collected = [line for line in told if line["message"] == "collected"]
    assert any(line.get("blobs_purged") for line in collected)
    assert {line["outcome"] for line in collected} <= {"done", "stopped"}


def test_an_image_that_is_being_pushed_is_spared_unless_told_otherwise(tmp_path: Path) -> None:
    server = Server(
        *("--driver", "memory", "--collect-every", "0.05", "--metrics", "public", "--log-level", "debug"),
        log=tmp_path / "log",
    )
    young = push_blob(server.client, "a", b"not referred to yet")

    def collections() -> float:
        return value(read(server.client.get("/metrics").text), "registry_collections_total", outcome="done")

    before = collections()
    eventually(lambda: collections() > before + 2)
    assert server.client.get(f"/v2/a/blobs/{young}").status_code == 200
    assert server.stop() == 0


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = ("--collect-every", "0.05", "--grace", "0", "--unsafe-no-fsync", "--metrics", "public")
    server = Server("--root", str(store), "--unsafe-no-fsync")
    body = push_image(server.client, "a", "t")
    assert server.stop() == 0
    server = Server("--root", str(store), *options, log=tmp_path / "log")
    name = sha(body).removeprefix("sha256:")
    (store / f"docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data").write_bytes(b"{")
    eventually(lambda: "outcome=unreadable" in server.logged())
    assert server.stop() == 0
    assert name in server.logged()


def test_a_collector_beside_the_server_goes_first(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    command = [sys.executable, "-m", "reference_impl", "collect", "--root", store, "--pause-at", "marked"]
    server = Server("--root", store, "--unsafe-no-fsync")
    push_image(server.client, "a", "t")
    assert server.stop() == 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as other:
        assert other.stdout is not None
        while "paused" not in other.stdout.readline():
            pass
        server = Server("--root", store, "--collect-every", "0.05", log=tmp_path / "log")
        eventually(lambda: "outcome=busy" in server.logged())
        assert server.stop() == 0
        other.communicate("\n", timeout=20)
    assert other.returncode == 0


def test_read_only_registries_do_not_collect(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reference_impl", "serve", "--driver", "memory", "--port", "0"]
    done = subprocess.run(
        [*command, "--read-only", "--collect-every", "5"],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=PROJECT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "reference_impl: collect.interval_s: a registry that is read-only cannot collect"
    )


def test_collecting_a_bucket_from_the_command_line(place: Place, tmp_path: Path) -> None:
    options = s3_settings(place, tmp_path, buckets.fresh_prefix())
    server = Server(*options, "--stop-grace", "0")
    body = push_image(server.client, "a", "t", b"layer")
    unused = push_blob(server.client, "a", b"unused")
    command = [sys.executable, "-m", "reference_impl", "collect", *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=PROJECT)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["blobs_purged"] == 1
    assert server.client.get(f"/v2/a/blobs/{unused}").status_code == 404
    assert server.client.get("/v2/a/manifests/t").content == body
    assert server.stop() == 0


def test_a_bucket_that_cannot_be_used(place: Place, tmp_path: Path) -> None:
    options = s3_settings(place, tmp_path, "")
    command = [sys.executable, "-m", "reference_impl", "serve", "--port", "0", *options]
    for more, code, expected in [
        (("--set", "storage.s3.bucket=absent"), 1, "cannot use the bucket absent: "),
        (("--set", "storage.s3.coordination="), 2, "storage.s3.coordination: "),
        (("--set", "storage.s3.part_size_bytes=1"), 2, "storage.s3.part_size_bytes: "),
        (("--set", f"storage.s3.coordination={__file__}"), 1, f"cannot use {__file__}: "),
    ]:
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=60, cwd=PROJECT)
        assert (done.returncode, done.stdout) == (code, "")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"reference_impl: {expected}")
        assert "secret" not in line.partition(": ")[2]
