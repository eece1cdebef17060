"""Requests of the protocol table: which case, and inputs that it takes.

Everything follows from the machine's dice. All cases that the target can be asked are about equally probable,
whatever they are about; one whose input is one of many odd words is sent up to three times as often. Of 120
cases, 150 draws try about 65 %, and 700 almost surely all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from harness.checkers.protocol.bodies import DEEP, MALFORMED, ODD
from harness.checkers.protocol.case import Case
from harness.checkers.protocol.cases import CASES
from harness.checkers.protocol.grammar import METHODS, TAG_CHARACTERS
from harness.history import Abilities
from harness.machines.dice import Dice

Request = tuple[str, dict[str, Any]]
"""The name of a case, and its arguments among ``a``, ``b`` and ``n``."""
Drawn = Callable[[Dice], str | int]

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_TAG_START = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_HEX = "0123456789abcdef"
_NO_TAG = "!@$&'()*+,;=~ éλ\\|\"<>^`{}[]\x7f"


@cache
def available(abilities: Abilities) -> tuple[Case, ...]:
    return tuple(case for case in CASES.values() if abilities.can(case.needs))


def deal(dice: Dice, cases: Sequence[Case]) -> Request:
    """One of the cases with inputs, all chosen by the dice."""
    case = dice.weighted([(_variety(case.name), case) for case in cases])
    return case.name, inputs(dice, case)


@cache
def _variety(name: str) -> float:
    """The weight of a case: the more words its input is one of, the more often it has to be sent."""
    domains = [DOMAINS[domain] for domain in CASES[name].draws.values()]
    words = max((len(one.args[0]) for one in domains if isinstance(one, partial)), default=1)
    return float(words**0.4)


def inputs(dice: Dice, case: Case) -> dict[str, Any]:
    return {name: DOMAINS[domain](dice) for name, domain in sorted(case.draws.items())}


def _one_of(choices: Sequence[str | int]) -> Drawn:
    return partial(_pick, choices)


def _pick(choices: Sequence[str | int], dice: Dice) -> str | int:
    return dice.pick(choices)


def _word(dice: Dice, alphabet: str, low: int, high: int) -> str:
    return "".join(dice.pick(alphabet) for _ in range(dice.number(low, high)))


def _spoiled(dice: Dice, bad: str) -> str:
    """A word with something in it that no word of its kind may have."""
    return _word(dice, _LOWER, 1, 6) + dice.pick(bad) + _word(dice, _LOWER, 0, 6)


_BAD_COMPONENTS = (
    "UPPER", "Mixed", "a..b", "a___b", "a._b", "a-_b", "a-", "a_", "a.", "-a", ".a", "...", "a b", "é", "a%b",
    "a$", "a\\b", "a:b", "~", "a;b", "a\x00b", "..\\..", "a?b", "a#b", "a+b", "\x7f",
)  # fmt: skip


def _bad_component(dice: Dice) -> str:
    if dice.chance(0.6):
        return dice.pick(_BAD_COMPONENTS)
    return _spoiled(dice, "ABCXYZ!@$&'()*+,;=~ é\\%#?")


def _bad_tag(dice: Dice) -> str:
    if dice.chance(0.5):
        return dice.pick((".", "-")) + _word(dice, _LOWER, 1, 8)
    return _spoiled(dice, _NO_TAG)


def _tag(dice: Dice, low: int, high: int) -> str:
    return dice.pick(_TAG_START) + _word(dice, _TAG_START + ".-", low - 1, high - 1)


def _long_tag(dice: Dice) -> str:
    return _tag(dice, TAG_CHARACTERS + 1, TAG_CHARACTERS + dice.pick((1, 2, 128, 900)))


def _bad_digest(dice: Dice) -> str:
    digits = _word(dice, _HEX, 63, 63)
    return dice.pick((
        "sha256:", ":", f":{digits}0", "sha256:abc", f"sha256:{digits}", f"sha256:{digits}00",
        f"sha256:{digits}G",
        f"sha256:{digits}A", f"SHA256:{digits}0", f"sha512:{digits}0", f"sha256::{digits}0",
        f"sha256:{digits}é",
        f"sha256:{digits}0:x", "sha256:..", "sha256:\x00", f"sha256+:{digits}0", f" sha256:{digits}0",
        f"sha256:{digits}%", f"sha256:{'0' * 5000}",
    ))  # fmt: skip


def _unknown_algorithm(dice: Dice) -> str:
    digits = _word(dice, _HEX, 64, 64)
    return dice.pick((
        f"sha999:{digits}", f"md5:{digits[:32]}", f"sha3-256:{digits}", f"multihash+base58:Qm{digits[:44]}",
        f"x:{digits}", "seatrial:a", f"sha256.x:{digits}",
    ))  # fmt: skip


def _any(dice: Dice) -> str:
    return str(dice.pick((_bad_tag, _bad_component, _bad_digest))(dice))


DOMAINS: Mapping[str, Drawn] = {
    "any": _any,
    "bad-component": _bad_component,
    "bad-path": _one_of((
        "seatrial//x", "/seatrial", "seatrial/", "seatrial/./x", "seatrial/../x", "seatrial/x/..", "..", ".",
        "Seatrial/x", "seatrial/...", "seatrial/-/x", "//", "seatrial/x//", "seatrial/ /x",
    )),
    "bad-tag": _bad_tag,
    "long-tag": _long_tag,
    "longest-tag": lambda dice: _tag(dice, TAG_CHARACTERS, TAG_CHARACTERS),
    "tag": lambda dice: _tag(dice, 1, 12),
    "bad-digest": _bad_digest,
    "unknown-algorithm": _unknown_algorithm,
    "bad-chunk-range": _one_of((
        "x", "0-", "-9", "9-0", "bytes 0-9/10", "bytes=0-9", "a-b", "0--1", "0-9-9", "9", "0,9", "0 - 9",
        "0x0-0x9",
        "0-9/10", "-", "1.0-9.0", "*", "4294967296-0",
    )),
    "bad-range": _one_of((
        "bytes=5-2", "bytes=a-b", "lines=0-1", "bytes=", "bytes=-", "bytes=--1", "0-1", "bytes 0-1",
        "bytes=-0",
        "bytes=0-18446744073709551616", "bytes=18446744073709551616-", "bytes=0-0,,", "bytes=0-0,-1,1-", "=",
        "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 400, 2)), "bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-",
    )),
    "limit": _one_of((
        "0", "1", "2", "10", "-1", "abc", "", "1.5", "1e3", "2147483647", "2147483648", "4294967296",
        "9223372036854775808", "1" + "0" * 20, "0x10", "00", "+1", " 1", "٣", "1,2", "null", "NaN",
    )),
    "method": _one_of(METHODS),
    "session": _one_of((
        "x", "0", "-", "a b", "é", "..\\..", "x" * 300, "00000000-0000-0000-0000-000000000000", "\x00",
        "_state",
        "%2e%2e", "a/b", "';--", "{}", "*", "..;",
    )),
    "media-type": _one_of((
        "text/plain", "*/*;q=2", "application/*", ";", "application/json; =", ",,,", "*", "application", "/",
        "application/vnd.oci.image.manifest.v1+json;q=0", "x" * 2000, 'application/json; charset="',
        "application/json", "application/vnd.docker.distribution.manifest.v1+json",
    )),
    "malformed": _one_of(tuple(MALFORMED)),
    "odd": _one_of(tuple(ODD)),
    "deep": _one_of(tuple(DEEP)),
    "over-255": _one_of((256, 257, 300, 1000, 4096)),
    "suffix": _one_of((1, 2, 63, 1000, 1 << 16)),
    "long": _one_of((4096, 8000, 8192, 16384, 1 << 15)),
}  # fmt: skip
"""For each domain that a case may draw from, how an input is chosen."""
