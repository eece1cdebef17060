"""Memory of the harness while a plan pushes and pulls 1 GiB: ``python -m tests.bench.bench_memory``.

The registry is another process; what is measured is this one, its history and its checkers included.
"""

from __future__ import annotations

import resource
import sys
import time

from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.operation import Arg, Operation
from harness.plan.plan import Plan
from harness.run.options import Options
from harness.run.trial import open_trial

GIB = 1 << 30


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plan(size_bytes: int, way: str) -> Plan:
    how: dict[str, Arg] = {"repo": "r", "blob": "big", "way": way}
    if way == "chunked":
        how["chunks"] = (size_bytes // 3, size_bytes // 3)
    return Plan(
        (
            Operation("push", 1, "blob.push", how),
            Operation("put", 1, "manifest.put", {"repo": "r", "manifest": "m", "tag": "t"}),
            Operation("pull", 1, "image.pull", {"repo": "r", "tag": "t"}),
        ),
        {"big": BlobSpec(size_bytes)},
        {"m": ManifestSpec(layers=("big",))},
    )


def main() -> int:
    trial = open_trial(Options(target_file=sys.argv[1] if len(sys.argv) > 1 else "reference"))
    try:
        trial.findings(plan(1000, "put"))
        before = peak_mib()
        print(f"after a small plan: {before:.0f} MiB")
        for way in ("put", "chunked"):
            begun = time.perf_counter()
            found = trial.findings(plan(GIB, way))
            took_s = time.perf_counter() - begun
            print(f"1 GiB, {way}: peak {peak_mib():.0f} MiB, {took_s:.1f} s, {len(found)} findings")
    finally:
        trial.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
