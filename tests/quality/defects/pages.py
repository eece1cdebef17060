"""The kill matrix as a page: a row for each defect, a summary for each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from reference_impl.defects import KINDS
from reference_impl.deviations import Defect

from .hunts import Outcome

HEAD = (
    "class",
    "defect",
    "source",
    "needs",
    "property",
    "found",
    "plans",
    "seconds",
    "operations",
    "replays",
)
NUMBERS = 5
"""From this column on there are numbers."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the hunts for a defect came to; ``broken`` ones broke off by an error.  ``properties`` and
    ``checks`` are those that found it, most often first; ``plans``, ``seconds`` (until it was seen) and
    ``operations`` (after shrinking) are medians, ``worst_plans`` the maximum, all over the hunts that found
    it; ``replays`` is a share of 1; ``tried`` is the median of plans in hunts that missed it."""

    defect: Defect
    hunts: int
    found: int
    properties: tuple[str, ...]
    checks: tuple[str, ...]
    plans: float
    worst_plans: int
    seconds: float
    operations: float
    replays: float
    broken: int = 0
    tried: float = 0.0

    @property
    def cells(self) -> tuple[str, ...]:
        one = self.defect
        numbers = (
            (f"{self.plans:g}", f"{self.seconds:.1f}", f"{self.operations:g}", f"{self.replays:.0%}")
            if self.found
            else ("–",) * 4
        )
        return (
            one.kind,
            one.name,
            "; ".join(one.sources),
            ", ".join(one.needs) or "–",
            ", ".join(self.properties) or "–",
            f"{self.found} of {self.hunts}" + (f", {self.broken} broken" if self.broken else ""),
            *numbers,
        )


def row(defect: Defect, outcomes: Sequence[Outcome]) -> Row:
    caught = [one for outcome in outcomes if (one := outcome.of(defect)) is not None]
    tried = sum(one.rate[1] for one in caught)
    return Row(
        defect,
        len(outcomes),
        len(caught),
        _by_frequency([one.violated for one in caught]),
        _by_frequency([one.check for one in caught]),
        median([one.plans for one in caught] or [0]),
        max([one.plans for one in caught], default=0),
        median([one.elapsed_s for one in caught] or [0.0]),
        median([one.operations for one in caught] or [0]),
        sum(one.rate[0] for one in caught) / tried if tried else 0.0,
        sum(bool(one.error) for one in outcomes),
        median([one.plans for one in outcomes if one.of(defect) is None and not one.error] or [0]),
    )


def _by_frequency(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts), key=lambda text: (-texts.count(text), text)))


def words(rows: Sequence[Row], took_s: float, without: Sequence[str]) -> Iterator[str]:
    """What it came to, a sentence at a time."""
    always = [one for one in rows if one.found == one.hunts]
    hunts = sum(one.hunts for one in rows)
    yield (
        f"{len(always)} of {len(rows)} defects were found with every seed;"
        f" {sum(one.found for one in rows)} of {hunts} hunts found theirs, in {took_s:.0f} s."
    )
    seen = [one for one in rows if one.found]
    if seen:
        yield (
            f"Plans until found: median {median([one.plans for one in seen]):g},"
            f" worst {max(one.worst_plans for one in seen)}."
            f" Operations after shrinking: median {median([one.operations for one in seen]):g}."
        )
    if without:
        yield f"The harness had to do without: {', '.join(without)}."


def summary(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Class, what it is, defects that were always found, and median operations."""
    for kind, title in KINDS.items():
        here = [one for one in rows if one.defect.kind == kind]
        if here:
            found = sum(one.found == one.hunts for one in here)
            operations = median([one.operations for one in here if one.found] or [0])
            yield kind, title, f"{found} of {len(here)}", f"{operations:g}"


def misses(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The defects that some hunt missed, and why."""
    for one in rows:
        missed = one.hunts - one.found - one.broken
        if missed:
            times = "once" if missed == 1 else f"{missed} times"
            by_chance = f"{times}, none of the {one.tried:g} plans of a hunt showed it"
            yield one.defect.name, one.defect.rare or by_chance


ABOUT = (
    "Every defect is put into the reference registry by itself, and looked for as the default profile does,"
    " within its budget, the families of the properties it violates first. Plans and seconds count until it"
    " was seen, operations are those of the shrunk plan: all are medians over the seeds."
)
TITLE = "Kill matrix"


def markdown(rows: Sequence[Row], took_s: float, without: Sequence[str] = ()) -> str:
    lines = [f"# {TITLE}", "", ABOUT, "", *words(rows, took_s, without), ""]
    lines += ["| class | | always found | operations |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in summary(rows)]
    lines += ["", f"| {' | '.join(HEAD)} |", f"|{'---|' * NUMBERS}{'--:|' * (len(HEAD) - NUMBERS)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in one.cells)} |" for one in rows]
    if missed := list(misses(rows)):
        lines += ["", "Why some were missed:", ""]
        lines += [f"* `{name}`: {why}" for name, why in missed]
    lines += ["", "What breaks:", ""]
    lines += [f"* `{one.defect.name}`: {one.defect.title}" for one in rows]
    return "\n".join(lines) + "\n"


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}th,td{padding:.2em .7em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "tr.missed{background:#fdd}"
)


def html(rows: Sequence[Row], took_s: float, without: Sequence[str] = ()) -> str:
    def line(cells: Sequence[str], tag: str = "td", first_number: int = 99) -> str:
        return "".join(
            f"<{tag}{' class=n' if number >= first_number else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )

    said = "".join(f"<p>{escape(text)}</p>" for text in (ABOUT, *words(rows, took_s, without)))
    classes = "".join(f"<tr>{line(cells)}</tr>" for cells in summary(rows))
    body = "".join(
        f"<tr title='{escape(one.defect.title, quote=True)}'"
        f"{'' if one.found == one.hunts else ' class=missed'}>{line(one.cells, first_number=NUMBERS)}</tr>"
        for one in rows
    )
    head = line(HEAD, "th")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE}</title><style>{STYLE}</style>"
        f"<h1>{TITLE}</h1>{said}<table>{classes}</table>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></html>\n"
    )
