"""A server as the settings want it: put together, run, and taken apart."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import auth
from .allocator import give_back_soon
from .api.app import build
from .api.limits import Limits
from .api.observe import Watcher, log_access
from .configuration import Configuration
from .connection import ConnectionLimits
from .drivers.base import Driver
from .registry.repositories import every_upload
from .registry.store import Registry
from .serve import Serving, listen, serve, shown
from .settings import Settings
from .stores import Unusable, collection_policy, open_driver
from .tls import Certificate

if TYPE_CHECKING:  # its library is loaded only where it is wanted
    from .api.metrics import Metrics

_LOOPBACK = ("127.", "::1", "localhost")
_FILES_MIN = 1 << 16
_METRICS_STOP_S = 2.0
_COLLECTOR_STOP_S = 5.0
COLLECT_GRACE_S = 3600.0
"""What is spared inside a server where the settings do not say: longer than a push takes."""

_log = logging.getLogger(__name__)


def run(configuration: Configuration) -> int:
    """Serve until asked to stop; returns the exit status.

    Raises BadConfiguration, BadSettings, Unusable.
    """
    settings = configuration.settings
    authorizer = auth.build(settings.auth)
    certificate = _certificate(configuration)
    _allow_many_files()
    give_back_soon()
    driver = open_driver(configuration)
    registry = Registry(
        driver,
        session_max_age_s=settings.sessions.max_age_s,
        open_sessions_max=settings.limits.open_sessions or None,
    )
    watchers: list[Watcher] = [log_access] if settings.log.access else []
    metrics = _metrics(settings, driver)
    if metrics is not None:
        watchers.append(metrics.watch)
    app = build(
        registry,
        authorizer=authorizer,
        limits=_limits(settings),
        read_only=settings.storage.read_only,
        metrics=metrics.show if metrics is not None and settings.metrics.listen == "public" else None,
        watchers=watchers,
    )
    sock = _listen(settings.http.host, settings.http.port)
    _warn(settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sock)
        also = []
        if metrics is not None and settings.metrics.listen == "separate":
            also.append(stack.enter_context(_metrics_port(settings, metrics)))
        if settings.collect.interval_s:
            stack.enter_context(_collecting(configuration, registry, metrics))
        serving = Serving(_connection_limits(settings), settings.http.stop_grace_s, certificate, tuple(also))
        serve(app, sock, serving)
    return 0


def _limits(settings: Settings) -> Limits:
    chosen = settings.limits
    return Limits(
        page_size=chosen.page_size,
        manifest_max_bytes=chosen.manifest_max_bytes,
        tags_per_push=chosen.tags_per_push,
        body_idle_timeout_s=chosen.body_idle_timeout_s,
        body_min_bytes_per_s=chosen.body_min_bytes_per_s,
        body_grace_s=chosen.body_grace_s,
        request_timeout_s=chosen.request_timeout_s,
        storage_threads=chosen.storage_threads,
    )


def _connection_limits(settings: Settings) -> ConnectionLimits:
    chosen = settings.limits
    return ConnectionLimits(
        connections=chosen.connections,
        head_max_bytes=chosen.head_max_bytes,
        head_timeout_s=chosen.head_timeout_s,
        keep_alive_s=chosen.keep_alive_s,
        rest_timeout_s=chosen.body_idle_timeout_s,
    )


def _certificate(configuration: Configuration) -> Certificate | None:
    http = configuration.settings.http
    if http.tls_certificate is not None:
        return Certificate(http.tls_certificate, http.tls_key)
    if http.tls_key is not None:
        raise configuration.fault("http.tls_key", "has no effect without http.tls_certificate")
    return None


def _metrics(settings: Settings, driver: Driver) -> Metrics | None:
    if settings.metrics.listen == "off":
        return None
    from .api.metrics import Metrics

    return Metrics(settings.storage.driver, lambda: sum(1 for _ in every_upload(driver)))


@contextlib.contextmanager
def _metrics_port(settings: Settings, metrics: Metrics) -> Iterator[str]:
    """Serve the metrics on a port of their own; yields what to say about it.  Raises Unusable."""
    from prometheus_client import start_http_server

    host, port = settings.metrics.host, settings.metrics.port
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise Unusable(f"cannot listen on {host}:{port} for metrics: {error.strerror}") from None
    try:
        yield f"metrics on http://{shown(host)}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_METRICS_STOP_S)


@contextlib.contextmanager
def _collecting(configuration: Configuration, registry: Registry, metrics: Metrics | None) -> Iterator[None]:
    """Collect now and then.  Raises BadConfiguration."""
    from .collect.interval import IntervalCollector, Outcome, log_outcome

    settings = configuration.settings
    if settings.storage.read_only:
        raise configuration.fault("collect.interval_s", "a registry that is read-only cannot collect")

    def told(outcome: Outcome) -> None:
        log_outcome(outcome)
        if metrics is not None:
            reclaimed_bytes = 0 if outcome.summary is None else outcome.summary.bytes_purged
            metrics.collected(outcome.kind, outcome.took_s, reclaimed_bytes)

    policy = collection_policy(settings, grace_s=COLLECT_GRACE_S)
    collector = IntervalCollector(registry, policy, settings.collect.interval_s, told)
    collector.start()
    try:
        yield
    finally:
        if not collector.stop(_COLLECTOR_STOP_S):
            _log.warning("the collector is still at work: the next one puts in order what it leaves behind")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise Unusable(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _allow_many_files() -> None:
    """Every connection is a file, and has others open: a limit made for programs of old is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES_MIN:
        wanted = _FILES_MIN if hard == resource.RLIM_INFINITY else min(hard, _FILES_MIN)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _warn(settings: Settings) -> None:
    """Tell an operator what may not be meant."""
    if settings.http.host.startswith(_LOOPBACK):
        return
    if settings.auth.kind == "none" and not settings.storage.read_only:
        _log.warning("auth.kind is none: whoever reaches this port can push and delete")
    if settings.auth.kind == "basic" and settings.http.tls_certificate is None:
        _log.warning("passwords come in the clear: set http.tls_certificate, or have a proxy for HTTPS")
