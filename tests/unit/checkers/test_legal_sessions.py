"""Random upload sessions of a registry that does everything right: no checker may find anything."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.plan.content import BlobSpec
from tests.unit.checkers.tell import Tale

SIZE = 60
BLOBS = {"b": BlobSpec(SIZE), "other": BlobSpec(SIZE)}


class Session:
    """One session of a registry that keeps every byte that arrives, and refuses what is out of order. It may
    have a least size of chunks: a smaller one is the last."""

    def __init__(self, rng: random.Random, t: Tale) -> None:
        self.rng, self.t = rng, t
        self.offset, self.open, self.committed = 0, True, False
        self.least, self.short = rng.choice([0, 16]), False
        t.open("r", headers={"OCI-Chunk-Min-Length": str(self.least)} if self.least else {})

    def range(self) -> dict[str, str]:
        if self.offset == 0:
            return self.rng.choice([{}, {"Range": "0-0"}])
        return {"Range": f"0-{self.offset - 1}"}

    def patch(self) -> None:
        claim = self.offset if self.rng.random() < 0.7 else self.rng.randint(0, SIZE - 1)
        size = self.rng.randint(1, SIZE - claim) if claim < SIZE else 0
        if not size:
            return
        if not self.open or claim != self.offset:
            self.t.patch("r", "b", claim, size, 416 if self.open else 404, headers={})
            return
        if self.short:
            self.t.patch("r", "b", claim, size, self.rng.choice([400, 416]), headers={})
            return
        if self.rng.random() < 0.3:
            sent = self.rng.randint(0, size)
            self.offset += self.rng.randint(0, sent)
            self.t.patch("r", "b", claim, size, None, error="cut", cut="reset", sent=sent, headers={})
            return
        self.offset += size
        self.short = size < self.least
        claimed = claim if self.rng.random() < 0.8 else None
        self.t.patch("r", "b", claim, size, headers=self.range(), claim=claimed)

    def status(self) -> None:
        self.t.status("r", self.range().get("Range"), 204 if self.open else 404)

    def finish(self) -> None:
        declare = self.rng.choice([None, None, "other"])
        rest: dict[str, Any] = {}
        first = self.offset
        if self.offset < SIZE and self.rng.random() < 0.7:
            rest = {"first": first, "size": SIZE - first, "claim": first}
        whole = (first == SIZE or (bool(rest) and not self.short)) and declare is None
        if not self.open:
            self.t.finish("r", "b", 404, declare=declare, **rest)
            return
        self.t.finish("r", "b", 201 if whole else 400, declare=declare, **rest)
        # Whatever a refused commit did to the session, it is no open question for long: it is over here.
        self.open, self.committed = False, self.committed or whole

    def cancel(self) -> None:
        self.t.cancel("r", 204 if self.open else 404)
        self.open = False

    def crash(self) -> None:
        self.t.crash()
        self.open = self.open and self.rng.random() < 0.5
        if self.rng.random() < 0.5:
            self.offset = self.rng.randint(0, self.offset)


def told(seed: int) -> Tale:
    rng = random.Random(seed)
    t = Tale(BLOBS).promising(spec=rng.choice(["1.0", "1.1", "dev"]))
    session = Session(rng, t)
    steps = [session.patch] * 6 + [session.status] * 3 + [session.finish, session.cancel, session.crash]
    for _ in range(rng.randint(1, 12)):
        rng.choice(steps)()
    session.finish()
    session.status()
    t.pull("r", "b", 200 if session.committed else 404)
    t.pull("r", "other", 404)
    return t


@pytest.mark.parametrize("batch", range(6))
def test_what_is_right_is_never_blamed(batch: int) -> None:
    for seed in range(100 * batch, 100 * batch + 100):
        found = told(seed).findings()
        assert not found, (seed, found)
