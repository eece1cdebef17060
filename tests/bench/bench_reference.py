"""The reference beside CNCF Distribution: ``python -m tests.bench.bench_reference [--only push,pull]``.

Both serve a folder on the same disk, both sync, and the same client asks them in turns, round by round, so
that what the machine does meanwhile hits both. Printed are medians over the rounds and the ratio of medians,
the reference's over Distribution's; above 1.00 the reference is better. ``--folder`` must be on a real disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import measures, stores
from .contestants import Contestant, contestants

REFERENCE, DISTRIBUTION, CACHED = "reference", "distribution", "distribution-cached"


@dataclass(frozen=True, slots=True)
class Measure:
    """``aim``: the ratio that is good enough. ``unit`` is one of which more is better."""

    title: str
    unit: str
    aim: float
    run: Callable[[str, measures.Scale], float]


MEASURES: dict[str, Measure] = {
    "push": Measure("push of 256 MiB in chunks", "MiB/s", 1.0, measures.large_push),
    "stream": Measure("push of 256 MiB as a stream", "MiB/s", 1.0, measures.streamed_push),
    "pull": Measure("pull of 256 MiB", "MiB/s", 0.8, measures.large_pull),
    "small": Measure("pushes of 1 KiB", "/s", 1.0, measures.small_pushes),
    "reads": Measure("manifest reads", "/s", 1.0, measures.manifest_reads),
    "reads8": Measure("manifest reads, 8 clients", "/s", 1.0, measures.manifest_reads_by_many),
    "moves": Measure("tag moves", "/s", 1.0, measures.tag_moves),
    "eight": Measure("images pushed and pulled, 8 clients", "/s", 0.7, measures.eight_clients),
}
OTHERS = ("memory", "collect", "growth")
MEMORY_AIM_MIB, COLLECT_AIM_MIB = 150, 300


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="seatrial-bench-", dir=options.folder))
    try:
        names = [REFERENCE, *options.beside]
        wanted = [name for name in MEASURES if name in options.only]
        if wanted or "memory" in options.only:
            with ExitStack() as stack:
                served = contestants(folder / "served", names, options.reference_option)
                for one in served:
                    stack.enter_context(one.served)
                for name in wanted:
                    compare(MEASURES[name], served, options.rounds, measures.Scale())
                if "memory" in options.only:
                    memory(served)
        if "collect" in options.only:
            collect(folder / "collect", stores.Shape(100_000, 10_000), options.collections)
        if "growth" in options.only:
            growth(folder / "growth", options.reference_option)
    finally:
        shutil.rmtree(folder)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    def choice(text: str) -> list[str]:
        chosen = text.split(",")
        if wrong := [name for name in chosen if name not in (*MEASURES, *OTHERS)]:
            known = ", ".join((*MEASURES, *OTHERS))
            raise argparse.ArgumentTypeError(f"no such measure: {', '.join(wrong)}; there are {known}")
        return chosen

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only",
        type=choice,
        default=[*MEASURES, *OTHERS],
        metavar="NAME,…",
        help=", ".join((*MEASURES, *OTHERS)),
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--collections", type=int, default=1, help="rounds of collecting 100 000 blobs")
    parser.add_argument("--folder", default=".", help="where to store; on a real disk")
    parser.add_argument("--beside", nargs="*", default=[DISTRIBUTION, CACHED], metavar="REGISTRY")
    parser.add_argument(
        "--reference-option", action="append", default=[], metavar="OPTION", help="of the reference's serve"
    )
    options = parser.parse_args(arguments)
    kind = subprocess.run(
        ("stat", "-f", "-c", "%T", options.folder), capture_output=True, text=True
    ).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        parser.error(f"--folder {options.folder} is a {kind}: nothing is synced there; name one on a disk")
    return options


def compare(measure: Measure, served: list[Contestant], rounds: int, scale: measures.Scale) -> None:
    """Measure in turns, and print a line for each registry."""
    figures: dict[str, list[float]] = {one.name: [] for one in served}
    for _ in range(rounds):
        for one in served:
            figures[one.name].append(measure.run(one.place, scale))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(f"{measure.title}: {medians[REFERENCE]:.0f} {measure.unit}{_spread(figures[REFERENCE])}")
    for one in served[1:]:
        ratio = medians[REFERENCE] / medians[one.name]
        said = "ok" if ratio >= measure.aim else "MISSED"
        theirs = f"{medians[one.name]:.0f} {measure.unit}{_spread(figures[one.name])}"
        print(f"    {ratio:5.2f} of {one.name}: {theirs}; aim {measure.aim:.1f}: {said}", flush=True)


def _spread(values: list[float]) -> str:
    return f" ({min(values):.0f}–{max(values):.0f})"


def memory(served: list[Contestant]) -> None:
    """Push 1 GiB into each, and print the peak of its resident memory meanwhile."""
    for one in served:
        one.forget_peak()
        before_mib = one.peak_mib()
        took_s = measures.push_gib(one.place)
        peak_mib = one.peak_mib()
        said = ""
        if one.name == REFERENCE:
            said = f"; aim {MEMORY_AIM_MIB} MiB: {'ok' if peak_mib <= MEMORY_AIM_MIB else 'MISSED'}"
        print(
            f"memory while 1 GiB is pushed: {one.name} {peak_mib:.0f} MiB (before {before_mib:.0f}), "
            f"{1024 / took_s:.0f} MiB/s{said}",
            flush=True,
        )


def collect(folder: Path, shape: stores.Shape, rounds: int) -> None:
    """Collect the same store with both collectors, in turns, each time from a fresh copy."""
    took: dict[str, list[float]] = {REFERENCE: [], DISTRIBUTION: []}
    peaks: dict[str, list[float]] = {REFERENCE: [], DISTRIBUTION: []}
    for number in range(rounds):
        for one in contestants(folder / str(number), list(took), ()):
            made = stores.make(str(one.root), shape)
            os.sync()  # or whoever syncs first pays for the making
            collected = one.collect()
            left = sum(1 for _ in (one.root / "docker/registry/v2/blobs").glob("*/*/*/data"))
            assert left == made.live_files, f"{one.name} left {left} of {made.live_files} files"
            took[one.name].append(collected.took_s)
            peaks[one.name].append(collected.peak_mib)
            shutil.rmtree(one.root)
    ours, theirs = (statistics.median(took[name]) for name in (REFERENCE, DISTRIBUTION))
    peak_mib = max(peaks[REFERENCE])
    what = f"{shape.blobs} blobs and {shape.manifests} manifests"
    print(
        f"collecting {what}: {ours:.1f} s, {peak_mib:.0f} MiB; aim {COLLECT_AIM_MIB} MiB: "
        f"{'ok' if peak_mib <= COLLECT_AIM_MIB else 'MISSED'}"
    )
    print(
        f"    {theirs / ours:5.2f} of {DISTRIBUTION}: {theirs:.1f} s, {max(peaks[DISTRIBUTION]):.0f} MiB; "
        f"aim 1.0: {'ok' if theirs >= ours else 'MISSED'}",
        flush=True,
    )


GROWTH = ("small", "reads", "moves")


def growth(folder: Path, reference_options: Sequence[str]) -> None:
    """How cost grows with the number of blobs stored, for the reference alone."""
    for blobs in (1000, 10_000, 100_000):
        (one,) = contestants(folder / str(blobs), [REFERENCE], reference_options)
        stores.make(str(one.root), stores.Shape(blobs, blobs // 10))
        os.sync()
        with one.served:
            figures = {
                name: statistics.median(MEASURES[name].run(one.place, measures.Scale()) for _ in range(3))
                for name in GROWTH
            }
        collected = one.collect()
        said = ", ".join(
            f"{MEASURES[name].title} {figures[name]:.0f}{MEASURES[name].unit}" for name in GROWTH
        )
        print(
            f"with {blobs} blobs: {said}; collecting {collected.took_s:.1f} s "
            f"({1e6 * collected.took_s / blobs:.0f} us a blob), {collected.peak_mib:.0f} MiB",
            flush=True,
        )
        shutil.rmtree(one.root)


if __name__ == "__main__":
    sys.exit(main())
