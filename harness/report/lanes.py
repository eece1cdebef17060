"""A plan as a picture: one column for each lane, time downwards.

    draw(plan)                    what may happen: operations that nothing orders overlap
    draw(plan, history=history)   what did happen, in the order in which it happened, with the answers

Plain characters, at most 100 columns, readable without colour and in a log file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.history import Exchange, History
from harness.plan.operation import Operation, mark_owner
from harness.plan.plan import Plan, is_barrier
from harness.report import phrases
from harness.report.grid import IDLE, RUNNING, TIE, Grid

MAX_LABEL = 14
NARROWEST = 24
"""Columns that a lane needs for text of its own; with less, all text stands to the right of all lanes."""
NARROW_STEP, NARROW_TEXT = 5, 40
PROOF = "●"
LEGEND = {
    PROOF: "proves the finding",
    "■": "an operation by itself",
    "┏": "begins",
    "┗": "ends",
    "‖": "held",
    "✂": "cut off",
    "↯": "a fault strikes",
    "◄": "waited for",
    "►": "waited for",
    phrases.OK: "done",
    phrases.FAIL: "refused or failed",
    phrases.UNKNOWN: "nobody knows",
}

What = Literal["start", "held", "released", "end", "cut", "struck", "closing"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing in time. ``op`` is the operation's id, or a name of the closing part."""

    what: What
    op: str


def draw(
    plan: Plan, *, history: History | None = None, witness: Collection[str] = (), width: int = 100
) -> str:
    """The picture, without a newline at its end. ``witness`` holds the ids of operations to mark; those of
    the closing part (``closing.read``) are drawn with what they were answered. ``width`` in columns, at
    least 60."""
    return _Picture(plan, history, frozenset(witness), max(60, width)).text()


def planned(plan: Plan) -> Iterator[Event]:
    """Events in an order that the plan allows: everything that may begin begins, holds are reached, then
    everything that need not wait ends. Operations that wait for ever (the plan is wrong) never begin."""
    reached: set[str] = set()
    begun: dict[str, Operation] = {}
    done: set[str] = set()
    while True:
        moved = False
        for op in plan:
            if op.id not in begun and plan.waits[op.id] <= reached:
                begun[op.id] = op
                moved = True
                yield Event("start", op.id)
                if op.hold is not None:
                    reached.add(f"{op.id}.held")
                    yield Event("held", op.id)
        ending = [
            op for op in begun.values() if op.id not in done and (op.hold is None or op.hold.until in reached)
        ]
        for op in ending:
            if op.hold is not None:
                yield Event("released", op.id)
            if op.cut is not None:
                yield Event("cut", op.id)
            if op.strike is not None:
                yield Event("struck", op.id)
            yield Event("end", op.id)
            done.add(op.id)
            reached |= {op.id, f"{op.id}.held"}
        if not moved and not ending:
            return


_SEEN: dict[str, What] = {
    "op.start": "start",
    "op.held": "held",
    "op.released": "released",
    "op.end": "end",
    "closing": "closing",
}


def happened(plan: Plan, history: History) -> Iterator[Event]:
    """Events in the order in which they were recorded."""
    for control in sorted(history.controls, key=lambda c: c.at_ns):
        fault = control.data.get("fault") if control.what == "fault.delivered" else None
        if fault == "cut":
            yield Event("cut", control.op)
        elif fault in phrases.STRIKES and control.op in plan and plan[control.op].strike is not None:
            yield Event("struck", control.op)
        elif control.what in _SEEN and (control.op in plan or control.what == "closing"):
            yield Event(_SEEN[control.what], control.op)


