"""Plans mean something: faults can strike, orders are what they are mostly meant to be."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from harness.machines import FAMILIES
from harness.plan.content import EMPTY_JSON
from harness.plan.operation import Operation, Place, mark_owner
from harness.plan.plan import Plan, is_barrier
from tests.unit.machines.scopes import plans


@cache
def drawn() -> tuple[Plan, ...]:
    return tuple(plan for family in FAMILIES for plan in plans(family, seed=11, examples=30))


def bodies(plan: Plan, op: Operation) -> dict[tuple[str, int], int]:
    """The exchanges of an operation that carry something: method, which one with it, bytes at least."""
    if op.do == "manifest.put":
        return {("put", 1): 120}
    if op.do in ("upload.patch", "blob.pull"):
        return {("patch" if op.do == "upload.patch" else "get", 1): op.get("size", 0)}
    size, chunks = plan.blobs[op["blob"]].size_bytes, op.get("chunks", ())
    if op["way"] == "chunked" and chunks:
        sent = {("patch", at + 1): chunk for at, chunk in enumerate(chunks)}
        return {**sent, ("put", 1): size - sum(chunks)}
    return {({"chunked": "patch", "stream": "patch"}.get(op["way"], op["way"]), 1): size}


def faults() -> Iterator[tuple[Plan, Operation, Place]]:
    for plan in drawn():
        for op in plan:
            if op.cut is not None:
                yield plan, op, op.cut.place
            if op.hold is not None and op.hold.place is not None:
                yield plan, op, op.hold.place


def test_faults_are_at_bytes_that_are_sent() -> None:
    seen = later = 0
    for plan, op, place in faults():
        carried = bodies(plan, op)
        assert (place.on, place.nth) in carried, op
        if place.part == "body":
            assert 0 <= place.at_bytes < carried[place.on, place.nth], op
            seen += 1
            later += place.nth > 1
        elif place.part == "head":
            assert place.at_bytes <= 60
    assert seen > 100
    assert later > 0


def test_an_operation_that_stands_still_is_released_by_something_that_waits_for_it() -> None:
    seen = 0
    for plan in drawn():
        for op in plan:
            if op.hold is None:
                continue
            waiting = [other for other in plan if f"{op.id}.held" in other.after]
            assert waiting, op
            assert mark_owner(op.hold.until) in plan
            assert not any(is_barrier(other) for other in waiting)
            seen += 1
    assert seen > 60


def test_a_kill_is_followed_by_a_restart_before_long() -> None:
    late = total = 0
    for plan in drawn():
        down: int | None = None
        for at, op in enumerate(plan):
            if op.do == "kill":
                total, down = total + 1, at
            if op.do == "restart" and down is not None:
                late += at - down > 4
                down = None
    assert total > 50
    assert not late


def test_a_pause_is_followed_by_its_end() -> None:
    for plan in drawn():
        kinds = [op.do for op in plan if op.do in ("pause", "continue")]
        assert kinds == ["pause", "continue"] * (len(kinds) // 2)


def before(plan: Plan, op: Operation) -> set[str]:
    """All operations that have ended when one starts, whatever the schedule."""
    found: set[str] = set()
    marks = list(plan.waits[op.id])
    while marks:
        mark = marks.pop()
        owner = mark_owner(mark)
        if mark == owner and owner not in found:
            found.add(owner)
        elif mark == owner:
            continue
        marks.extend(plan.waits[owner])
    return found


def test_children_and_blobs_mostly_come_first() -> None:
    ready = total = 0
    for plan in drawn():
        for op in plan:
            if op.do != "manifest.put":
                continue
            spec = plan.manifests[op["manifest"]]
            first = before(plan, op)
            have = {(o.get("repo"), o.get("manifest")) for o in plan if o.id in first}
            have |= {(o.get("repo"), o.get("blob")) for o in plan if o.id in first}
            blobs = () if spec.kind == "index" else spec.blobs or (EMPTY_JSON,)
            wanted = {(op["repo"], name) for name in (*blobs, *spec.children)}
            if wanted:
                total += 1
                ready += wanted <= have
    assert ready > 0.7 * total
    assert ready < total  # races, and manifests that name what is not there


def test_readers_mostly_come_after_writers_and_sometimes_race() -> None:
    ordered = total = 0
    for plan in drawn():
        for op in plan:
            if op.do not in ("blob.pull", "blob.head"):
                continue
            writers = [
                o.id
                for o in plan
                if o.do == "blob.push" and (o["repo"], o["blob"]) == (op["repo"], op["blob"])
            ]
            if writers and list(plan.waits).index(writers[0]) < list(plan.waits).index(op.id):
                total += 1
                ordered += writers[0] in before(plan, op)
    assert 0.75 * total < ordered < total


def test_a_retry_comes_after_what_it_repeats() -> None:
    seen = 0
    for plan in drawn():
        for op in plan:
            if op.do == "again":
                assert op["of"] in before(plan, op)
                seen += plan[op["of"]].cut is not None
    assert seen > 20
