"""The tag register against brute force, and what its witnesses say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations, product

import pytest

from harness.history import FOREVER_NS
from harness.model.facts import ANY, TagOp
from harness.model.register import check, possible


def after(state: str | None, op: TagOp) -> str | None:
    if op.kind == "write":
        return op.value
    if op.kind == "delete" or (op.kind == "delete_if" and state == op.value):
        return None
    return state


def orders(ops: list[TagOp]) -> Iterator[tuple[TagOp, ...]]:
    """Every order of the operations that respects who ended before whom began."""
    for order in permutations(ops):
        if not any(
            later.end_ns < earlier.start_ns for i, earlier in enumerate(order) for later in order[i + 1 :]
        ):
            yield order


def explained(order: tuple[TagOp, ...]) -> bool:
    state: str | None = None
    for op in order:
        if op.kind == "read" and (state is None if op.value == ANY else state != op.value):
            return False
        state = after(state, op)
    return True


def brute_force(ops: list[TagOp]) -> bool:
    """Whether some choice of what happened, in some order, explains every read."""
    sure = [op for op in ops if not op.optional]
    maybe = [op for op in ops if op.optional]
    for keep in product((False, True), repeat=len(maybe)):
        chosen = sure + [op for op, kept in zip(maybe, keep, strict=True) if kept]
        if any(explained(order) for order in orders(chosen)):
            return True
    return False


def random_ops(rng: random.Random) -> list[TagOp]:
    ops = []
    for i in range(rng.randint(1, 6)):
        start = rng.randint(0, 14)
        end = start + rng.randint(0, 5)
        kind = rng.choice(["write", "write", "read", "read", "read", "delete", "delete_if"])
        value = rng.choice(["a", "b"])
        optional = kind != "read" and rng.random() < 0.3
        if optional and rng.random() < 0.7:
            end = FOREVER_NS
        if kind == "read":
            value = rng.choice(["a", "b", None, ANY])  # type: ignore[assignment]
        if kind == "delete":
            value = None  # type: ignore[assignment]
        ops.append(TagOp(kind, value, start, end, optional, i, f"op{i}"))  # type: ignore[arg-type]
    return sorted(ops, key=lambda op: op.start_ns)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_brute_force(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = []
    for _ in range(500):
        ops = random_ops(rng)
        verdict = check(ops)
        assert not verdict.unknown
        assert (not verdict.violations) == brute_force(ops), ops
        verdicts.append(not verdict.violations)
    assert 50 < sum(verdicts) < 450  # both answers occur


def write(value: str, start: int, end: int, **more: object) -> TagOp:
    return TagOp("write", value, start, end, **more)  # type: ignore[arg-type]


def read(value: str | None, start: int, end: int) -> TagOp:
    return TagOp("read", value, start, end, index=99)


def test_a_lost_move_names_the_move_that_was_lost() -> None:
    ops = [write("a", 0, 1, index=0), write("b", 2, 3, index=1), read("a", 4, 5)]
    (violation,) = check(ops).violations
    assert violation.forcing == ops[1]
    assert violation.witness == tuple(ops)
    assert violation.expected == {"b"}


def test_new_then_old_names_the_earlier_read() -> None:
    ops = [
        write("a", 0, 1),
        write("b", 2, FOREVER_NS, optional=True, index=1),
        read("b", 3, 4),
        read("a", 5, 6),
    ]
    (violation,) = check(ops).violations
    assert violation.forcing == ops[2]
    assert ops[1] in violation.witness


def test_a_value_that_nobody_wrote_needs_no_other_witness() -> None:
    (violation,) = check([write("a", 0, 1), read("z", 2, 3)]).violations
    assert violation.forcing is None
    assert len(violation.witness) == 1


def test_an_optional_write_before_a_deletion_of_its_manifest_explains_a_missing_tag() -> None:
    ops = [
        write("a", 0, 1),
        write("b", 2, FOREVER_NS, optional=True),
        TagOp("delete_if", "b", 4, 5),
        read(None, 6, 7),
    ]
    assert not check(ops).violations


def test_one_violation_does_not_hide_the_next() -> None:
    ops = [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5), write("c", 6, 7), read("b", 8, 9)]
    assert len(check(ops).violations) == 2


def test_the_budget_makes_the_verdict_unknown_and_never_green() -> None:
    ops = [write(str(i), 0, 100, index=i) for i in range(12)] + [read("none", 50, 101)]
    verdict = check(ops, nodes_max=500)
    assert verdict.unknown
    assert not verdict.violations


def test_moves_that_never_returned_are_no_burden_however_many() -> None:
    lost = [write("ab"[i % 2], i, FOREVER_NS, optional=True, index=i) for i in range(40)]
    verdict = check([*lost, read("b", 50, 51), read("a", 52, 53), read("b", 54, 55)])
    assert not verdict.unknown
    assert not verdict.violations
    assert check([*lost, read("c", 50, 51)]).violations


def test_the_budget_is_for_each_window() -> None:
    ops = [
        op
        for i in range(200)
        for op in (write(str(i), 10 * i, 10 * i + 1), read(str(i), 10 * i + 2, 10 * i + 3))
    ]
    verdict = check(ops, nodes_max=50)
    assert not verdict.unknown
    assert not verdict.violations


def test_possible_is_the_plain_question() -> None:
    assert possible([write("a", 0, 1), read("a", 2, 3)]) is True
    assert possible([write("a", 0, 1), read(None, 2, 3)]) is False
