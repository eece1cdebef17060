"""Collecting inside a server, again and again: a thread that is no burden when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..drivers.base import Busy
from ..registry.store import Registry
from .events import Event
from .run import Collection, Policy, Stopped, Summary

Kind = Literal["done", "unreadable", "failed", "busy", "stopped"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one collection ended.

    *unreadable*: not everything could be read, so not everything was swept.  *failed*: see ``error``.
    *busy*: another process collects, so this one did not.  *stopped*: in its middle, by `stop`.
    """

    kind: Kind
    took_s: float
    summary: Summary | None = None
    error: str | None = None


class IntervalCollector:
    """Collects every ``every_s`` seconds, counted from the end of the collection before.

    ``on_result`` is told each outcome, in the collector's thread; ``emit`` gets each event.
    """

    def __init__(
        self,
        registry: Registry,
        policy: Policy,
        every_s: float,
        on_result: Callable[[Outcome], None],
        *,
        emit: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._every_s = every_s
        self._on_result = on_result
        self._emit = emit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, limit_s: float) -> bool:
        """End after the step at work, also in the middle of a collection; returns whether it has ended.

        What is left then is as after a kill: the next collection puts it in order.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            outcome = self._collect()
            try:
                self._on_result(outcome)
            except Exception:
                _log.exception("what a collection came to could not be told")

    def _collect(self) -> Outcome:
        begun_s = time.monotonic()
        kind: Kind
        summary: Summary | None = None
        error: str | None = None
        try:
            collection = Collection(self._registry, self._policy, self._emit, stop=self._stop)
            summary = collection.run()
            error = summary.error
            kind = "unreadable" if summary.problems else "failed" if error is not None else "done"
        except Stopped:
            kind = "stopped"
        except Busy:
            kind = "busy"
        except Exception as failure:
            _log.exception("a collection failed")
            kind, error = "failed", f"{type(failure).__name__}: {failure}"
        return Outcome(kind, time.monotonic() - begun_s, summary, error)


def log_outcome(outcome: Outcome) -> None:
    """Log how a collection ended, with what it removed; one that had nothing to do only in detail."""
    summary = outcome.summary
    fields: dict[str, object] = {"outcome": outcome.kind, "duration_s": round(outcome.took_s, 3)}
    if summary is not None:
        counts = {name: getattr(summary, name) for name in _TOLD}
        fields |= {name: count for name, count in counts.items() if count}
        fields["problems"] = "; ".join(summary.problems) or None
    fields["error"] = outcome.error
    level = logging.INFO
    if outcome.kind in ("unreadable", "failed"):
        level = logging.WARNING
    elif outcome.kind == "done" and summary is not None and not any(counts.values()):
        level = logging.DEBUG
    _log.log(level, "collected", extra={"fields": fields})


_TOLD = (
    *("blobs_purged", "bytes_purged", "manifests_removed", "links_removed", "uploads_removed"),
    *("blobs_restored", "manifests_restored", "leftovers_removed"),
)
