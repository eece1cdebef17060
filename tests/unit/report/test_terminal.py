"""Progress lines, the closing table, and no escape codes in a log."""

from __future__ import annotations

import io

from harness.report import terminal
from tests.unit.report.samples import found, prop, result


def test_a_progress_line() -> None:
    line = terminal.progress_line(prop("P4", title="tags are registers"))
    assert " ".join(line.split()) == "✓ P4 tags are registers held 31 plans 412 operations 3.1 s"
    line = terminal.progress_line(prop(status="inconclusive", reasons=("never happened: a mount",)))
    assert line.startswith("? P2")
    assert line.endswith("never happened: a mount")


def test_progress_lines_align() -> None:
    first = terminal.progress_line(prop("P1", title="x", plans=1))
    second = terminal.progress_line(prop("P12", title="a title", status="violated", plans=1234))
    assert first.index(" plans") == second.index(" plans")


def test_the_summary_has_findings_reasons_and_what_was_not_tried() -> None:
    run = result(
        prop(status="violated"),
        prop("P3", status="skipped", reasons=("nothing of it could be tried",)),
        findings=(found(), found(id="P7-known-0000", known=True)),
    )
    lines = terminal.summary(run)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    red, known = text.index("P2-lost-3f2a"), text.index("P7-known-0000")
    assert text.index("Findings:") < red < text.index("Also seen") < known
    assert "nothing of it could be tried" in text
    assert "kill  no control; give --kill-cmd" in text
    assert lines[-1] == "sample: 1 violated, 1 skipped, 1 finding, 1 known before in 9.9 s (seed 7)"


def test_a_run_without_properties_does_not_look_green() -> None:
    assert "nothing was tried" in terminal.verdict(result())


def test_styling_changes_no_character() -> None:
    text = "\n".join(terminal.summary(result(prop(), findings=(found(),))))
    assert terminal.styled(text).plain == text


def test_a_log_has_no_escape_codes() -> None:
    console = terminal.console()
    console.file = io.StringIO()
    long = "✗ 404 " + "x" * 300
    console.print(terminal.styled(long))
    assert console.file.getvalue() == long + "\n"
