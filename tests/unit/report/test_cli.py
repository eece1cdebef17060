"""The command line: exit codes, one line for each error, no tracebacks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.checkers.finding import Finding, Report
from harness.cli import main
from harness.history import Abilities, History
from harness.plan.codec import dump
from harness.plan.kinds import KINDS
from harness.plan.plan import Plan
from harness.report.findings_json import write
from tests.unit.report.samples import LOST, PLAIN, RACE, found, prop, race_history, result, scenario


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def race(tmp_path: Path) -> Path:
    path = tmp_path / "race.toml"
    path.write_text(dump(scenario(RACE)))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(dump(scenario(PLAIN)))
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["replay"],
        ["replay", "/does/not/exist.toml"],
        ["replay", "{race}", "--times", "0"],
        ["replay", "{race}", "--target", "http://127.0.0.1:1", "--target-file", "x"],
        ["replay", "{race}", "--promise", "magic=yes"],
        ["replay", "{race}", "--target-file", "no-such-registry"],
        ["replay", "{broken}"],
        ["replay", "{binary}"],
        ["show", "{binary}"],
        ["show", "{empty}"],
        ["show", "{folder}"],
        ["show", "{race}", "--html", "x.html"],
        ["recheck", "{race}"],
        ["recheck", "{empty}"],
        ["recheck", "{folder}"],
        ["export", "{race}", "--as", "curl"],
        ["export", "{race}", "--as", "perl"],
        ["export", "{folder}", "--as", "pytest"],
        ["operations", "blob.burn"],
    ],
)
def test_bad_input_is_one_line_and_exit_4(arguments: list[str], tmp_path: Path, race: Path) -> None:
    files = {"race": race, "folder": tmp_path / "folder"}
    files["folder"].mkdir()
    for name, content in (("broken", b"seatrial = 1\n[ops\n"), ("binary", b"\xff\xfe\x00"), ("empty", b"")):
        files[name] = tmp_path / (f"{name}.toml" if name != "empty" else "empty.jsonl")
        files[name].write_bytes(content)
    ended = call(*(argument.format(**files) for argument in arguments))
    assert ended.exit_code == 4, ended.output
    assert isinstance(ended.exception, SystemExit)
    assert ended.stderr.startswith("seatrial: ")
    assert ended.stderr.count("\n") == 1


def test_help_works_everywhere() -> None:
    for name in main.commands:
        if name != "run":
            assert call(name, "--help").exit_code == 0
    assert call("--help").exit_code == 0


def test_operations_are_generated_from_the_table() -> None:
    text = call("operations").output
    for name in KINDS:
        assert f"\n{name}  " in "\n" + text
    assert "blob.mount" not in call("operations", "blob.push").output


def test_rows_and_targets_are_listed() -> None:
    assert "must" in call("rows", "--level", "must").output
    assert "distribution-2.8" in call("targets").output


def test_show_draws_a_scenario(race: Path) -> None:
    ended = call("show", race)
    assert ended.exit_code == 0
    assert "●" in ended.output
    assert "\x1b" not in ended.output
    assert f"seatrial replay {race}" in ended.output


def test_show_sums_up_a_run(tmp_path: Path) -> None:
    write(tmp_path / "findings.json", result(prop(status="violated"), findings=(found(),)))
    text = call("show", tmp_path).output
    assert LOST.title in text
    assert "violated" in text


def test_export_writes_files(plain: Path, race: Path, tmp_path: Path) -> None:
    out = tmp_path / "test_it.py"
    assert call("export", plain, "--as", "pytest", "-o", out).exit_code == 0
    assert "import httpx" in out.read_text()
    assert "curl" in call("export", plain, "--as", "curl").output
    assert '"--target", os.environ["REGISTRY"]' in call("export", race, "--as", "pytest").output


# --- with a trial that is none ---------------------------------------------------------------------------


@dataclass
class Target:
    name: str = "pretend"
    url: str = "http://127.0.0.1:1"
    controls: frozenset[str] = frozenset()


ABLE = Abilities(frozenset(), frozenset({"collect", "kill"}))


@dataclass
class Trial:
    """Answers with findings from a list, one entry for each run."""

    answers: list[list[Finding]]
    history: History = field(default_factory=race_history)
    abilities: Abilities = ABLE
    target: Target = field(default_factory=Target)
    closed: bool = False

    def run(self, plan: Plan) -> History:
        return self.history

    def found(self, history: History) -> list[Finding]:
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


def replayed(monkeypatch: pytest.MonkeyPatch, race: Path, trial: Trial, *arguments: str) -> Result:
    def opened(given: Any) -> Trial:
        return trial

    monkeypatch.setattr("harness.cli.scenarios.opened", opened)
    ended = call("replay", race, *arguments)
    assert trial.closed
    return ended


def test_replay_counts(monkeypatch: pytest.MonkeyPatch, race: Path) -> None:
    pytest.importorskip("harness.run.replay")
    trial = Trial([[LOST], [], [LOST]])
    ended = replayed(monkeypatch, race, trial, "--times", "3", "--target", "http://h:1")
    assert ended.exit_code == 1
    assert "reproduced 2 of 3 on pretend" in ended.output
    assert "reproduced 2 of 3 times" in ended.output
    assert f"seatrial replay {race} --target http://h:1" in ended.output


def test_replay_that_holds(monkeypatch: pytest.MonkeyPatch, race: Path) -> None:
    ended = replayed(monkeypatch, race, Trial([[], []]), "--times", "2")
    assert ended.exit_code == 0
    assert "reproduced 0 of 2" in ended.output


def test_replay_of_a_race_goes_on_until_it_shows(monkeypatch: pytest.MonkeyPatch, race: Path) -> None:
    race.write_text(dump(replace(scenario(RACE), rate="6 of 10")))
    ended = replayed(monkeypatch, race, Trial([[], [LOST], [LOST]]))
    assert ended.exit_code == 1
    assert "reproduced 1 of 2 on pretend" in ended.output


@pytest.mark.parametrize(("rate", "most"), [(None, 1), ("10 of 10", 2), ("5 of 10", 8), ("0 of 10", 1)])
def test_replay_of_what_holds_ends(
    monkeypatch: pytest.MonkeyPatch, race: Path, rate: str | None, most: int
) -> None:
    race.write_text(dump(replace(scenario(RACE), rate=rate)))
    ended = replayed(monkeypatch, race, Trial([[] for _ in range(most)]))
    assert ended.exit_code == 0
    assert f"reproduced 0 of {most}" in ended.output


def test_replay_without_its_control_is_unusable(monkeypatch: pytest.MonkeyPatch, race: Path) -> None:
    ended = replayed(monkeypatch, race, Trial([[]], abilities=Abilities()))
    assert ended.exit_code == 4
    assert "collect" in ended.stderr


def test_replay_whose_fault_never_happened_is_not_green(monkeypatch: pytest.MonkeyPatch, race: Path) -> None:
    from dataclasses import replace

    from harness.history import Control

    history = race_history()
    missed = Control("fault.missed", 9, "collect", "collector", {"why": "the line was never printed"})
    trial = Trial([[]], replace(history, controls=(*history.controls, missed)))
    ended = replayed(monkeypatch, race, trial)
    assert ended.exit_code == 4
    assert "never printed" in ended.output
    assert "inconclusive" in ended.stderr


def stored(tmp_path: Path) -> Path:
    """The history of the race, as lines of a file."""
    from dataclasses import asdict

    from harness.plan.plan import plain

    history = race_history()
    head = {
        "kind": "begin",
        "seatrial": 1,
        "target": "pretend",
        "seed": 0,
        "salt": "salt",
        "prefix": "s",
        "plan": plain(RACE),
        "promises": asdict(history.promises),
        "supports": [],
        "controls": [],
    }
    lines = [head, *({"kind": "invoke", **asdict(e)} for e in history.exchanges)]
    lines += [{"kind": "control", **asdict(c)} for c in history.controls]
    path = tmp_path / "race.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"kind": "end"}]))
    return path


def test_recheck_judges_what_is_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = stored(tmp_path)
    for found_, code in (([LOST], 1), ([], 0)):
        reports = {"P2": Report(list(found_), ["a lost answer"], 3)}
        monkeypatch.setattr("harness.cli.scenarios._judged", lambda history, reports=reports: reports)
        ended = call("recheck", path)
        assert ended.exit_code == code, ended.output
        assert "P2 undecided: a lost answer" in ended.output
        assert (LOST.title in ended.output) == bool(found_)
    monkeypatch.setattr("harness.cli.scenarios._judged", lambda history: {"P2": Report()})
    assert call("recheck", path).exit_code == 4


def test_show_writes_a_timeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.cli.scenarios._judged", lambda history: {"P2": Report([LOST], [], 1)})
    path, page = stored(tmp_path), tmp_path / "page.html"
    assert call("show", path, "--html", page).exit_code == 0
    assert LOST.title in page.read_text()
    assert call("show", path, "--curl").output.count("curl -sS") == 7
    assert "404 BLOB_UNKNOWN" in call("show", path).output
