"""Trying the harness on registries that are lawful, though not as the reference is: nothing may be found.

``python -m tests.quality.defects.lawful [NAME,…] [--seeds 0,1] [--budget 20] [--jobs 2]`` prints a line for
each variant, and exits with 1 if something was found that fails a run.  A run that tries some ``--families``
only has the share of the budget for them that it would have among all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.machines import FAMILIES
from harness.report.findings_json import Known
from harness.run.campaign import Campaign
from harness.run.keep import Keeper
from harness.run.options import Options
from harness.run.trial import open_trial
from harness.targets.base import TargetError
from reference_impl.variants import VARIANTS

from .processes import spread

TARGET = "reference"
VARIANT_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Tried:
    """A whole run against a variant.  ``red`` are the findings that fail a run, ``others`` those that do not:
    lines with id and title.  ``skipped`` are the properties of which nothing could be tried."""

    variant: str
    seed: int
    red: tuple[str, ...]
    others: tuple[str, ...]
    skipped: tuple[str, ...]
    plans: int
    elapsed_s: float
    error: str = ""

    @property
    def wrong(self) -> bool:
        return bool(self.red or self.error)

    @property
    def line(self) -> str:
        said = "; ".join((*self.red, *filter(None, [self.error]))) or "nothing"
        left_out = f"; not tried: {' '.join(self.skipped)}" if self.skipped else ""
        notes = f"; notes: {'; '.join(self.others)}" if self.others else ""
        return f"seed {self.seed}: {said} ({self.plans} plans, {self.elapsed_s:.0f} s{left_out}{notes})"


def try_variant(
    name: str,
    seed: int = 0,
    *,
    budget_s: float = 20.0,
    out: Path | None = None,
    families: Sequence[str] = tuple(FAMILIES),
) -> Tried:
    """Run all families against a variant that promises what it can keep."""
    with tempfile.TemporaryDirectory(prefix="seatrial-lawful-") as folder:
        options = Options(
            target_file=f"{TARGET}~{name}",
            seed=seed,
            budget_s=budget_s,
            promises=VARIANTS[name].promises,
            out=out or Path(folder),
        )
        try:
            trial = open_trial(options)
        except TargetError as error:
            return Tried(name, seed, (), (), (), 0, 0.0, str(error))
        try:
            campaign = Campaign(trial, options, Keeper(options.out), Known())
            for id_ in families:
                if campaign.over is None:
                    campaign.family(id_)
            return _told(name, seed, campaign)
        finally:
            trial.close()


def _told(name: str, seed: int, campaign: Campaign) -> Tried:
    result = campaign.result()
    red = [one for one in result.findings if one.finding.red]
    others = [one for one in result.findings if not one.finding.red]
    return Tried(
        name,
        seed,
        tuple(f"{one.id} {one.finding.title}" for one in red),
        tuple(f"{one.finding.level} {one.id} {one.finding.title}" for one in others),
        tuple(one.id for one in result.properties if one.status == "skipped"),
        len(campaign.digests),
        result.elapsed_s,
        campaign.over or "",
    )


def _try(piece: tuple[str, int], budget_s: float, out: Path | None, families: Sequence[str]) -> Tried:
    name, seed = piece
    folder = None if out is None else out / f"{name}-{seed}"
    return try_variant(name, seed, budget_s=budget_s, out=folder, families=families)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="?", default=",".join(VARIANTS), help="variants, with commas")
    parser.add_argument("--seeds", default="0", help="with commas between them (default: 0)")
    parser.add_argument("--budget", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--families", default=",".join(FAMILIES), help="with commas (default: all)")
    parser.add_argument("--out", type=Path, default=None, metavar="DIR")
    given = parser.parse_args()
    names, seeds = given.names.split(","), [int(seed) for seed in given.seeds.split(",")]
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"there is no variant {unknown[0]}; there are: {', '.join(VARIANTS)}")
    wrong = False
    attempt = partial(_try, budget_s=given.budget, out=given.out, families=given.families.split(","))
    pieces = [(name, seed) for name in names for seed in seeds]
    for tried in spread(attempt, pieces, given.jobs, VARIANT_LIMIT_S):
        wrong |= tried.wrong
        print(f"{tried.variant}: {tried.line}", flush=True)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
