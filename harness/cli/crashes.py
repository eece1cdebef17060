"""The command that goes through every crash point of a plan."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.base import HELD, VIOLATED, Unusable, opened, scenario_from, show_text, target_options

if TYPE_CHECKING:
    from harness.run.enumerate import Crash


@click.command("enumerate")
@click.argument("plan", type=click.Path(exists=True, path_type=Path))
@click.option("--acts", default="kill,power", help="what happens at each point (default: %(default)s)")
@click.option(
    "--out",
    default="seatrial-out",
    type=click.Path(path_type=Path),
    help="where a scenario goes for each point that violates something (default: seatrial-out)",
)
@target_options
def enumerate_(plan: Path, acts: str, out: Path, **given: Any) -> int:
    """Crash at every change that a PLAN makes to the storage, and see what is lost.

    PLAN is a scenario file. It is run once to count its changes; then, for each of them, once with a kill and
    once with a power cut right before it takes effect; then the registry is started again, everything is
    read back and judged. With --acts enospc (or eio, emfile) that change fails instead, the operation is
    tried again, and the registry is started anew. Exit: 1 where a point violates a property, 0 where none
    does, 4 where it cannot be done.
    """
    from harness.plan.codec import dump
    from harness.run.enumerate import ACTS, NotEnumerable, check, crashes, spots, usual

    wanted = tuple(act for act in acts.split(",") if act)
    if not wanted or not set(wanted) <= set(ACTS):
        raise Unusable(f"--acts {acts!r}: one or more of {', '.join(ACTS)}, with commas between")
    scenario = scenario_from(plan)
    begun = time.monotonic()
    trial = opened(given)
    found: list[Crash] = []
    try:
        check(trial, scenario.plan, wanted)  # type: ignore[arg-type]
        left_out = usual(trial, scenario.plan)
        points = spots(trial, scenario.plan)
        kinds = Counter(spot.op for spot in points)
        counted = ", ".join(f"{op} {n}" for op, n in kinds.items())
        show_text(f"{scenario.title}\n{len(points)} changes of the storage: {counted}")
        if left_out:
            checks = ", ".join(sorted({signature[2] for signature in left_out}))
            show_text(f"left out, as they show without any crash: {checks}")
        found += crashes(trial, scenario.plan, points, wanted, click.echo, left_out)  # type: ignore[arg-type]
    except NotEnumerable as error:
        raise Unusable(f"{plan}: {error}") from None
    finally:
        name = trial.target.name
        trial.close()
    bad = [crash for crash in found if crash.findings]
    folder = out / "crashes" / name
    for crash in bad:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{plan.stem}-{crash.spot.op}-{crash.spot.nth:03}-{crash.act}.toml"
        path.write_text(dump(crash.scenario), encoding="utf-8")
    if bad:
        show_text(_table(bad))
    missed = [crash for crash in found if crash.missed]
    took_s = time.monotonic() - begun
    for act in wanted:
        tried = sum(crash.act == act for crash in found)
        hurt = sum(crash.act == act for crash in bad)
        show_text(f"{act}: {hurt} of {tried} points violate something")
    if missed:
        show_text(f"{len(missed)} crashes were not delivered, such as: {missed[0].missed}")
    show_text(
        f"{len(found)} crashes on {name} in {took_s:.0f} s" + (f"; scenarios in {folder}" if bad else "")
    )
    if bad:
        return VIOLATED
    if len(missed) * 2 > len(found):
        raise Unusable(f"{plan}: inconclusive: most crashes were not delivered")
    return HELD


def _table(bad: list[Crash]) -> str:
    """The violating points; neighbours with the same outcome share a row."""
    rows: list[list[str]] = []
    last: Crash | None = None
    for crash in sorted(bad, key=lambda c: c.act):
        spot = crash.spot
        what = "; ".join(dict.fromkeys(f"{f.property} {f.title}" for f in crash.findings))
        same = last is not None and (last.act, last.spot.op) == (crash.act, spot.op) and rows[-1][3] == what
        if same and last is not None and last.spot.nth == spot.nth - 1:
            rows[-1][1] = f"{rows[-1][1].split('–')[0]}–{spot.nth}"
        else:
            rows.append([crash.act, f"{spot.op} {spot.nth}", f"{spot.call} {spot.path}", what])
        last = crash
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False)) + "  " + row[3]
        for row in rows
    )