class _Picture:
    def __init__(self, plan: Plan, history: History | None, witness: frozenset[str], width: int) -> None:
        self.plan, self.history, self.witness = plan, history, witness
        events = list(happened(plan, history)) if history is not None else []
        self.told = any(event.what == "start" for event in events)
        if not self.told:
            events = [
                *planned(plan),
                *(Event("closing", name) for name in phrases.CLOSING if name in witness),
            ]
        self.events: Sequence[Event] = events
        self.lanes = _columns(plan)
        ids = [op.id for op in plan] + [name for name in witness if name not in plan]
        gutter = 2 + min(MAX_LABEL, max([len(id_) for id_ in ids], default=0)) + 2
        self.grid = _grid(gutter, [self._natural(lane) for lane in self.lanes], width - gutter)
        self.narrow = self.grid.text_at is not None

    def text(self) -> str:
        if self.lanes:
            names = tuple(phrases.lane(lane) for lane in self.lanes)
            self.grid.heads(tuple(str(lane)[:3] for lane in self.lanes) if self.narrow else names)
        at = 0
        while at < len(self.events):
            at = self._draw(at)
        self._never_begun()
        rows = self.grid.rows
        legend = self._legend("\n".join(rows))
        return "\n".join([*rows, "", *legend] if legend else rows)

    def _natural(self, lane: int | str) -> int:
        """How wide a lane would like to be: its longest text, its lifeline, and the tip of an arrow."""
        texts = [phrases.lane(lane)]
        for op in self.plan:
            if op.lane == lane:
                texts.append(self._both(op))
                texts += [phrases.hold(op.hold)] if op.hold else []
                texts += [phrases.cut(op.cut)] if op.cut else []
                texts += [phrases.strike(op.strike)] if op.strike else []
        return max(map(len, texts)) + 8

    # --- events --------------------------------------------------------------------------------------------

    def _draw(self, at: int) -> int:
        """Draw the event at this index; the index of the next that is still to be drawn."""
        event = self.events[at]
        if event.what == "closing":
            self._closing(event.op)
            return at + 1
        op = self.plan[event.op]
        follows = self.events[at + 1] if at + 1 < len(self.events) else None
        alone = follows == Event("end", op.id)
        if op.lane not in self.lanes:
            if event.what == "start":
                self._band(op)
            return at + 1
        lane = self.lanes.index(op.lane)
        if event.what == "start":
            glyph, text = ("■", self._both(op)) if alone else ("┏", phrases.operation(op, self.plan))
            below = IDLE if alone else RUNNING
            source = self._source(op)
            self.grid.event(
                lane, glyph, self._text(op, text), label=self._label(op.id), from_lane=source, after=below
            )
            return at + (2 if alone else 1)
        if event.what == "held":
            assert op.hold is not None
            self.grid.event(lane, "‖", self._text(op, phrases.hold(op.hold)), after="‖")
            return at + 1
        if event.what in ("cut", "struck"):
            glyph, text = _fault(op, event.what)
            text += self._answer(op) if alone else ""
            self.grid.event(lane, glyph, self._text(op, text), after=IDLE if alone else RUNNING)
            return at + (2 if alone else 1)
        if event.what == "released":
            source = self._lane_of(mark_owner(op.hold.until)) if op.hold else None
            text = "goes on" + (self._answer(op) if alone else "")
            self.grid.event(
                lane,
                "┗" if alone else RUNNING,
                self._text(op, text),
                from_lane=source,
                after=IDLE if alone else RUNNING,
            )
            return at + (2 if alone else 1)
        return self._ends(at)

    def _ends(self, at: int) -> int:
        op = self.plan[self.events[at].op]
        if self.told:
            lane = self.lanes.index(op.lane)
            text = self._answer(op).strip()
            self.grid.event(lane, "┗", self._text(op, text), label=self._again(op), after=IDLE)
            return at + 1
        lanes = []
        while at < len(self.events) and self.events[at].what == "end":
            name = self.plan[self.events[at].op].lane
            if name in self.lanes:
                lanes.append(self.lanes.index(name))
            at += 1
        if lanes:
            self.grid.ends(lanes)
        return at

    def _band(self, op: Operation) -> None:
        rule = "━" if op.do in ("kill", "power", "restart", "pause", "continue") else "─"
        text = phrases.operation(op, self.plan)
        owners = [mark for mark in op.after if self._lane_of(mark_owner(mark)) is not None]
        still = [mark_owner(mark) for mark in owners if mark.endswith(".held")]
        if still:
            text += f", while {' and '.join(still)} is held"
        elif owners and not is_barrier(op):
            text += f", after {', '.join(owners)}"
        if op.strike is not None:
            text += f"; {phrases.strike(op.strike)}"
        answer = self._answer(op) if op.do == "collect" else ""
        self.grid.band(text + answer, label=self._label(op.id), rule=rule)
        self._proof(op.id)

    def _closing(self, name: str) -> None:
        label = self._label(name) if name in self.witness else ""
        self.grid.band(phrases.CLOSING.get(name, name), label=label)
        self._proof(name)

    def _proof(self, name: str) -> None:
        """Of a read-back that proves something, the exchanges that were not answered with success."""
        if name not in self.witness or self.history is None:
            return
        exchanges = self.history.by_op.get(name, ())
        bad = [e for e in exchanges if e.outcome != "ok"]
        for exchange in (bad or exchanges)[:6]:
            sign = phrases.sign(exchange)
            self.grid.note(f"{exchange_words(exchange)} → {sign} {phrases.status(exchange)}")
        if len(bad) > 6:
            self.grid.note(f"… and {len(bad) - 6} more that were not answered with success")

    def _never_begun(self) -> None:
        begun = {event.op for event in self.events if event.what == "start"}
        missing = [op.id for op in self.plan if op.id not in begun]
        if missing:
            self.grid.note("never begun: " + ", ".join(missing))

    # --- words ---------------------------------------------------------------------------------------------

    def _text(self, op: Operation, text: str) -> str:
        return f"{phrases.lane(op.lane)}: {text}" if self.narrow and text else text

    def _both(self, op: Operation) -> str:
        return phrases.operation(op, self.plan) + self._answer(op)

    def _answer(self, op: Operation) -> str:
        found = phrases.answer(op, self.history) if self.history is not None else ""
        return f" → {found}".replace(" ", TIE).replace(TIE, " ", 1) if found else ""

    def _label(self, id_: str) -> str:
        shown = id_ if len(id_) <= MAX_LABEL else id_[: MAX_LABEL - 1] + "…"
        return f"{PROOF if id_ in self.witness else ' '} {shown}"

    def _again(self, op: Operation) -> str:
        """The end of an operation names it again where others were running meanwhile."""
        return f"  {self._label(op.id)[2:]}" if len(self.lanes) > 1 else ""

    def _lane_of(self, id_: str) -> int | None:
        lane = self.plan[id_].lane if id_ in self.plan else None
        return self.lanes.index(lane) if lane in self.lanes else None

    def _source(self, op: Operation) -> int | None:
        """The lane that an operation waited for last, where that is another one."""
        for mark in reversed(op.after):
            found = self._lane_of(mark_owner(mark))
            if found is not None and self.lanes[found] != op.lane:
                return found
        return None

    def _legend(self, drawn: str) -> list[str]:
        used: dict[str, str] = {}
        for glyph, meaning in LEGEND.items():
            marker = f"→ {glyph}" if glyph in (phrases.OK, phrases.FAIL, phrases.UNKNOWN) else glyph
            if marker in drawn:
                used[meaning] = used.get(meaning, "") + glyph
        entries = [f"{glyphs} {meaning}" for meaning, glyphs in used.items()]
        lines, line = [], ""
        for entry in entries:
            if line and len(line) + len(entry) + 5 > self.grid.gutter + self.grid.width:
                lines.append(line)
                line = ""
            line += ("   " if line else "  ") + entry
        return [*lines, line] if line else lines


