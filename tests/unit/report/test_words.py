"""Operations and findings in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.kinds import KINDS
from harness.plan.operation import Arg, Operation
from harness.plan.plan import Plan
from harness.report import phrases
from harness.report.words import explain, story
from tests.unit.report.samples import LOST, RACE, found, race_history


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (4097, "4097 B"),
        (65536, "64 KiB"),
        ((1 << 20) - 1, "1 MiB − 1 B"),
        (1 << 20, "1 MiB"),
        (5 * (1 << 20) + 1, "5 MiB + 1 B"),
        (1_000_000, "1000000 B"),
    ],
)
def test_sizes_are_exact(size: int, words: str) -> None:
    assert phrases.size(size) == words


VALUES: dict[str, Arg] = {
    "int": 3,
    "bool": True,
    "strs": ("one", "two"),
    "ints": (1, 2),
    "repo": "repo-x",
    "blob": "blob-x",
    "manifest": "manifest-x",
    "upload": "upload-x",
    "tag": "tag-x",
    "str": "word-x",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("every", [False, True])
def test_every_kind_has_words_that_name_what_it_needs(kind: object, every: bool) -> None:
    row = KINDS[kind.name]  # type: ignore[attr-defined]
    args = {a.name: VALUES.get(a.type, a.type.split("|")[0]) for a in row.args if every or a.required}
    words = phrases.operation(Operation("x", 1, row.name, args), Plan(()))
    assert not words.startswith((f"{row.name} repo=", f"{row.name} case=")), "no words of its own"
    for argument in row.args:
        if argument.required and argument.type in ("blob", "manifest", "upload", "tag"):
            assert str(args[argument.name]) in words


def test_an_unknown_kind_still_has_words() -> None:
    assert phrases.operation(Operation("x", 1, "future.thing", {"n": 1})) == "future.thing n=1"


def test_contents_are_said() -> None:
    plan = Plan(
        (),
        {"b": BlobSpec(1, "sha512"), "m": BlobSpec(of="image")},
        {"i": ManifestSpec(kind="index", children=("a", "b", "c", "d"))},
    )
    assert phrases.blob("b", plan) == "1 B sha512"
    assert phrases.blob("m", plan) == "the bytes of manifest image"
    assert phrases.manifest("i", plan) == "index of a, b, c and 1 more"


def test_answers_are_counted_where_an_operation_repeats() -> None:
    history = race_history()
    op = Operation("pull", 1, "manifest.get", {"repo": "a/b", "tag": "t", "times": 2})
    assert phrases.answer(op, history) == "✗ 1 × 200, 1 × 404"


def test_an_answer_that_never_came_is_unknown() -> None:
    history = race_history()
    silent = replace(history.exchanges[-2], status=None, error="connection reset", body=None)
    changed = replace(history, exchanges=(*history.exchanges[:-2], silent))
    assert phrases.answer(RACE["pull"], changed) == "? connection reset (layer)"


def test_a_finding_tells_let_then_however() -> None:
    lines = [line.split(maxsplit=1) for line in story(LOST, RACE, race_history()) if line.strip()]
    leads = [words[0] for words in lines]
    assert leads[0] == "Let"
    assert leads.index("Let") < leads.index("Then") < leads.index("However")
    flat = " ".join(" ".join(words) for words in lines)
    assert "put ran while collect was held; collect ended before pull began." in flat
    assert "However put acknowledged image" in flat


def test_explain_says_everything_once() -> None:
    text = explain(found(), "--target-file distribution-2.8", history=race_history())
    assert text.splitlines()[0] == LOST.title
    assert "P2-lost-3f2a · P2 · must" in text
    assert "promise: closure" in text
    assert "reproduced 19 of 20 times; cut down from 50 operations to 4 in 18 executions" in text
    assert text.endswith("seatrial replay out/scenarios/P2-lost-3f2a.toml --target-file distribution-2.8")
    assert max(map(len, text.splitlines())) <= 100


def test_a_row_is_explained_with_a_link() -> None:
    words, url = phrases.clause("row 19")
    assert words.startswith("row 19: ")
    assert "#" in url
    assert phrases.clause("promise: durable") == ("promise: durable", "")
    assert phrases.clause("row 9999")[0] == "row 9999"
