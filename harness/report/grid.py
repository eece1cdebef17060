"""A sheet of characters with lifelines, arrows and text: what the drawing of lanes is made on (pure)."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

IDLE, RUNNING = "┆", "┃"
DASH, RIGHT, LEFT = "╌", "►", "◄"
MORE = "…"
TIE = "\N{NO-BREAK SPACE}"


@dataclass
class Grid:
    """``columns`` holds the place of each lane's lifeline, counted from 0 after the gutter; ``text_at`` is
    where all text goes when lanes are too narrow for it (`None`: beside each lifeline)."""

    gutter: int
    columns: tuple[int, ...]
    width: int
    text_at: int | None = None
    lifelines: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lifelines = [IDLE] * len(self.columns)

    def room(self, lane: int) -> int:
        """How many characters of text fit beside a lifeline."""
        if self.text_at is not None:
            return self.width - self.text_at
        end = self.columns[lane + 1] - 1 if lane + 1 < len(self.columns) else self.width
        return end - self.columns[lane] - 2

    def event(
        self,
        lane: int,
        glyph: str,
        text: str,
        *,
        label: str = "",
        from_lane: int | None = None,
        after: str | None = None,
    ) -> None:
        """One event of one lane: a glyph on its lifeline, text beside it (on as many rows as it needs), and
        an arrow from another lane's lifeline. ``after``: the lifeline below it."""
        lines = wrap(text, self.room(lane))
        arrow = from_lane is not None and from_lane != lane
        row = self._blank()
        if arrow and self.text_at is None and not self._arrow_fits(lane, from_lane, lines[0]):
            self._arrow(row, lane, from_lane, self.columns[lane] + 1)
            self._emit("", row)
            row, arrow = self._blank(), False
        row[self.columns[lane]] = glyph
        self._text(row, lane, lines[0])
        if arrow:
            beside = 1 if self.text_at is not None or not lines[0] else 3 + len(lines[0])
            self._arrow(row, lane, from_lane, self.columns[lane] + beside)
        self._emit(label, row)
        if after is not None:
            self.lifelines[lane] = after
        for line in lines[1:]:
            row = self._blank()
            self._text(row, lane, line)
            self._emit("", row)

    def ends(self, lanes: list[int]) -> None:
        """Several operations end, and there is nothing to say about it: one row."""
        row = self._blank()
        for lane in lanes:
            row[self.columns[lane]] = "┗"
            self.lifelines[lane] = IDLE
        self._emit("", row)

    def band(self, text: str, *, label: str = "", rule: str = "─") -> None:
        """Something that concerns every lane: a rule across all of them. Lifelines go on through it."""
        lines = textwrap.wrap(text, self.width - 6)
        row = list(f"{rule * 2} {lines[0]} ".ljust(self.width, rule))
        self._emit(label, row)
        for line in lines[1:]:
            self._emit("", list(f"   {line}"))

    def note(self, text: str, *, label: str = "") -> None:
        """A line that belongs to no lane."""
        lines = wrap(text, self.width - 3)
        self._emit(label, list("   " + lines[0]))
        for line in lines[1:]:
            self._emit("", list("   " + line))

    def heads(self, names: tuple[str, ...]) -> None:
        row = [" "] * (self.width + 40)
        for column, name in zip(self.columns, names, strict=True):
            row[column : column + len(name)] = name
        self._emit("", row)

    def _blank(self) -> list[str]:
        row = [" "] * self.width
        for column, lifeline in zip(self.columns, self.lifelines, strict=True):
            row[column] = lifeline
        return row

    def _text(self, row: list[str], lane: int, text: str) -> None:
        start = self.columns[lane] + 2 if self.text_at is None else self.text_at
        room = self.room(lane)
        shown = text if len(text) <= room else text[: room - 1] + MORE
        row[start : start + len(shown)] = shown

    def _arrow_fits(self, lane: int, source: int | None, text: str) -> bool:
        """An arrow from the left ends before the text begins; one from the right needs room behind it."""
        assert source is not None
        return source < lane or self.columns[lane] + 2 + len(text) + 4 <= self.columns[lane + 1]

    def _arrow(self, row: list[str], lane: int, source: int | None, tip: int) -> None:
        assert source is not None
        if source < lane:
            first, last = self.columns[source], self.columns[lane]
            row[first] = "┠" if row[first] == RUNNING else "├"
            for at in range(first + 1, last - 1):
                row[at] = "┼" if row[at] in (IDLE, RUNNING) else DASH
            row[last - 1] = RIGHT
        else:
            last = self.columns[source]
            row[last] = "┨" if row[last] == RUNNING else "┤"
            row[tip] = LEFT
            for at in range(tip + 1, last):
                row[at] = "┼" if row[at] in (IDLE, RUNNING) else DASH

    def _emit(self, label: str, row: list[str]) -> None:
        self.rows.append((label.ljust(self.gutter) + "".join(row)).replace(TIE, " ").rstrip())


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, at least one; never broken at a `TIE`."""
    lines = textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
    return lines or [""]
