"""Metrics for Prometheus.

No label has a value that a client can choose: routes are patterns, methods are known ones.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response

from .observe import Exchange

_DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_COLLECTIONS_S = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200)


class Metrics:
    """``count_uploads`` counts the open uploads, which may take long: it is asked now and then, aside."""

    def __init__(self, driver: str, count_uploads: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        by_request = ("method", "route", "status")
        self._requests = Counter("registry_http_requests", "Requests.", by_request, registry=registry)
        self._durations = Histogram(
            "registry_http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ("method", "route"),
            buckets=_DURATIONS_S,
            registry=registry,
        )
        self._received = Counter("registry_http_received_bytes", "Bodies of requests.", registry=registry)
        self._sent = Counter("registry_http_sent_bytes", "Bodies of answers.", registry=registry)
        self._faults = Counter(
            "registry_storage_errors", "Requests that the storage failed.", ("kind",), registry=registry
        )
        self._uploads = UploadCount(count_uploads)
        Gauge("registry_open_uploads", "Uploads begun and not ended.", registry=registry).set_function(
            self._uploads.latest
        )
        self._collections = Counter(
            "registry_collections", "Collections by their outcome.", ("outcome",), registry=registry
        )
        self._collection_durations = Histogram(
            "registry_collection_duration_seconds",
            "Time that collections took.",
            buckets=_COLLECTIONS_S,
            registry=registry,
        )
        self._reclaimed = Counter(
            "registry_collection_reclaimed_bytes", "Size of the blobs removed.", registry=registry
        )
        self._collected_at = Gauge(
            "registry_collection_last_success_timestamp_seconds",
            "When a collection last ended with success.",
            registry=registry,
        )
        build = Gauge(
            "registry_build_info", "What runs here.", ("version", "python", "driver"), registry=registry
        )
        build.labels(_version(), platform.python_version(), driver).set(1)
        # Finding the series by its labels takes longer than counting: it is done once for each.
        self._series: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def watch(self, exchange: Exchange) -> None:
        key = (exchange.method, exchange.route, exchange.status)
        series = self._series.get(key)
        if series is None:
            method, route, status = key
            series = self._series[key] = (
                self._requests.labels(method, route, str(status)).inc,
                self._durations.labels(method, route).observe,
            )
        count, observe = series
        count()
        observe(exchange.duration_s)
        if exchange.received_bytes:
            self._received.inc(exchange.received_bytes)
        if exchange.sent_bytes:
            self._sent.inc(exchange.sent_bytes)
        if exchange.storage_fault is not None:
            self._faults.labels(exchange.storage_fault).inc()

    def collected(self, outcome: str, duration_s: float, reclaimed_bytes: int) -> None:
        """Note the end of a collection; ``outcome`` is one of a few words, ``done`` the best of them."""
        self._collections.labels(outcome).inc()
        self._collection_durations.observe(duration_s)
        self._reclaimed.inc(reclaimed_bytes)
        if outcome == "done":
            self._collected_at.set_to_current_time()

    async def show(self, request: Request) -> Response:
        return Response(generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class UploadCount:
    """The number of open uploads as it was a while ago, counted in a thread, and never most of the time."""

    _FRESH_S = 30.0
    _REST = 20
    """Counting takes at most one part in so many of the time."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._guard = threading.Lock()
        self._value = float("nan")
        self._next_s = 0.0

    def latest(self) -> float:
        with self._guard:
            if time.monotonic() >= self._next_s:
                self._next_s = float("inf")
                threading.Thread(target=self._recount, name="counting uploads", daemon=True).start()
        return self._value

    def _recount(self) -> None:
        began_s = time.monotonic()
        try:
            self._value = float(self._count())
        except Exception:  # the storage does not answer: then the number is not known
            self._value = float("nan")
        finally:
            now_s = time.monotonic()
            self._next_s = now_s + max(self._FRESH_S, self._REST * (now_s - began_s))


def _version() -> str:
    try:
        return version("seatrial")
    except PackageNotFoundError:
        return "unknown"
