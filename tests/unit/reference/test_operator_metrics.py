"""Metrics and health, for whoever watches over a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from reference_impl.api.app import build
from reference_impl.api.health import Health
from reference_impl.api.limits import Limits
from reference_impl.api.metrics import Metrics, UploadCount
from reference_impl.api.resource import Context
from reference_impl.auth.none import Everyone
from reference_impl.drivers.base import Driver, Stat, Unavailable
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry.store import Registry

from .conftest import Server, eventually
from .images import push_blob, push_image, sha

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((name, frozenset(labels.items())), 0.0)


def test_a_port_of_its_own(tmp_path: Path) -> None:
    options = ("--metrics", "separate", "--metrics-port", "0", "--stop-grace", "0")
    server = Server("--root", str(tmp_path), "--unsafe-no-fsync", *options)
    said = server.line()
    assert said.startswith("metrics on http://127.0.0.1:")
    url = said.split()[-1]
    client = server.client
    push_image(client, "a", "t", b"layer")
    open_upload = client.post("/v2/a/blobs/uploads/").headers["location"]
    client.get("/v2/a/manifests/t")
    client.get("/v2/a/manifests/none")
    client.get(f"/v2/a/blobs/{sha(b'layer')}")
    assert client.get("/metrics").status_code == 404
    eventually(lambda: value(read(httpx.get(url).text), "registry_open_uploads") == 1)
    series = read(httpx.get(url).text)
    manifests = {"method": "GET", "route": "/v2/{name}/manifests/{reference}"}
    assert value(series, "registry_http_requests_total", **manifests, status="200") == 1
    assert value(series, "registry_http_requests_total", **manifests, status="404") == 1
    assert value(series, "registry_http_request_duration_seconds_count", **manifests) == 2
    assert 0 < value(series, "registry_http_request_duration_seconds_sum", **manifests) < 20
    assert value(series, "registry_http_received_bytes_total") > len(b"layer")
    assert value(series, "registry_http_sent_bytes_total") > len(b"layer")
    [(_, build_info)] = [key for key in series if key[0] == "registry_build_info"]
    assert dict(build_info)["driver"] == "filesystem"
    assert value(series, "process_open_fds") > 0
    assert client.delete(open_upload).status_code == 204
    assert server.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_public_port() -> None:
    server = Server("--driver", "memory", "--metrics", "public")
    for _ in range(3):
        server.client.get("/v2/")
    text = server.client.get("/metrics").text
    assert value(read(text), "registry_http_requests_total", method="GET", route="/v2/", status="200") == 3
    assert server.client.post("/metrics").status_code == 405
    assert server.stop() == 0


def test_off_unless_asked_for() -> None:
    server = Server("--driver", "memory")
    assert server.client.get("/metrics").status_code == 404
    assert server.stop() == 0


def asked(driver: Driver, ask: Callable[[httpx.AsyncClient], object], metrics: Metrics) -> None:
    async def run() -> None:
        app = build(Registry(driver), watchers=[metrics.watch])
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://registry.example"
        ) as client:
            await ask(client)  # type: ignore[misc]

    asyncio.run(run())


def test_clients_cannot_make_series() -> None:
    metrics = Metrics("memory", lambda: 0)

    async def odd(client: httpx.AsyncClient) -> None:
        for number in range(50):
            for method in ("GET", "PUT", f"ODD{number}"):
                await client.request(method, f"/v2/r{number}/manifests/t{number}")
                await client.request(method, f"/{number}")
                await client.request(method, f"/v2/{number}%00/blobs/x")

    asked(MemoryDriver(), odd, metrics)
    labels = [
        sample.labels
        for family in metrics.registry.collect()
        if family.name == "registry_http_requests"
        for sample in family.samples
        if sample.name.endswith("_total")
    ]
    assert {one["method"] for one in labels} == {"GET", "PUT", "other"}
    assert {one["route"] for one in labels} == {
        "/v2/{name}/manifests/{reference}", "/v2/{name}/blobs/{digest}", "unknown",
    }  # fmt: skip
    assert len(labels) < 12


def test_storage_faults_are_counted() -> None:
    class Gone(MemoryDriver):
        def list(self, path: str) -> list[str]:
            raise Unavailable("gone for lunch")

    metrics = Metrics("memory", lambda: 0)

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.get("/v2/_catalog")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "lunch" not in answer.text
        await client.get("/v2/")

    asked(Gone(), ask, metrics)
    assert metrics.registry.get_sample_value("registry_storage_errors_total", {"kind": "unavailable"}) == 1


def test_collections_are_counted() -> None:
    metrics = Metrics("memory", lambda: 0)
    metrics.collected("done", 2.0, 100)
    metrics.collected("failed", 4.0, 10)
    get = metrics.registry.get_sample_value
    assert get("registry_collections_total", {"outcome": "done"}) == 1
    assert get("registry_collections_total", {"outcome": "failed"}) == 1
    assert get("registry_collection_duration_seconds_sum") == 6
    assert get("registry_collection_reclaimed_bytes_total") == 110
    at = get("registry_collection_last_success_timestamp_seconds")
    assert at is not None
    assert at > 1.7e9


def test_open_uploads_are_counted_aside() -> None:
    """Whoever asks never waits for the count, and many who ask do not make it more often."""
    go_on, counts = threading.Event(), []

    def count() -> int:
        assert go_on.wait(20)
        counts.append(1)
        return 7

    uploads = UploadCount(count)
    for _ in range(100):
        assert uploads.latest() != uploads.latest()  # not a number yet
    go_on.set()
    eventually(lambda: uploads.latest() == 7)
    for _ in range(100):
        uploads.latest()
    assert len(counts) == 1


# -- health --------------------------------------------------------------------------------


def test_alive_and_ready(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path / "store"), "--set", "auth.kind=none")
    for path in ("/healthz", "/readyz"):
        for answer in (server.client.get(path), server.client.head(path)):
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    push_blob(server.client, "a", b"x")
    assert server.client.get("/readyz").status_code == 200
    assert server.client.put("/readyz").status_code == 405
    assert server.stop() == 0


class Moody(MemoryDriver):
    """Its stat says what it is told to say."""

    def __init__(self, say: Callable[[], object]) -> None:
        super().__init__()
        self._say = say

    def stat(self, path: str) -> Stat:
        self._say()
        return super().stat(path)


def statuses(driver: Driver, limit_s: float, times: int) -> list[int]:
    async def ask() -> list[int]:
        health = Health(Context(Registry(driver), Everyone(), Limits()), limit_s)
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
        alive = await health.alive(request)
        assert alive.status_code == 200
        answers = await asyncio.gather(*(health.ready(request) for _ in range(times)))
        return [answer.status_code for answer in answers]

    return asyncio.run(ask())


def test_storage_that_fails_is_not_ready() -> None:
    def fail() -> None:
        raise Unavailable("no")

    assert statuses(Moody(fail), 20, 1) == [503]
    assert statuses(MemoryDriver(), 20, 1) == [200]


def test_storage_that_hangs_is_not_ready_and_is_asked_once() -> None:
    go_on, calls = threading.Event(), []

    def hang() -> None:
        calls.append(1)
        assert go_on.wait(20)

    timer = threading.Timer(1.0, go_on.set)
    timer.start()
    assert statuses(Moody(hang), 0.1, 10) == [503] * 10
    assert len(calls) == 1
    timer.join()
