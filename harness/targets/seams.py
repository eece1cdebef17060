"""What a target that the harness starts can be given: a disk of its own for its storage folder, a gate before
its system calls, and a tap on its wires. Faults make them; a target only uses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.targets.process import Spawn, Start


class Disk(Protocol):
    """Holds the storage folder. Every method raises `TargetError`."""

    @property
    def storage(self) -> Path: ...
    @property
    def dead(self) -> bool:
        """Whether its power was cut, so that `remount` comes before the next start."""
        ...

    def open(self) -> None: ...
    def close(self) -> None:
        """Never raises; idempotent."""

    def wipe(self) -> None: ...
    def sync(self) -> None:
        """What is in it now survives a power cut."""

    def remount(self) -> None: ...


class Gateway(Protocol):
    """Stands before the system calls of what is started through it."""

    def through(self, start: Start, by: str = "registry") -> Spawn:
        """A `Spawn` for processes that are called ``by`` that name."""
        ...

    def close(self) -> None: ...


MakeGateway = Callable[[Path], Gateway]
"""Makes the gateway for a storage folder."""


class Tap(Protocol):
    """Stands on the ways to ports of the loopback interface. Every method raises `TargetError`."""

    def client(self, port: int) -> int:
        """The port at which clients reach what listens on ``port``, for now."""
        ...

    def backend(self, port: int) -> int:
        """The port at which a registry reaches its service on ``port``, until `close`."""
        ...

    def close(self) -> None:
        """Never raises; idempotent."""
