"""Hostile requests leave nothing in memory, and need little of it on their way."""

from __future__ import annotations

import asyncio
import gc
import platform
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import ASGIApp

from reference_impl.api.app import build
from reference_impl.drivers.memory import MemoryDriver, MemoryReader
from reference_impl.registry import documents
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .conftest import PROJECT
from .images import index, sha, store_image

ABSENT = sha(b"absent")
OTHER_SESSION = "00000000-0000-4000-8000-000000000000"


class Failing(MemoryDriver):
    """Cannot open a thing once it is told to."""

    fails = False

    def open(self, path: str) -> MemoryReader:
        if self.fails:
            raise OSError(5, "broken")
        return super().open(path)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector runs only when it is asked to, and looks at nothing older than the test."""
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def ask(app: ASGIApp, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": False},
        {"type": "http.disconnect"},
    ]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    path, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "headers": headers, "state": {}, "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return statuses[0]


def test_no_request_waits_for_the_garbage_collector(no_collector: None) -> None:
    """Whatever is in a circle stays until the next full collection, and that may be far: so is a refused
    manifest with all its objects, if what refused it holds on to itself."""
    driver = Failing()
    registry = Registry(driver)
    app = build(registry)
    there = store_image(registry, "a", "t", b"layer")
    session = registry.sessions.create("a")
    unknown = index(b"child")
    large = b'{"mediaType": "a/b", "x": [' + b'{"a":0},' * 40_000 + b"0]}"
    json_type = [(b"content-type", b"c/d")]
    requests: list[tuple[int, str, str, bytes, list[tuple[bytes, bytes]]]] = [
        (200, "GET", "/v2/a/manifests/t", b"", []),
        (404, "GET", f"/v2/a/manifests/{ABSENT}", b"", []),
        (400, "GET", "/v2/A/manifests/t", b"", []),
        (400, "PUT", "/v2/a/manifests/x", b"{", []),
        (400, "PUT", "/v2/a/manifests/x", b"[" * 100_000, []),
        (400, "PUT", "/v2/a/manifests/x", large, json_type),
        (404, "PUT", "/v2/a/manifests/x", unknown, []),
        (400, "PUT", f"/v2/a/manifests/{ABSENT}", there, []),
        (413, "PUT", "/v2/a/manifests/x", bytes((4 << 20) + 1), []),
        (404, "GET", f"/v2/a/blobs/{ABSENT}", b"", []),
        (500, "GET", f"/v2/a/blobs/{sha(b'layer')}", b"", []),
        (404, "PATCH", f"/v2/a/blobs/uploads/{OTHER_SESSION}", b"x", []),
        (416, "PATCH", f"/v2/a/blobs/uploads/{session}", b"x", [(b"content-range", b"5-5")]),
        (400, "PUT", f"/v2/a/blobs/uploads/{session}?digest={ABSENT}", b"x", []),
        (400, "POST", f"/v2/a/blobs/uploads/?digest={ABSENT}", b"x", []),
        (400, "POST", "/v2/a/blobs/uploads/?digest=x", b"x", []),
        (400, "GET", "/v2/a/tags/list?n=x", b"", []),
        (405, "POST", "/v2/_catalog", b"", []),
        (404, "GET", "/elsewhere", b"", []),
    ]

    async def garbage() -> list[str]:
        left = []
        for status, method, path, body, headers in requests:
            driver.fails = status == 500
            assert await ask(app, method, path, body, headers) == status, path
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(5):
                await ask(app, method, path, body, headers)
            gc.collect()
            gc.set_debug(0)
            kinds = Counter(type(one).__name__ for one in gc.garbage)
            gc.garbage.clear()
            if kinds:
                left.append(f"{method} {path[:60]} ({status}): {kinds.most_common(4)}")
        return left

    assert asyncio.run(garbage()) == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has to be told")
def test_freed_blocks_go_back() -> None:
    """By itself glibc keeps the second block of a size, for a third one."""
    script = """if True:
        import sys
        from pathlib import Path
        from reference_impl.allocator import give_back_soon
        if sys.argv[1] == "told":
            assert give_back_soon()
        def resident_kib():
            status = Path("/proc/self/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])
        before = resident_kib()
        for _ in range(2):
            block = b"x" * (5 << 20)
            del block
        print(resident_kib() - before)
    """
    kept_kib = {
        when: int(subprocess.check_output([sys.executable, "-c", script, when], cwd=PROJECT, timeout=60))
        for when in ("told", "by itself")
    }
    assert kept_kib["told"] < 1 << 10 < 4 << 10 < kept_kib["by itself"]


def test_large_manifests_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects need many times the memory of their JSON."""
    monkeypatch.setattr(documents, "LARGE_BYTES", 30_000)
    body = b'{"mediaType": "a/b", "x": [' + b"[]," * (documents.LARGE_BYTES // 3) + b"0]}"
    alone_bytes = _peak_bytes(body, 1)
    assert alone_bytes > 5 * len(body)
    assert _peak_bytes(body, 6) < 2 * alone_bytes


def _peak_bytes(body: bytes, threads: int) -> int:
    ready = threading.Barrier(threads)

    def read() -> None:
        ready.wait()
        for content_type, wrong in (("c/d", True), ("", False)):
            try:
                documents.parse(body, content_type)
            except Refusal:
                assert wrong
            assert documents.stored_type(body) == "a/b"

    lanes = [threading.Thread(target=read) for _ in range(threads)]
    tracemalloc.start()
    try:
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_refusal_holds_nothing_of_the_document() -> None:
    body = b'{"mediaType": "a/b", "x": [' + b"[]," * 100_000 + b"0]}"
    tracemalloc.start()
    try:
        refusals = []
        for _ in range(3):
            with pytest.raises(Refusal) as caught:
                documents.parse(body, "c/d")
            refusals.append(caught.value)
        assert tracemalloc.get_traced_memory()[0] < len(body)
    finally:
        tracemalloc.stop()
    assert len(refusals) == 3
