"""What the executor asks of a registry under trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.history import Promises


class TargetError(Exception):
    """A target that cannot be used. Its text is one line: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Collected:
    """How a collector ended: its exit status, what it printed (stdout lines in order, then stderr), and how
    many objects it says that it removed (``None`` where it does not say)."""

    code: int
    lines: tuple[str, ...]
    removed: int | None


LineGate = Callable[[str], None]
"""Called with each line a collector prints, before the collector can go on: it may block (a hold)."""


class Unpluggable(Protocol):
    """A target with the control ``unplug``: what it is on can be disconnected from its network."""

    def unplug(self) -> None: ...
    def plug_in(self) -> None: ...


class Target(Protocol):
    """A registry under trial. Every method has a limit and raises `TargetError` when it runs out.

    ``controls`` holds the names of what the harness can do to it: ``kill`` (and then ``restart``),
    ``restart``, ``pause``, ``collect``. Methods without their control raise `TargetError`.
    """

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def promises(self) -> Promises: ...
    @property
    def controls(self) -> frozenset[str]: ...
    @property
    def owned(self) -> bool:
        """Whether the harness started it, so that everything in it may be thrown away."""
        ...

    def open(self) -> None:
        """Start it (or see that it is there)."""

    def close(self) -> None:
        """End everything that was started, remove everything that was made. Never raises; idempotent."""

    def fresh(self) -> None:
        """An empty registry, where it is owned; otherwise nothing. Restarts it."""

    def running(self) -> bool: ...
    def kill(self) -> None: ...
    def restart(self) -> None:
        """Graceful end where it runs, then start, until it answers."""

    def start(self) -> None:
        """Start after a kill, until it answers; nothing where it runs."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def collect(self, *, untagged: bool, gate: LineGate | None = None) -> Collected:
        """Run the collector to its end. With a gate it stands still at each line until the gate returns."""

    def log(self) -> str:
        """The last lines that the registry printed, for a person."""
        ...
