"""What was struck dead is buried; what began since is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.run.lives import Lives
from tests.unit.run.registry import MemoryTarget


class Counting(MemoryTarget):
    kills = 0

    def kill(self) -> None:
        self.kills += 1


@pytest.fixture
def target() -> Iterator[Counting]:
    made = Counting()
    yield made
    made.close()


def test_the_life_that_was_struck_is_buried(target: Counting) -> None:
    lives = Lives(target)
    lives.bury(lives.count)
    assert target.kills == 1


@pytest.mark.parametrize("begin", [Lives.start, Lives.restart])
def test_a_life_that_began_since_goes_on(target: Counting, begin: Callable[[Lives], None]) -> None:
    lives = Lives(target)
    struck = lives.count
    begin(lives)
    lives.bury(struck)
    assert target.kills == 0
