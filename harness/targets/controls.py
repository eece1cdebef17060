"""The controls that the harness can have over a target."""

from __future__ import annotations

from dataclasses import dataclass

from harness.targets.base import Target


@dataclass(frozen=True, slots=True)
class ControlKind:
    """``use``: what is tried with it. ``how``: which option would give it, in a line. ``rare``: few targets
    can have it, so that only `seatrial doctor` says that one has not."""

    use: str
    how: str
    rare: bool = False


CONTROLS: dict[str, ControlKind] = {
    "kill": ControlKind(
        "SIGKILL: what was only in memory is lost",
        "give --kill-cmd and --restart-cmd, or let the harness start the registry with --target-file",
    ),
    "restart": ControlKind(
        "SIGTERM, then a new start",
        "give --restart-cmd, or let the harness start the registry with --target-file",
    ),
    "pause": ControlKind(
        "SIGSTOP: it stands still with every lock that it holds",
        "let the harness start the registry with --target-file",
    ),
    "collect": ControlKind(
        "garbage collection: what it may remove, and what it must",
        "give --gc-cmd, or a --target-file with a [collect] section",
    ),
    "unplug": ControlKind(
        "a container's network: disconnected, and connected again",
        'let the harness start a [container] with network = "bridge"',
        rare=True,
    ),
    "hold": ControlKind(
        "a collector that stands still at a chosen line",
        "only where the collector's output comes without buffers between: not from a container",
    ),
}


def missing(target: Target, control: str) -> str | None:
    """``None`` when the target has a control, else why not and what would allow it, in a line."""
    if control in target.controls:
        return None
    return f"no control {control!r} over {target.name}: {CONTROLS[control].how}"
