"""Scopes that the tests of the machines draw in, and what they count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.history import ABILITIES, Abilities, Promises
from harness.machines import Scope, draw
from harness.plan.operation import Operation
from harness.plan.plan import Plan, is_barrier

CONTROLS = frozenset({"kill", "restart", "pause", "collect", "hold", "unplug"})
TIERS = frozenset({"power", "syscall", "disk", "files", "limit", "net", "net.backend"})
EVERYTHING = Scope(
    Abilities(frozenset(ABILITIES), CONTROLS | TIERS),
    Promises(collection="online", untagged_collected=True),
)
OFFLINE = Scope(Abilities(frozenset(ABILITIES), CONTROLS), Promises(collection="offline"))
HAZARD = Scope(OFFLINE.abilities, OFFLINE.promises, frozenset({"hazard"}))
BLACK_BOX = Scope(Abilities(frozenset({"push", "chunked", "oci", "index"})))
NOTHING = Scope()


def plans(family: str, scope: Scope = EVERYTHING, *, seed: int = 1, examples: int = 60) -> list[Plan]:
    found: list[Plan] = []
    draw(family, seed=seed, examples=examples, scope=scope, run=found.append)
    return found


def traits(op: Operation) -> Iterable[str]:
    """What an operation shows: its kind, its arguments, its faults."""
    yield op.do
    for name, value in op.args.items():
        yield f"{op.do} {name}"
        if name in ("way", "alg"):
            yield f"{op.do} {name}={value}"
    if op.cut is not None:
        yield f"cut {op.do}"
        yield f"cut in {op.cut.place.part}"
        yield f"cut by {op.cut.how}"
    if op.hold is not None:
        yield f"hold {op.do}"
        yield f"hold until {op.hold.until.rstrip('0123456789')}"
    if op.strike is not None:
        yield f"strike {op.strike.act}"
    if op.do == "collect":
        yield "collect alone" if is_barrier(op) else "collect beside"


def coverage(drawn: Iterable[Plan]) -> Counter[str]:
    """In how many plans each trait occurs."""
    found: Counter[str] = Counter()
    for plan in drawn:
        seen = {trait for op in plan for trait in traits(op)}
        seen |= {f"kind {spec.kind}" for spec in plan.manifests.values()}
        seen |= {f"size {spec.size_bytes}" for spec in plan.blobs.values() if spec.of is None}
        seen |= {"sha512" for spec in plan.blobs.values() if spec.alg == "sha512"}
        seen |= {"manifest as blob" for spec in plan.blobs.values() if spec.of is not None}
        seen.add(f"lanes {sum(isinstance(lane, int) for lane in plan.lanes)}")
        seen.add(f"closing {plan.closing}")
        found.update(seen)
    return found
