"""Known findings are steered around, and never wholly: what is drawn does not change, what is run does."""

from __future__ import annotations

from harness.checkers.finding import Finding
from harness.plan.operation import Operation
from harness.plan.plan import Plan
from harness.run.steering import Steering


def listing(number: int) -> Plan:
    return Plan(
        (
            Operation("put", 1, "manifest.put", {"repo": f"r{number}", "tag": "t"}),
            Operation("get", 1, "manifest.get", {"repo": f"r{number}", "tag": "t"}),
            Operation("list", 1, "tags.list", {"repo": f"r{number}", "n": 1}),
        )
    )


def test_nothing_known_changes_nothing() -> None:
    assert all(Steering().trim(listing(n)) is not None for n in range(5))
    assert [Steering().trim(listing(n)).digest for n in range(5)] == [listing(n).digest for n in range(5)]


def test_three_plans_of_four_leave_the_known_out() -> None:
    steering = Steering()
    finding = Finding("P7", "must", "listing.too_many", "row 68", "too many", "", ("put", "list"))
    steering.learn(listing(0), finding)
    sizes = [len(steering.trim(listing(n))) for n in range(400)]
    assert set(sizes) == {2, 3}
    assert 0.6 < sizes.count(2) / len(sizes) < 0.9


def test_what_is_only_advised_is_not_steered_around() -> None:
    steering = Steering()
    steering.learn(listing(0), Finding("P7", "should", "listing.order", "row 67", "no order", "", ("list",)))
    assert all(len(steering.trim(listing(n))) == 3 for n in range(50))


def test_the_same_kind_with_other_arguments_stays() -> None:
    steering = Steering()
    finding = Finding("P7", "must", "listing.too_many", "row 68", "too many", "", ("put", "list"))
    steering.learn(listing(0), finding)
    for number in range(50):
        plan = listing(number)
        whole = plan.replace(plan["list"].with_args(n=None))
        assert len(steering.trim(whole)) == 3
