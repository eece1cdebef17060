"""The kill matrix: which defects of the catalogue the default profile finds, over several seeds.

``python -m tests.quality.defects.matrix [--seeds 10] [--jobs 2] [--only NAME,…] [--without CHECK,…]``
hunts for every defect with every seed, each hunt in the budget of the default profile, and writes into
``--out`` the file ``matrix.json`` with each hunt, and the pages ``MATRIX.md`` and ``matrix.html``.
``--without`` shows what the harness would miss if it did not have these checks.  What is in
``matrix.json`` already is not hunted for again with ``--resume``, and stays there, but for hunts that broke
off; hunts are written down while others go on, and one that breaks off ends no other.  Exits with
1 if a defect was not found with every seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from reference_impl.defects import DEFECTS

from .hunts import Outcome, look_for, outcome_of
from .pages import Row, html, markdown, row
from .processes import spread

HUNT_LIMIT_S = 300.0
KEPT_EVERY = 20
"""After how many hunts they are written down."""


def hunts(pieces: Sequence[tuple[str, int]], *, jobs: int, without: Sequence[str] = ()) -> Iterable[Outcome]:
    """The outcome of each hunt for a name with a seed, as it comes."""
    return spread(_hunt, [(name, seed, tuple(without)) for name, seed in pieces], jobs, HUNT_LIMIT_S)


def _hunt(piece: tuple[str, int, tuple[str, ...]]) -> Outcome:
    name, seed, without = piece
    begun = time.monotonic()
    try:
        return look_for((name,), seed, without=without)
    except Exception as error:  # whatever it is, the other hunts are not to be lost with it
        traceback.print_exc()
        return Outcome((name,), seed, (), 0, time.monotonic() - begun, f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="how many, from 0 (default: 10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--only", default="", metavar="NAME,…", help="these defects, or these classes (A–I)")
    parser.add_argument("--without", default="", metavar="CHECK,…", help="as if these checks were not there")
    parser.add_argument("--out", type=Path, default=Path("seatrial-out/matrix"), metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    given = parser.parse_args()
    only = {text for text in given.only.split(",") if text}
    names = [name for name, one in DEFECTS.items() if not only or only & {name, one.kind}]
    without = [text for text in given.without.split(",") if text]
    if given.resume and without:
        parser.error("--resume goes on with hunts by all checks; leave out --without")
    begun = time.monotonic()
    outcomes, before_s = read(given.out) if given.resume else ([], 0.0)
    outcomes = [one for one in outcomes if not one.error]
    seeds = range(given.seeds)
    done = {(one.names[0], one.seed) for one in outcomes}
    left = [(name, seed) for seed in seeds for name in names if (name, seed) not in done]
    for number, outcome in enumerate(hunts(left, jobs=given.jobs, without=without), 1):
        outcomes.append(outcome)
        name = outcome.names[0]
        caught = outcome.of(DEFECTS[name])
        what = f"{caught.violated} {caught.check}, {caught.operations} operations" if caught else "not found"
        what = f"broke off ({outcome.error})" if outcome.error else what
        print(f"{number}/{len(left)}  {name}  seed {outcome.seed}: {what}", flush=True)
        if number % KEPT_EVERY == 0:
            keep(given.out, outcomes, before_s + time.monotonic() - begun)
    outcomes.sort(key=lambda one: (one.names, one.seed))
    rows = [
        row(DEFECTS[name], [one for one in outcomes if one.names == (name,) and one.seed in seeds])
        for name in names
    ]
    took_s = before_s + time.monotonic() - begun
    write(given.out, rows, outcomes, took_s, without)
    missed = [one for one in rows if one.found < one.hunts]
    for one in missed:
        print(f"not always found: {one.defect.name}: {one.found} of {one.hunts}")
    print(f"{len(rows) - len(missed)} of {len(rows)} always found, in {took_s:.0f} s; written: {given.out}")
    return int(bool(missed))


def write(
    folder: Path, rows: Sequence[Row], outcomes: Sequence[Outcome], took_s: float, without: Sequence[str]
) -> None:
    keep(folder, outcomes, took_s)
    (folder / "MATRIX.md").write_text(markdown(rows, took_s, without))
    (folder / "matrix.html").write_text(html(rows, took_s, without))


def keep(folder: Path, outcomes: Sequence[Outcome], took_s: float) -> None:
    """Write down what was hunted for so far, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"took_s": took_s, "hunts": [dataclasses.asdict(one) for one in outcomes]}
    new = folder / "matrix.json.new"
    new.write_text(json.dumps(plain, indent=1))
    new.replace(folder / "matrix.json")


def read(folder: Path) -> tuple[list[Outcome], float]:
    """What `keep` wrote, and how long it took; nothing where there is nothing."""
    try:
        known = json.loads((folder / "matrix.json").read_text())
    except FileNotFoundError:
        return [], 0.0
    return [outcome_of(fields) for fields in known["hunts"]], known["took_s"]


if __name__ == "__main__":
    sys.exit(main())
