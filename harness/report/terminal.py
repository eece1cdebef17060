"""What a person sees in the terminal: plain lines, coloured only where there is a terminal that can."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.report.result import FoundFinding, PropertyResult, RunResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SIGNS = {"held": "✓", "violated": "✗", "inconclusive": "?", "skipped": "–"}
STYLES: tuple[tuple[str, str], ...] = (
    (r"^\s*✓ (?=P\d)|✓(?: \d{3})?", "green"),
    (r"✗(?: \d{3})?(?: [A-Z_]{6,})?|\bviolated\b", "bold red"),
    (r"\binconclusive\b|(?<=→ )\?", "yellow"),
    (r"●", "bold magenta"),
    (r"[┆┃┏┗■‖├┤┨┠┼╌►◄─━]+", "dim"),
    (r"(?m)^ *(Let|Then|However)(?=  )", "bold"),
    (r"https?://\S+", "underline"),
    (r"\bseatrial (?:replay|show|recheck) .*", "bold cyan"),
)


def progress_line(one: PropertyResult) -> str:
    """``✓ P4  tags are registers    held    31 plans   412 operations    3.1 s``."""
    line = (
        f"{SIGNS[one.status]} {one.id:<3} {_clip(one.title, 30):<30} {one.status:<12}"
        f" {one.plans:>5} plans {one.operations:>6} operations {one.elapsed_s:>6.1f} s"
    )
    if one.status in ("inconclusive", "skipped") and one.reasons:
        line += f"   {_clip(one.reasons[0], 70)}"
    return line.rstrip()


def summary(result: RunResult, *, width: int = 100) -> list[str]:
    """The closing part of a run's output: a table of the properties, the findings (a few lines each), what
    was not tried and why, and one line that says it all."""
    width = max(60, width)
    lines = [*table(result.properties, width=width)]
    for title, red in (("Findings", True), ("Also seen, without failing the run", False)):
        shown = [found for found in result.findings if found.red == red]
        if shown:
            lines += ["", f"{title}:"]
            for found in shown:
                lines += finding_lines(found, width=width)
    if result.not_tried:
        lines += ["", "Not tried:", *not_tried_lines(result.not_tried, width=width)]
    return [*lines, "", verdict(result)]


def table(properties: Iterable[PropertyResult], *, width: int = 100) -> list[str]:
    """A row for each property, and under it why it is not held."""
    rows = list(properties)
    lines = [f"  {'':<3} {'':<30} {'':<12} {'plans':>6} {'operations':>11} {'facts':>8} {'time':>8}"]
    for one in rows:
        lines.append(
            f"{SIGNS[one.status]} {one.id:<3} {_clip(one.title, 30):<30} {one.status:<12}"
            f" {one.plans:>6} {one.operations:>11} {one.facts:>8} {one.elapsed_s:>6.1f} s"
        )
        if one.status != "held":
            for reason in one.reasons:
                lines += _indented(reason, width, "        ", "          ")
    return lines


def finding_lines(found: FoundFinding, *, width: int = 100) -> list[str]:
    """A finding in three lines: what, how sure, and how to see it again."""
    finding = found.finding
    again, tried = found.rate
    facts = [finding.level, finding.clause.partition(":")[0] if finding.clause.startswith("row") else ""]
    facts[1] = facts[1] or finding.clause
    if tried:
        facts.append(f"{again} of {tried} replays")
    facts.append(f"{len(found.plan)} operations")
    if found.count > 1:
        facts.append(f"seen in {found.count} plans")
    if found.known:
        facts.append("known before")
    lines = _indented(f"{found.id}: {finding.title}", width, "  ", "    ")
    lines.append(f"    {' · '.join(facts)}")
    if found.scenario:
        lines.append(f"    seatrial show {found.scenario}")
    return lines


def not_tried_lines(rows: Iterable[tuple[str, str]], *, width: int = 100) -> list[str]:
    pairs = list(rows)
    longest = min(26, max((len(what) for what, _ in pairs), default=0))
    lines = []
    for what, why in pairs:
        lines += _indented(why, width, f"  {what:<{longest}}  ", " " * (longest + 4))
    return lines


def verdict(result: RunResult) -> str:
    """One line: how many of the properties held, how many findings, how long, and the seed."""
    counts = {status: sum(p.status == status for p in result.properties) for status in SIGNS}
    red = sum(found.red for found in result.findings)
    known = sum(found.known for found in result.findings)
    words = [f"{count} {status}" for status, count in counts.items() if count] or ["nothing was tried"]
    if red:
        words.append(f"{red} finding{'s' if red != 1 else ''}")
    if known:
        words.append(f"{known} known before")
    return f"{result.target}: {', '.join(words)} in {result.elapsed_s:.1f} s (seed {result.seed})"


def console(*, stderr: bool = False) -> Console:
    """Plain where the output is no terminal, so that a log holds no escape codes; lines are never wrapped."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def styled(text: str) -> Text:
    """The same text, coloured by what it says."""
    from rich.text import Text

    out = Text(text)
    for pattern, style in STYLES:
        out.highlight_regex(pattern, style)
    return out


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _indented(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]
