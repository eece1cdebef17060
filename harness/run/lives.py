"""The lives of a registry during a plan: from each start to the next."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from harness.targets.base import Target


@dataclass
class Lives:
    """Whoever comes to bury a life that is over must not end the next one, which another lane may have begun
    meanwhile.  ``lock`` is held by who looks whether the registry runs, and begins a life by what it sees;
    ``count``: how many were begun here, the one that begins now too.  All methods raise `TargetError`."""

    target: Target
    count: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        with self.lock:
            self.count += 1
            self.target.start()

    def restart(self) -> None:
        with self.lock:
            self.count += 1
            self.target.restart()

    def bury(self, life: int) -> None:
        """See the end of the life that was the ``life``-th, unless a later one has begun."""
        with self.lock:
            if self.count == life:
                self.target.kill()