def _fault(op: Operation, what: What) -> tuple[str, str]:
    """The sign and the words of the fault that an operation carries."""
    if what == "struck" and op.strike is not None:
        return "↯", phrases.strike(op.strike)
    return "✂", phrases.cut(op.cut) if op.cut else "the client vanishes"


def _columns(plan: Plan) -> tuple[int | str, ...]:
    """Lanes that get a column: clients by number first. Lanes that hold nothing but bands get none."""
    lanes = [
        lane
        for lane in plan.lanes
        if lane != "operator" and any(op.lane == lane and not is_barrier(op) for op in plan)
    ]
    return tuple(sorted(lanes, key=lambda lane: (isinstance(lane, str), lane)))


def _grid(gutter: int, natural: list[int], width: int) -> Grid:
    lanes = len(natural)
    if lanes > 1 and width // lanes < NARROWEST:
        step = max(2, min(NARROW_STEP, (width - NARROW_TEXT) // lanes))
        return Grid(gutter, tuple(i * step for i in range(lanes)), width, lanes * step)
    spare = width - NARROWEST * lanes
    wishes = [max(0, wish - NARROWEST) for wish in natural]
    share = min(1.0, spare / max(1, sum(wishes)))
    columns, at = [], 0
    for wish in wishes:
        columns.append(at)
        at += NARROWEST + int(wish * share)
    return Grid(gutter, tuple(columns), width)


def exchange_words(exchange: Exchange) -> str:
    """``GET blob layer in a/b``: what an exchange asked for, by the names of the plan."""
    about = exchange.about
    noun = exchange.call.partition(".")[0]
    name = next(
        (str(about[key]) for key in ("tag", "manifest", "blob", "upload", "case") if key in about), ""
    )
    repo = f" in {about['repo']}" if "repo" in about else ""
    if "tag" in about and noun == "manifest":
        noun = "tag"
    return f"{exchange.method} {noun} {name}".rstrip() + repo
