"""Drawing requests: every case, with inputs that it takes."""

from __future__ import annotations

import pytest

from harness.checkers.protocol.case import Case
from harness.checkers.protocol.cases import CASES
from harness.checkers.protocol.grammar import TEXT_DOMAINS, is_digest, is_name, is_tag
from harness.history import Abilities
from harness.machines.dice import Dice
from harness.machines.requests import DOMAINS, Request, available, deal, inputs
from harness.plan.kinds import KINDS
from harness.plan.operation import Operation
from tests.unit.protocol.answers import ALL

DRAWS = 1500
EVERYTHING = Abilities(ALL)


def drawn(count: int, abilities: Abilities) -> list[Request]:
    dice, cases = Dice(7), available(abilities)
    return [deal(dice, cases) for _ in range(count)]


def test_what_is_drawn_is_a_request_of_the_table() -> None:
    kind = KINDS["request"]
    for name, args in drawn(200, EVERYTHING):
        case = CASES[name]
        op = Operation("r", 1, "request", {"case": name, **args})
        assert set(args) == set(case.draws)
        assert case.holds(op)
        for argument, value in args.items():
            spec = kind.spec(argument)
            assert spec is not None
            assert isinstance(value, int if spec.type == "int" else str)


def test_every_case_is_drawn_and_none_much_more_than_others() -> None:
    cases = available(EVERYTHING)
    counts = dict.fromkeys((case.name for case in cases), 0)
    dice = Dice(11)
    for _ in range(DRAWS):
        dice.feed(dice.number(0, 1 << 32))
        counts[deal(dice, cases)[0]] += 1
    assert set(counts) == set(CASES)
    assert min(counts.values()) > 0
    assert max(counts.values()) < 4 * DRAWS / len(cases)


def test_150_draws_try_most_cases() -> None:
    assert len({name for name, _ in drawn(150, EVERYTHING)}) > 0.6 * len(CASES)


def test_only_what_the_target_can_be_asked() -> None:
    names = {case.name for case in available(Abilities())}
    assert all(not CASES[name].needs for name in names)
    assert {name for name, _ in drawn(60, Abilities())} <= names
    assert "referrers.bad-digest" not in names


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_inputs_are_from_the_cases_domains(case: Case) -> None:
    dice = Dice(3)
    for _ in range(100):
        op = Operation("r", 1, "request", {"case": case.name, **inputs(dice, case)})
        assert case.holds(op), op.args


def test_every_domain_is_used() -> None:
    assert {domain for case in CASES.values() for domain in case.draws.values()} == set(DOMAINS)
    assert set(TEXT_DOMAINS) <= set(DOMAINS)


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("a/b", True, False, False),
        ("a--b__c.d_e/0", True, False, False),
        ("a..b", False, True, False),
        ("a_-b", False, True, False),
        ("A", False, True, False),
        ("a/", False, False, False),
        ("t" * 128, True, True, False),
        ("t" * 129, True, False, False),
        (".t", False, False, False),
        ("a\n", False, False, False),
        ("sha256:" + "a" * 64, False, False, True),
        ("sha256:" + "A" * 64, False, False, False),
        ("sha256:" + "a" * 63, False, False, False),
        ("sha512:" + "a" * 64, False, False, False),
        ("x+y:Qm_=-", False, False, True),
        ("x:", False, False, False),
        ("", False, False, False),
    ],
)
def test_grammar(text: str, name: bool, tag: bool, digest: bool) -> None:
    assert (is_name(text), is_tag(text), is_digest(text)) == (name, tag, digest)
