"""``python -m harness.checkers.protocol``: the table of rows, and how each is checked, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checkers.protocol.passive import ROWS_CITED
from harness.checkers.protocol.rows import ROWS, Row
from harness.checkers.protocol.table import CASES


def lines() -> Iterator[str]:
    """The lines of the document."""
    yield "| # | Endpoints | Level | Since | What a client may expect | How it is checked |"
    yield "|---|---|---|---|---|---|"
    for row in ROWS.values():
        level = row.level.upper() if row.before is None else f"{row.level.upper()} (was {row.before.upper()})"
        words = f"[{row.words}]({row.url})"
        yield f"| {row.number} | {row.endpoints} | {level} | {row.since} | {words} | {how(row)} |"


def how(row: Row) -> str:
    """All the ways in which a row is checked, or why it is not."""
    if row.how == "none":
        return f"not: {row.why_none}"
    ways = ["every answer"] if row.number in ROWS_CITED else []
    names = [f"`{case.name}`" for case in CASES.values() if case.row == row.number]
    if names:
        ways.append(", ".join(names))
    if row.by:
        ways.append(f"the checker of {row.by}")
    return "; ".join(ways)


if __name__ == "__main__":
    print("\n".join(lines()))
