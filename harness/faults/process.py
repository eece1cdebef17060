"""Accidents that happen to the registry's process, each with its healing step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.targets.base import Target, TargetError
from harness.targets.controls import missing

Step = Callable[[Target], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """``needs``: the control without which it cannot be delivered. ``deliver`` returns when it has happened,
    ``heal`` when the registry serves again; both raise `TargetError`. Healing what is whole does nothing."""

    name: str
    needs: str
    deliver: Step
    heal: Step

    def available(self, target: Target) -> str | None:
        """``None`` when it can be delivered, else why not and what would allow it, in a line."""
        return missing(target, self.needs)


def _start(target: Target) -> None:
    if not target.running():
        target.start()


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("kill", "kill", lambda target: target.kill(), _start),
        Fault("restart", "restart", lambda target: target.restart(), _start),
        Fault("pause", "pause", lambda target: target.pause(), lambda target: target.resume()),
    )
}


def heal_all(target: Target, faults: Iterable[Fault] = tuple(FAULTS.values())) -> list[str]:
    """Resume what is paused, then start what is dead. Each step is tried, even where one before it failed.
    Returns why those failed that did (empty: the registry serves again)."""
    trouble: dict[str, None] = {}
    for fault in sorted(faults, key=lambda each: each.needs != "pause"):
        if fault.needs in target.controls:
            try:
                fault.heal(target)
            except TargetError as error:
                trouble[str(error)] = None
    return list(trouble)
