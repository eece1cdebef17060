"""What a run left out, and why."""

from __future__ import annotations

from harness.run.options import Options
from harness.run.trial import Trial
from harness.targets.controls import CONTROLS


def not_tried(trial: Trial, options: Options) -> tuple[tuple[str, str], ...]:
    """What a run left out, and why, and what would allow it."""
    rows = [
        (control, f"no control over this target; {kind.how}")
        for control, kind in CONTROLS.items()
        if control not in trial.target.controls and not kind.rare
    ]
    rows += [(f"faults: {tier}", why) for tier, why in trial.kit.missing.items()]
    rows += [
        (ability, reason)
        for ability, reason in trial.reasons.items()
        if ability not in trial.abilities.supports
    ]
    if trial.promises.collection == "offline":
        asked = "run as a hazard only" if "hazard" in options.tiers else "not run"
        rows.append(
            (
                "collection beside pushes",
                f"{asked}: the target asks for offline collection; --promise collection=online",
            )
        )
    if not trial.promises.durable:
        rows.append(("durability across kill", "the target does not promise it; --promise durable=yes"))
    return tuple(rows)
