"""Looking for a defect of the catalogue in the reference: what one hunt came to, as a plain value.

``python -m tests.quality.defects.hunts NAME[,NAME] [--seed N]`` shows what is found, and how.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.report.words import explain
from harness.run.hunt import Sighting, hunt
from harness.run.options import Options
from harness.targets.base import TargetError
from reference_impl.defects import DEFECTS
from reference_impl.deviations import Defect

TARGET = "reference"


@dataclass(frozen=True, slots=True)
class Caught:
    """A finding: the property ``violated``, check and title; the operations of its shrunk plan, by kind; how
    often that replays, (reproduced, tried); and the plans and seconds until it was seen first."""

    id: str
    violated: str
    check: str
    title: str
    kinds: tuple[str, ...]
    rate: tuple[int, int]
    plans: int
    elapsed_s: float

    @property
    def operations(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A hunt for ``names`` with a seed: what was caught, in order; plans and seconds in all."""

    names: tuple[str, ...]
    seed: int
    caught: tuple[Caught, ...]
    plans: int
    elapsed_s: float
    error: str = ""

    def of(self, defect: Defect) -> Caught | None:
        """The first that the defect explains: a finding about a property that it violates."""
        return next((one for one in self.caught if one.violated in defect.violates), None)


def look_for(
    names: Sequence[str],
    seed: int = 0,
    *,
    target: str | None = None,
    tiers: frozenset[str] | None = None,
    budget_s: float | None = None,
    without: Sequence[str] = (),
    out: Path | None = None,
    show: bool = False,
) -> Outcome:
    """Hunt for defects that are put in together, until each of them explains a finding of its own; as if the
    harness had no checks of the names in ``without``.  ``target`` and ``tiers`` are those of the first defect
    and all of them where nothing is said."""
    defects = [DEFECTS[name] for name in names]
    target = target or defects[0].target
    near = list(dict.fromkeys(id_ for defect in defects for id_ in defect.violates))
    begun = time.monotonic()

    def enough(sightings: Sequence[Sighting]) -> bool:
        return told_apart(defects, [one.found.finding.property for one in sightings])

    with tempfile.TemporaryDirectory(prefix="seatrial-hunt-") as folder:
        options = Options(
            target_file=target + "".join(f"+{name}" for name in names),
            seed=seed,
            budget_s=budget_s,
            tiers=Options().tiers if tiers is None else tiers,
            out=out or Path(folder),
        )
        try:
            ended = hunt(
                options,
                first=near,
                enough=enough,
                without=frozenset(without),
                progress=print if show else lambda line: None,
            )
        except TargetError as error:
            return Outcome(tuple(names), seed, (), 0, time.monotonic() - begun, str(error))
        if show:
            for one in ended.sightings:
                print(explain(one.found, ended.target_option))
    caught = tuple(_caught(one) for one in ended.sightings)
    return Outcome(tuple(names), seed, caught, ended.plans, time.monotonic() - begun)


def outcome_of(fields: Mapping[str, Any]) -> Outcome:
    """An `Outcome` from the plain value that `dataclasses.asdict` and JSON make of it."""
    caught = tuple(
        Caught(**{**one, "kinds": tuple(one["kinds"]), "rate": tuple(one["rate"])})
        for one in fields["caught"]
    )
    return Outcome(**{**fields, "names": tuple(fields["names"]), "caught": caught})


def told_apart(defects: Sequence[Defect], properties: Sequence[str]) -> bool:
    """Whether each defect can have a finding of its own."""
    left = list(properties)
    for defect in sorted(defects, key=lambda one: len(one.violates)):
        mine = next((id_ for id_ in defect.violates if id_ in left), None)
        if mine is None:
            return False
        left.remove(mine)
    return True


def _caught(sighting: Sighting) -> Caught:
    found = sighting.found
    return Caught(
        found.id,
        found.finding.property,
        found.finding.check,
        found.finding.title,
        tuple(op.do for op in found.plan),
        found.rate,
        sighting.plans,
        sighting.elapsed_s,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", help="defects, with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default=None)
    parser.add_argument("--budget", type=float, default=None, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=None, metavar="DIR")
    given = parser.parse_args()
    names = given.names.split(",")
    outcome = look_for(
        names, given.seed, target=given.target, budget_s=given.budget, out=given.out, show=True
    )
    if outcome.error:
        print(outcome.error)
    print(f"{outcome.plans} plans, {outcome.elapsed_s:.1f} s in all")
    missed = False
    for name in names:
        caught = outcome.of(DEFECTS[name])
        missed |= caught is None
        print(f"{name}: {caught if caught is not None else 'NOT FOUND'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
