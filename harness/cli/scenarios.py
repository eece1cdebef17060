"""Commands about one scenario or one history: replay, show, recheck, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.base import (
    HELD,
    UNUSABLE,
    VIOLATED,
    Unusable,
    history_from,
    is_history,
    opened,
    scenario_from,
    show_text,
    target_options,
    target_words,
    width,
)

if TYPE_CHECKING:
    from harness.checkers.finding import Finding, Report
    from harness.history import History
    from harness.plan.plan import Plan

FILE = click.Path(exists=True, path_type=Path)


def _story(finding: Finding, plan: Plan, history: History | None, **facts: Any) -> str:
    """A finding explained, for one that was not shrunk here."""
    from harness.report.result import FoundFinding
    from harness.report.words import explain

    option = facts.pop("option", "")
    settings = {"scenario": "", "history": "", "rate": (0, 0), "executions": 0, **facts}
    found = FoundFinding(finding.check, finding, plan, operations_before=len(plan), **settings)
    return explain(found, option, history=history, width=width())


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--times", type=click.IntRange(1), help="how often (default: until it shows, once or a few times)"
)
@target_options
def replay(file: Path, times: int | None, **given: Any) -> int:
    """Replay a scenario FILE, and say how often what it expects showed again.

    Without --times it is replayed until that shows: once, or if it did not always when it was found, so often
    that it is missed once in a hundred times where the defect is present.

    Exit: 1 where it did, 0 where the registry held, 4 where it could not be carried out.
    """
    from harness.run.replay import Replayed, tries
    from harness.run.replay import replay as once

    scenario = scenario_from(file)
    trial = opened(given)
    played: list[Replayed] = []
    try:
        for _ in range(times or tries(scenario)):
            played.append(once(trial, scenario))
            if played[-1].skipped:
                raise Unusable(f"{file}: not carried out: {played[-1].skipped}")
            if times is None and played[-1].expected:
                break
    finally:
        trial.close()
    times = len(played)
    again = sum(one.expected for one in played)
    shown = next((one for one in played if one.expected), None)
    shown = shown or next((one for one in played if one.findings), None)
    if shown is not None:
        for number, finding in enumerate(shown.findings):
            rate = (sum(_shows(one.findings, finding) for one in played), times)
            facts = {"scenario": str(file), "option": target_words(given)} if number == 0 else {}
            show_text(_story(finding, scenario.plan, shown.history, rate=rate, **facts) + "\n")
    show_text(f"{scenario.title}\nreproduced {again} of {times} on {trial.target.name}")
    if shown is not None:
        if not again:
            show_text("what the scenario expects did not show, but something else did")
        return VIOLATED
    missed = [one for one in played if one.undelivered]
    if missed:
        show_text(f"in {len(missed)} of {times} the fault did not happen: {missed[0].undelivered[0]}")
        if len(missed) == times:
            raise Unusable(f"{file}: inconclusive: no run delivered its faults")
    return HELD


def _shows(findings: tuple[Finding, ...], wanted: Finding) -> bool:
    return any(found.signature == wanted.signature for found in findings)


@click.command()
@click.argument("path", type=FILE)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="write a timeline (histories)")
@click.option("--curl", is_flag=True, help="print the exchanges as curl commands (histories)")
def show(path: Path, html: Path | None, curl: bool) -> int:
    """Draw a scenario or a history, or sum up the DIR of a run."""
    if path.is_dir() or path.name == "findings.json":
        if html or curl:
            raise Unusable(f"{path}: --html and --curl are for one history: {path}/history/….jsonl")
        return _show_run(path / "findings.json" if path.is_dir() else path)
    if is_history(path):
        return _show_history(history_from(path), html, curl)
    if html or curl:
        raise Unusable(f"{path}: a scenario has no history yet; `seatrial replay` makes one")
    from harness.report.lanes import draw

    scenario = scenario_from(path)
    witness = scenario.expect.witness if scenario.expect else ()
    lines = [scenario.title, *([f"  {scenario.about}"] if scenario.about else []), ""]
    lines += [draw(scenario.plan, witness=witness, width=width()), ""]
    if scenario.expect:
        again = f", {scenario.rate} when it was found" if scenario.rate else ""
        lines.append(f"  Where the defect is present: {scenario.expect.property} is violated{again}.")
    lines.append(f"  Run it: seatrial replay {path}")
    show_text("\n".join(lines))
    return HELD


def _show_history(history: History, html: Path | None, curl: bool) -> int:
    from harness.report.lanes import draw

    reports = _judged(history)
    findings = [finding for report in reports.values() for finding in report.findings]
    if html is not None:
        from harness.report.timeline import timeline

        html.write_text(timeline(history, findings=findings))
        show_text(f"written: {html}")
        return HELD
    if curl:
        from harness.report.transcript import transcript

        click.echo(transcript(history), nl=False)
        return HELD
    witness = {name for finding in findings for name in finding.witness}
    show_text(draw(history.plan, history=history, witness=witness, width=width()) + "\n")
    _show_verdict(reports)
    return HELD


def _show_run(path: Path) -> int:
    from harness.report.findings_json import read
    from harness.report.result import PropertyResult
    from harness.report.terminal import table

    document = read(path)
    results = [
        PropertyResult(
            row["id"],
            row["title"],
            row["status"],
            row["plans"],
            row["operations"],
            row["exchanges"],
            row["facts"],
            row["elapsed_s"],
            tuple(row["reasons"]),
        )
        for row in document["properties"]
    ]
    lines = [f"{document['target']}, seed {document['seed']}, profile {document['profile']}", ""]
    lines += table(results, width=width())
    for row in document["findings"]:
        again, tried = row["rate"]
        known = ", known before" if row["known"] else ""
        lines += ["", f"{row['id']} ({row['level']}{known}): {row['title']}", f"  {row['explanation']}"]
        lines.append(f"  {again} of {tried} replays, {row['operations']} operations")
        lines += [f"  seatrial show {row[name]}" for name in ("scenario", "history") if row[name]]
    show_text("\n".join(lines))
    return HELD


def _judged(history: History) -> dict[str, Report]:
    from harness.checkers import judge

    return judge(history)


def _show_verdict(reports: dict[str, Report]) -> None:
    lines = []
    for id_, report in reports.items():
        lines += [f"✗ {id_} {f.level} ({f.clause}): {f.title}" for f in report.findings]
        lines += [f"? {id_} undecided: {why}" for why in dict.fromkeys(report.unknown)]
    tried = sum(report.tried for report in reports.values())
    show_text("\n".join([*lines, f"{tried} facts were checked"]))


@click.command()
@click.argument("history", type=FILE)
def recheck(history: Path) -> int:
    """Judge a stored HISTORY again, with the checkers of this version. Nothing is sent anywhere.

    Exit: 1 where something red is found, 4 where nothing could be checked.
    """
    stored = history_from(history)
    reports = _judged(stored)
    findings = [finding for report in reports.values() for finding in report.findings]
    for finding in findings:
        show_text(_story(finding, stored.plan, stored) + "\n")
    _show_verdict(reports)
    if any(finding.red for finding in findings):
        return VIOLATED
    return HELD if any(report.tried for report in reports.values()) else UNUSABLE


@click.command()
@click.argument("file", type=FILE)
@click.option("--as", "form", type=click.Choice(("pytest", "curl", "http")), required=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="default: stdout")
@click.option("--target", metavar="URL", help="for a pytest file that has to call `seatrial replay`")
@click.option("--target-file", metavar="FILE|NAME", help="the same")
def export(file: Path, form: str, output: Path | None, **given: Any) -> int:
    """Write a scenario FILE for people without seatrial: as a pytest file, a script with curl, or .http.

    A history is exported as it was: --as curl gives its transcript.
    """
    if is_history(file):
        if form != "curl":
            raise Unusable(f"{file}: a history can be exported with --as curl only; give its scenario")
        from harness.report.transcript import transcript

        text = transcript(history_from(file))
    else:
        from harness.report.export import NotPlain
        from harness.report.export import export as put

        try:
            text = put(scenario_from(file), form, target_words(given))
        except NotPlain as why:
            raise Unusable(f"{file}: not possible --as {form}: {why}; use --as pytest") from None
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
    return HELD
