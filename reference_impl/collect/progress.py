"""How far a collection is, for people who wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from .events import Event

_REPAINT_S = 0.2
_REPORT_S = 5.0

_SHOWN = {
    "noting": ("looking", "blobs"),
    "repository": ("marking", "repositories"),
    "manifest": ("marking", "manifests"),
    "blob": ("marking", "blobs"),
    "eligible": ("condemning", "blobs"),
    "purged": ("purging", "blobs"),
    "layer": ("unlinking", "links"),
}
"""The steps that are counted: in which phase, and what they count."""


@dataclass(slots=True)
class Progress:
    """One line, painted over again and again on a terminal; elsewhere one now and then.

    ``clock`` counts seconds.
    """

    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    _phase: str = ""
    _since_s: float = 0.0
    _next_s: float = 0.0
    _counts: dict[str, int] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        if event.step not in _SHOWN:
            return
        now_s = self.clock()
        phase, noun = _SHOWN[event.step]
        if phase != self._phase:
            self.end_phase()
            self._phase, self._since_s, self._next_s = phase, now_s, now_s
        if event.step == "noting":
            self._counts[noun] = event.total or 0
        else:
            self._counts[noun] = self._counts.get(noun, 0) + 1
            if event.total is not None:
                self._totals[noun] = event.total
        if now_s >= self._next_s:
            self._paint(now_s)
            self._next_s = now_s + (_REPAINT_S if self.stream.isatty() else _REPORT_S)

    def end_phase(self) -> None:
        """Paint once more what the phase came to, and begin a new line."""
        if self._phase:
            self._paint(self.clock())
            if self.stream.isatty():
                self.stream.write("\n")
                self.stream.flush()
        self._phase = ""
        self._counts.clear()
        self._totals.clear()

    def _paint(self, now_s: float) -> None:
        done = ", ".join(
            f"{count} of {self._totals[noun]} {noun}" if noun in self._totals else f"{count} {noun}"
            for noun, count in self._counts.items()
        )
        took_s = now_s - self._since_s
        rate = f", {max(self._counts.values()) / took_s:.0f}/s" if took_s > 0 else ""
        text = f"{self._phase}: {done}{rate}"
        self.stream.write(f"\r{text}\x1b[K" if self.stream.isatty() else f"{text}\n")
        self.stream.flush()
