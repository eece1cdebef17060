"""The command that shows what the others are for: a real defect, found, cut down and explained in seconds."""

from __future__ import annotations

import difflib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

import harness
from harness.cli.base import HELD, VIOLATED, Unusable, columns, show_text, width

SHOWN = (
    "session-after-commit",
    "range-of-last-chunk",
    "tags-ignore-case",
    "descriptor-cache-survives-delete",
    "known-blob-not-stored-again",
    "blobs-of-all-readable",
    "list-link-skips",
)
"""Those that are picked from when none is named: each is found at once, whatever the machine has."""
TARGET = "reference"
TIERS = frozenset({"wire", "process", "hazard"})
ASK_LIMIT_S = 20.0


@click.command()
@click.argument("name", required=False)
@click.option("--seed", default=0, type=click.IntRange(0), help="what plans are drawn (default: 0)")
@click.option("--out", type=click.Path(path_type=Path), default=Path("seatrial-out"), help="where files go")
@click.option("--list", "only_list", is_flag=True, help="list what there is")
def demo(name: str | None, seed: int, out: Path, only_list: bool) -> int:
    """Put a defect that a real registry had into the bundled one, find it, and explain it.

    NAME is one of `seatrial demo --list`; without, one is picked. Needs no network, and takes seconds.
    Exit: 0 where it was found, 1 where it was not.
    """
    from harness.report.words import explain
    from harness.run.hunt import hunt
    from harness.run.journal import read
    from harness.run.options import Options

    defects = {one["name"]: one for one in _catalogue()}
    if only_list:
        show_text("\n".join(columns([(key, one["title"]) for key, one in defects.items()])))
        return HELD
    name = name or random.choice(SHOWN)
    if name not in defects:
        near = difflib.get_close_matches(name, defects, 1)
        hint = f"did you mean {near[0]!r}?" if near else "see `seatrial demo --list`"
        raise Unusable(f"there is no defect {name!r}; {hint}")
    defect = defects[name]
    show_text(
        f"A real defect, put into the bundled reference registry on purpose:\n\n  {name}: {defect['title']}\n"
        f"  seen in: {'; '.join(defect['sources'])}\n\n"
        "Plans are drawn and carried out until a property breaks; then the plan is cut down.\n"
    )
    tiers = TIERS if not defect["needs"] or name in SHOWN else Options().tiers
    options = Options(target_file=f"{TARGET}+{name}", profile="quick", seed=seed, tiers=tiers, out=out)
    ended = hunt(
        options,
        first=defect["violates"],
        enough=lambda sightings: any(one.found.certain for one in sightings),
        progress=lambda line: click.echo(f"  {line}"),
    )
    if not ended.sightings:
        show_text(f"\nNot found in {ended.plans} plans; try another --seed.")
        return VIOLATED
    first = next((one for one in ended.sightings if one.found.certain), ended.sightings[0])
    show_text(f"  seen in plan {first.plans}, {first.elapsed_s:.1f} s after the start\n")
    history = read(Path(first.found.history)) if first.found.history else None
    if history is not None and history.plan.digest != first.found.plan.digest:
        history = None
    story = explain(first.found, ended.target_option, history=history, width=width())
    show_text(story + ended.keeper.hints(first.found.id))
    return HELD


def _catalogue() -> list[dict[str, Any]]:
    """What the reference says of its defects. Raises `Unusable`."""
    packages = Path(harness.__file__).parent.parent
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "reference_impl", "defects", "--json"],
            env={**os.environ, "PYTHONPATH": str(packages)},
            capture_output=True, text=True, timeout=ASK_LIMIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Unusable(f"the reference does not tell its defects: {error}") from None
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found
