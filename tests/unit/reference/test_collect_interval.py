"""Collecting inside a server, again and again."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from reference_impl.collect.events import Event
from reference_impl.collect.interval import IntervalCollector, Outcome
from reference_impl.collect.run import Policy
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout
from reference_impl.registry.store import Registry

from .collecting import REPO, Store, collected, is_stored
from .images import store_blob

LIMIT_S = 20.0


class Bench:
    """A collector with its outcomes."""

    def __init__(self, registry: Registry, every_s: float = 0.0, **more: Any) -> None:
        self.outcomes: queue.Queue[Outcome] = queue.Queue()
        self.collector = IntervalCollector(registry, Policy(), every_s, self.outcomes.put, **more)

    def next(self) -> Outcome:
        return self.outcomes.get(timeout=LIMIT_S)


def test_it_collects_again_and_again() -> None:
    registry = Registry(MemoryDriver())
    bench = Bench(registry)
    bench.collector.start()
    for number in range(3):
        data = f"garbage {number}".encode()
        store_blob(registry, REPO, data)
        while is_stored(registry, data):
            assert bench.next().kind == "done"
    assert bench.collector.stop(LIMIT_S)


def test_it_waits_between() -> None:
    """The first one comes after the interval, and a stop does not wait for it."""
    bench = Bench(Registry(MemoryDriver()), every_s=1000.0)
    bench.collector.start()
    assert bench.collector.stop(LIMIT_S)
    assert bench.outcomes.empty()


def test_a_stop_before_the_start() -> None:
    assert Bench(Registry(MemoryDriver())).collector.stop(LIMIT_S)


@pytest.mark.parametrize("step", ["noted", "manifest", "linked", "condemned", "verified", "purged", "layer"])
def test_a_stop_in_the_middle(step: str) -> None:
    store = Store(Registry(MemoryDriver()))
    there, go_on = threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        if event.step == step:
            there.set()
            assert go_on.wait(LIMIT_S)

    bench = Bench(store.registry, emit=emit)
    bench.collector.start()
    assert there.wait(LIMIT_S)
    assert not bench.collector.stop(0.0)
    go_on.set()
    assert bench.collector.stop(LIMIT_S)
    assert bench.next().kind == "stopped"
    store.assert_kept()
    collected(store.registry, delete_untagged=True)
    store.assert_kept()
    store.assert_clean()


def test_another_collector_at_work() -> None:
    registry = Registry(MemoryDriver())
    bench = Bench(registry)
    with registry.driver.lock(layout.COLLECTOR_LOCK):
        bench.collector.start()
        assert bench.next().kind == "busy"
    while bench.next().kind == "busy":
        pass
    assert bench.collector.stop(LIMIT_S)


class Moody(MemoryDriver):
    """Fails when it is told to."""

    error: Exception | None = None

    def list(self, path: str) -> list[str]:
        if self.error is not None:
            raise self.error
        return super().list(path)


@pytest.mark.parametrize(
    ("error", "kind"), [(OSError(5, "no"), "unreadable"), (RuntimeError("a defect"), "failed")]
)
def test_it_outlives_errors(error: Exception, kind: str) -> None:
    driver = Moody()
    registry = Registry(driver)
    store_blob(registry, REPO, b"garbage")
    driver.error = error
    bench = Bench(registry)
    bench.collector.start()
    outcome = bench.next()
    assert outcome.kind == kind
    assert outcome.error or (outcome.summary is not None and outcome.summary.problems)
    driver.error = None
    while bench.next().kind != "done":
        pass
    assert bench.collector.stop(LIMIT_S)
    assert not is_stored(registry, b"garbage")


def test_it_outlives_whoever_is_told() -> None:
    registry = Registry(MemoryDriver())
    told: queue.Queue[Outcome] = queue.Queue()

    def tell(outcome: Outcome) -> None:
        told.put(outcome)
        raise RuntimeError("a defect")

    collector = IntervalCollector(registry, Policy(), 0.0, tell)
    collector.start()
    for _ in range(3):
        told.get(timeout=LIMIT_S)
    assert collector.stop(LIMIT_S)
