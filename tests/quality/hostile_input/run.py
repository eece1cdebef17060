"""Sending thousands of cases, and telling what came of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import httpx

from . import world
from .client import Client
from .framing import Case, case
from .minimise import minimise, shown

LANES = 8
BATCH = 500
"""After so many cases the registry gets back what they removed."""
FAILURES_MAX = 20


@dataclass(frozen=True, slots=True)
class Failure:
    case: Case
    segments: tuple[bytes, ...]
    flaws: list[str]


@dataclass(slots=True)
class Outcome:
    sent: int = 0
    requests: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def send(
    port: int, seed: int, numbers: Iterable[int], *, between: Callable[[int], None] = lambda _sent: None
) -> Outcome:
    """Send the cases of these numbers over several connections; ``between`` is called now and then."""
    outcome = Outcome()
    left = list(numbers)
    while left and len(outcome.failures) < FAILURES_MAX:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            world.fill(client)
        batch, left = left[:BATCH], left[BATCH:]
        _send(port, [case(seed, number) for number in batch], outcome)
        between(outcome.sent)
    return outcome


def explained(port: int, failure: Failure) -> str:
    """The bytes that made it fail, as few of them as still do."""

    def fails(data: bytes) -> bool:
        client = Client(port, limit_s=3.0)
        try:
            return bool(client.check(failure.case, (data,)))
        except OSError:
            return True
        finally:
            client.close()

    data = b"".join(failure.segments)
    return shown(failure.case, minimise(data, fails) if fails(data) else data)


def _send(port: int, cases: list[Case], outcome: Outcome) -> None:
    guard = threading.Lock()
    waiting = iter(cases)

    def lane() -> None:
        client = Client(port)
        try:
            while True:
                with guard:
                    one = next(waiting, None)
                if one is None:
                    return
                segments = one.segments
                try:
                    segments = client.fill_in(one)
                    flaws = client.check(one, segments)
                except Exception as error:
                    client.close()
                    flaws = [f"the client failed: {error!r}"]
                with guard:
                    outcome.sent += 1
                    outcome.requests += len(one.methods)
                    outcome.shapes[one.shape] += 1
                    outcome.statuses.update(client.statuses)
                    if flaws:
                        outcome.failures.append(Failure(one, segments, flaws))
        finally:
            client.close()

    lanes = [threading.Thread(target=lane) for _ in range(LANES)]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
