"""How many plans a second are drawn, for each family: ``python -m tests.bench.bench_draw``."""

from __future__ import annotations

import time

from harness.history import ABILITIES, Abilities, Promises
from harness.machines import FAMILIES, Scope, draw
from harness.plan.plan import Plan

EXAMPLES = 200
CONTROLS = frozenset({"kill", "restart", "pause", "collect"})


def main() -> None:
    scope = Scope(Abilities(frozenset(ABILITIES), CONTROLS), Promises(collection="online"))
    for family in FAMILIES:
        drawn: list[Plan] = []
        start = time.perf_counter()
        draw(family, seed=1, examples=EXAMPLES, scope=scope, run=drawn.append)
        spent_s = time.perf_counter() - start
        operations = sum(map(len, drawn)) / len(drawn)
        print(f"{family:4} {len(drawn) / spent_s:6.0f} plans/s  {operations:5.1f} operations each")


if __name__ == "__main__":
    main()
