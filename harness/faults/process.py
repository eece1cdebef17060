"""Accidents that happen to the registry's process, each with its healing step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.targets.base import Target, TargetError

Step = Callable[[Target], None]

HOW: dict[str, str] = {
    "kill": "give --kill-cmd and --restart-cmd, or let the harness start the registry with --target-file",
    "restart": "give --restart-cmd, or let the harness start the registry with --target-file",
    "pause": "let the harness start the registry with --target-file",
    "collect": "give --gc-cmd, or a --target-file with a [collect] section",
}
"""For each control, which option would give it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``needs``: the control without which it cannot be delivered. ``deliver`` returns when it has happened,
    ``heal`` when the registry serves again; both raise `TargetError`. Healing what is whole does nothing."""

    name: str
    needs: str
    doc: str
    deliver: Step
    heal: Step

    def available(self, target: Target) -> str | None:
        """``None`` when it can be delivered, else why not and what would allow it, in a line."""
        return missing(target, self.needs)


def missing(target: Target, control: str) -> str | None:
    """``None`` when the target has a control, else why not and what would allow it, in a line."""
    if control in target.controls:
        return None
    return f"no control {control!r} over {target.name}: {HOW.get(control, 'unknown control')}"


def _start(target: Target) -> None:
    if not target.running():
        target.start()


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("kill", "kill", "SIGKILL: what was only in memory is lost", lambda t: t.kill(), _start),
        Fault("restart", "restart", "SIGTERM, then a new start", lambda t: t.restart(), _start),
        Fault(
            "pause", "pause", "SIGSTOP: it holds every lock it has", lambda t: t.pause(), lambda t: t.resume()
        ),
    )
}


def heal_all(target: Target, faults: Iterable[Fault] = tuple(FAULTS.values())) -> list[str]:
    """Resume what is paused, start what is dead. Tries each step even where one before it failed; returns
    why those failed that did (empty: the registry serves again)."""
    trouble = []
    for fault in sorted(faults, key=lambda each: each.needs != "pause"):
        if fault.needs in target.controls:
            try:
                fault.heal(target)
            except TargetError as error:
                trouble.append(str(error))
    return list(dict.fromkeys(trouble))
