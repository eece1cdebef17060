"""Existence of content against brute force: the same question as a register with two values."""

from __future__ import annotations

import random

import pytest

from harness.history import FOREVER_NS
from harness.model.facts import TagOp
from harness.model.presence import ghosts, losses
from harness.model.reading import facts_of
from tests.unit.checkers.tell import Tale
from tests.unit.model.test_register import brute_force

THERE = "there"


def random_tale(rng: random.Random, reads: int) -> tuple[Tale, list[TagOp]]:
    """A history about one blob, and the same as operations on a register."""
    tale = Tale()
    ops: list[TagOp] = []
    for _ in range(rng.randint(0, 4)):
        start = rng.randint(0, 14)
        span = (start, start + rng.randint(0, 6))
        lost = rng.random() < 0.3
        status = None if lost else 201
        end = FOREVER_NS if lost else span[1]
        if rng.random() < 0.55:
            tale.push("r", "b", status, at=span, error="reset" if lost else None)
            ops.append(TagOp("write", THERE, span[0], end, lost, len(ops)))
        else:
            tale.drop("r", "b", None if lost else 202, at=span, error="reset" if lost else None)
            ops.append(TagOp("delete", None, span[0], end, lost, len(ops)))
    for _ in range(reads):
        start = rng.randint(0, 24)
        span = (start, start + rng.randint(0, 4))
        there = rng.random() < 0.5
        tale.pull("r", "b", 200 if there else 404, at=span)
        ops.append(TagOp("read", THERE if there else None, *span, index=len(ops)))
    return tale, ops


def flagged(tale: Tale) -> bool:
    facts = facts_of(tale.history())
    return bool(ghosts(facts) or losses(facts))


@pytest.mark.parametrize("seed", range(6))
def test_one_read_is_judged_exactly(seed: int) -> None:
    rng = random.Random(seed)
    illegal = 0
    for _ in range(400):
        tale, ops = random_tale(rng, 1)
        assert flagged(tale) != brute_force(ops), ops
        illegal += flagged(tale)
    assert 40 < illegal < 360


@pytest.mark.parametrize("seed", range(6))
def test_nothing_legal_is_ever_blamed(seed: int) -> None:
    rng = random.Random(100 + seed)
    blamed = 0
    for _ in range(250):
        tale, ops = random_tale(rng, rng.randint(2, 3))
        if flagged(tale):
            blamed += 1
            assert not brute_force(ops), ops
    assert blamed > 40
