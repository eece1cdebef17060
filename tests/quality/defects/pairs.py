"""Two defects at once: each has to have a finding of its own.

``python -m tests.quality.defects.pairs [--count 50] [--seed 0] [--jobs 2]`` puts in pairs that are chosen at
random, and prints a line for each.  A finding belongs to a defect if its shrunk plan shows it again in a
registry that has that defect alone.  Exits with 1 if a defect of a pair was not reported.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.run.hunt import Sighting, hunt
from harness.run.options import Options
from harness.run.trial import Trial, open_trial
from reference_impl.defects import DEFECTS

from .hunts import TARGET
from .processes import spread

REPLAYS = 4
PAIR_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Apart:
    """``of`` each defect of the pair: the findings that belong to it, by id; ``both``: to any of the two, or
    only to both together."""

    names: tuple[str, str]
    of: tuple[tuple[str, ...], tuple[str, ...]]
    both: tuple[str, ...]
    elapsed_s: float

    @property
    def told(self) -> bool:
        return all(self.of)

    @property
    def line(self) -> str:
        each = zip(self.names, self.of, strict=True)
        parts = [f"{name}: {', '.join(ids) or 'NOT REPORTED'}" for name, ids in each]
        rest = f"; of both: {', '.join(self.both)}" if self.both else ""
        return f"{'; '.join(parts)}{rest} ({self.elapsed_s:.0f} s)"


def tell_apart(names: tuple[str, str], seed: int = 0, budget_s: float | None = None) -> Apart:
    """Hunt until each of the two has a finding, or all families had their share."""
    begun = time.monotonic()
    mine: dict[str, list[str]] = {name: [] for name in names}
    both: list[str] = []
    near = list(dict.fromkeys(id_ for name in names for id_ in DEFECTS[name].violates))
    with tempfile.TemporaryDirectory(prefix="seatrial-pair-") as folder, ExitStack() as stack:
        alone: dict[str, Trial] = {}
        for name in names:
            options = Options(target_file=f"{TARGET}+{name}", seed=seed, out=Path(folder) / name)
            alone[name] = open_trial(options)
            stack.callback(alone[name].close)

        def enough(sightings: Sequence[Sighting]) -> bool:
            found = sightings[-1].found
            guilty = [name for name in names if shows(alone[name], sightings[-1])]
            (mine[guilty[0]] if len(guilty) == 1 else both).append(found.id)
            return all(mine.values())

        options = Options(
            target_file=TARGET + "".join(f"+{name}" for name in names),
            seed=seed, budget_s=budget_s, out=Path(folder) / "both",
        )  # fmt: skip
        hunt(options, first=near, enough=enough)
    first, second = (tuple(mine[name]) for name in names)
    return Apart(names, (first, second), tuple(both), time.monotonic() - begun)


def shows(trial: Trial, sighting: Sighting) -> bool:
    """Whether a registry shows a finding with its shrunk plan."""
    signature = sighting.found.finding.signature
    return any(
        any(one.signature == signature for one in trial.findings(sighting.found.plan)) for _ in range(REPLAYS)
    )


def chosen(count: int, seed: int, among: Iterable[str] = DEFECTS) -> list[tuple[str, str]]:
    """Pairs of different defects, at random."""
    rolls = random.Random(seed)
    names = sorted(among)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        one, other = rolls.sample(names, 2)
        pairs[one, other] = None
    return list(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    told = 0
    pairs = chosen(given.count, given.seed)
    for apart in spread(partial(tell_apart, seed=given.seed), pairs, given.jobs, PAIR_LIMIT_S):
        told += apart.told
        print(apart.line, flush=True)
    print(f"{told} of {given.count} pairs: both reported")
    return int(told < given.count)


if __name__ == "__main__":
    sys.exit(main())
