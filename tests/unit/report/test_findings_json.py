"""findings.json: its shape, and reading it back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.report.findings_json import (
    FindingsError,
    Known,
    merge,
    plain_result,
    problems,
    read,
    write,
    write_plain,
)
from tests.unit.report.samples import LOST, RACE, found, prop, result


def document() -> dict[str, Any]:
    held = prop("P4", sometimes_reached=("tag.moved",))
    return plain_result(result(prop(status="violated"), held, findings=(found(),)))


def test_it_has_what_the_design_says() -> None:
    text = document()
    assert (text["seatrial"], text["target"], text["seed"]) == (1, "sample", 7)
    assert text["properties"][0].keys() >= {"id", "status", "plans", "reason"}
    wanted = {"id", "property", "level", "clause", "title", "explanation", "witness", "scenario", "rate"}
    assert text["findings"][0].keys() >= wanted
    assert text["findings"][0]["rate"] == [19, 20]
    assert text["findings"][0]["kinds"] == ["closing.read", "collect", "image.pull", "manifest.put"]
    assert text["properties"][1]["sometimes"] == {"reached": ["tag.moved"], "missed": []}
    assert problems(json.loads(json.dumps(text))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(seatrial=2), "format 1"),
        (lambda d: d.pop("seed"), "`seed` is missing"),
        (lambda d: d["properties"][0].update(status="green"), "properties[0].status is 'green'"),
        (lambda d: d["findings"][0].update(rate=[1]), "findings[0].rate"),
        (lambda d: d["findings"][0].pop("check"), "`findings[0].check` is missing"),
        (lambda d: d["findings"][0].update(count=True), "`findings[0].count` is True"),
        (lambda d: d["findings"].append("x"), "findings[1] is no object"),
    ],
)
def test_problems_are_found(change: Any, said: str) -> None:
    text = document()
    change(text)
    assert said in " ".join(problems(text))


def test_written_and_read_back(tmp_path: Path) -> None:
    run = result(prop(), findings=(found(),))
    path = write(tmp_path / "out" / "findings.json", run)
    assert read(path) == plain_result(run)
    assert [p.name for p in path.parent.iterdir()] == ["findings.json"]


def test_nothing_wrong_is_written(tmp_path: Path) -> None:
    with pytest.raises(FindingsError):
        write_plain(tmp_path / "findings.json", {"seatrial": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seatrial": 1}', "\x00"])
def test_what_is_no_findings_json_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(FindingsError) as error:
        Known.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_known_findings_match_by_kinds_not_by_names(tmp_path: Path) -> None:
    known = Known.read(write(tmp_path / "f.json", result(prop(), findings=(found(),))))
    assert known.matches(LOST, RACE)
    assert known.matches(replace(LOST, explanation="other", subject="other"), RACE)
    assert not known.matches(replace(LOST, check="blob.changed"), RACE)
    assert not known.matches(replace(LOST, witness=("push", "pull")), RACE)
    assert not Known().matches(LOST, RACE)


def test_workers_are_merged() -> None:
    lacking = prop(
        status="inconclusive", reasons=("never happened: a mount succeeded",), sometimes_missed=("mount.ok",)
    )
    reached = prop(sometimes_reached=("mount.ok",))
    merged = merge([plain_result(result(lacking)), plain_result(result(reached))])
    assert problems(merged) == []
    assert merged["properties"][0]["status"] == "held"
    assert merged["properties"][0]["plans"] == 62
    assert merged["exit_code"] == 0

    undecided = prop(status="inconclusive", reasons=("undecided 3 times: a lost answer",))
    merged = merge([plain_result(result(undecided)), plain_result(result(reached))])
    assert merged["properties"][0]["status"] == "inconclusive"

    both = [plain_result(result(prop(status="violated"), findings=(found(count=2),)))] * 2
    merged = merge(both)
    assert [(row["id"], row["count"]) for row in merged["findings"]] == [("P2-lost-3f2a", 4)]
    assert merged["exit_code"] == 1
    assert merged["not_tried"] == [{"what": "kill", "why": "no control; give --kill-cmd"}]

    assert merge([plain_result(result(prop(), findings=(found(known=True),)))])["exit_code"] == 0
    with pytest.raises(FindingsError):
        merge([])
