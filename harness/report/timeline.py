"""A history as one HTML page, without anything from elsewhere: lanes side by side, time downwards (pure).

Each exchange is a box with Jepsen's colours: blue did it, pink was refused, orange nobody knows. A box begins
where the request was sent and ends where the answer was complete, on a scale of order (each beginning or end
is one step) or of time; the reader switches. Faults and what the operator does cross all lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from html import escape
from importlib import resources

from harness.checkers.finding import Finding
from harness.history import FOREVER_NS, Control, Exchange, History
from harness.plan.operation import Lane
from harness.report import phrases
from harness.report.lanes import draw, exchange_words
from harness.report.transcript import redacted, visible

CAP = 5000
"""Exchanges on one page; of a longer history the beginning, and what proves a finding, is shown."""
STEP_PX = 11
LANE_PX = 250
TIME_PX = 4000
TEXT_CHARS = 600
MARKED = {
    "power": "the power is cut",
    "kill": "kill",
    "killed": "the registry is dead",
    "start": "start",
    "started": "the registry answers",
    "stop": "stop",
    "stopped": "the registry has stopped",
    "pause": "pause",
    "continue": "continue",
    "op.held": "{op} is held",
    "op.released": "{op} goes on",
    "collect.start": "the collector begins",
    "collect.line": "collector: {text}",
    "collect.end": "the collector ends with {code}",
    "fault.delivered": "{fault} of {op} happened",
    "fault.healed": "all faults are healed",
    "fault.missed": "{fault} of {op} did not happen: {why}",
    "quiet": "everything is read back",
    "closing": "closing part: {part}",
    "limit": "{op} a wait ran out: {why}",
    "trouble": "{op} trouble: {why}",
}
FAULTY = frozenset(
    {"power", "kill", "killed", "pause", "fault.delivered", "fault.missed", "limit", "trouble"}
)


def timeline(history: History, *, findings: Iterable[Finding] = (), cap: int = CAP) -> str:
    """The page. At most ``cap`` exchanges are drawn; where there are more, a notice says so."""
    found = tuple(findings)
    proving = frozenset(index for finding in found for index in finding.exchanges)
    witness = frozenset(op for finding in found for op in finding.witness)
    shown = _shown(history.exchanges, proving, cap)
    last_ns = max((e.invoked_ns for e in shown), default=0)
    whole = len(shown) == len(history.exchanges)
    marks = [c for c in history.controls if c.what in MARKED and (whole or c.at_ns <= last_ns)][:cap]
    scale = _Scale(shown, marks)
    lanes = sorted({e.lane for e in shown}, key=lambda lane: (isinstance(lane, str), str(lane).rjust(9)))
    width = 90 + LANE_PX * max(1, len(lanes))
    parts = [
        _head(history),
        *_notices(history, len(shown)),
        *(_finding(finding) for finding in found),
        "<details><summary>the plan</summary>"
        f"<pre>{escape(draw(history.plan, witness=witness))}</pre></details>",
        '<label class="switch"><input type="checkbox" id="bytime"> true to time</label>',
        f'<div class="chart" style="--steps:{scale.steps};min-width:{width}px">',
        *(_mark(control, scale) for control in marks),
        *(_lane(lane, number) for number, lane in enumerate(lanes)),
        *(_box(e, lanes.index(e.lane), scale, e.index in proving, e.op in witness) for e in shown),
        "</div>",
    ]
    title = escape(found[0].title if found else f"a trial of {visible(history.target) or 'a registry'}")
    style = (resources.files("harness.report") / "timeline.css").read_text()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="color-scheme" content="light dark"><style>\n{style}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _shown(exchanges: tuple[Exchange, ...], proving: Collection[int], cap: int) -> list[Exchange]:
    if len(exchanges) <= cap:
        return list(exchanges)
    room = max(0, cap - len(proving))
    first = [e for e in exchanges if e.index not in proving][:room]
    return sorted([*first, *(e for e in exchanges if e.index in proving)], key=lambda e: e.index)


class _Scale:
    """From nanoseconds to the two vertical scales: steps (rank of each instant) and pixels of time."""

    def __init__(self, exchanges: list[Exchange], marks: list[Control]) -> None:
        instants = {at for e in exchanges for at in (e.invoked_ns, e.completed_ns) if at < FOREVER_NS}
        instants |= {c.at_ns for c in marks}
        self._rank = {at: number for number, at in enumerate(sorted(instants))}
        self.last_ns = max(instants, default=1) or 1
        self.steps = len(instants) + 2

    def step(self, at_ns: int) -> int:
        return self._rank.get(at_ns, self.steps - 1)

    def time_px(self, at_ns: int) -> float:
        return round(min(at_ns, self.last_ns) / self.last_ns * TIME_PX, 1)

    def span(self, begin_ns: int, end_ns: int) -> str:
        """CSS variables: top and height on both scales, in pixels."""
        top, bottom = self.step(begin_ns), self.step(end_ns)
        begin, end = self.time_px(begin_ns), self.time_px(end_ns)
        height = max(1, bottom - top) * STEP_PX
        return f"--t:{top * STEP_PX}px;--h:{height}px;--tt:{begin}px;--th:{max(2.0, round(end - begin, 1))}px"


def _head(history: History) -> str:
    facts = [
        f"{len(history.plan)} operations",
        f"{len(history.exchanges)} exchanges",
        f"seed {history.seed}",
        f"plan {history.plan.digest[:12]}",
    ]
    if not history.complete:
        facts.append("cut off before its end")
    return f"<h1>{escape(visible(history.target) or 'a registry')}</h1><p>{escape(' · '.join(facts))}</p>"


def _notices(history: History, shown: int) -> list[str]:
    total = len(history.exchanges)
    if shown == total:
        return []
    return [
        f'<p class="notice">This page shows {shown} of {total} exchanges: the first, and those that prove'
        " a finding. <code>seatrial show</code> and the history file have all of them.</p>"
    ]


def _finding(finding: Finding) -> str:
    links = ", ".join(f'<a href="#e{index}">{index}</a>' for index in finding.exchanges)
    clause, url = phrases.clause(finding.clause)
    words = f'<a href="{escape(url)}">{escape(clause)}</a>' if url else escape(clause)
    return (
        f'<section class="finding"><h2>{escape(finding.title)}</h2>'
        f"<p>{escape(finding.property)} · {escape(finding.level)} · {words}</p>"
        f"<p>{escape(visible(finding.explanation))}</p>"
        + (f"<p>Proved by exchanges {links}.</p>" if links else "")
        + "</section>"
    )


def _lane(lane: Lane, number: int) -> str:
    left = 80 + number * LANE_PX
    return f'<div class="lane" style="left:{left}px">{escape(phrases.lane(lane))}</div>'


def _mark(control: Control, scale: _Scale) -> str:
    data = {"op": control.op, "text": "", "code": "", "fault": "", "why": "", "part": "", **control.data}
    words = visible(MARKED[control.what].format_map(data)).strip()
    kind = "fault" if control.what in FAULTY else "mark"
    return (
        f'<div class="{kind}" style="{scale.span(control.at_ns, control.at_ns)}">'
        f"<span>{control.at_ns / 1e6:.1f} ms</span><b>{escape(words)}</b></div>"
    )


def _box(exchange: Exchange, lane: int, scale: _Scale, proving: bool, witness: bool) -> str:
    kind = exchange.outcome if exchange.completed_ns < FOREVER_NS else "open"
    classes = " ".join(["box", kind, *(["proof"] if proving else []), *(["witness"] if witness else [])])
    left = 80 + lane * LANE_PX
    words = f"{exchange.op}: {exchange_words(exchange)} → {phrases.status(exchange)}"
    return (
        f'<div id="e{exchange.index}" class="{classes}" tabindex="0"'
        f' style="left:{left}px;{scale.span(exchange.invoked_ns, exchange.completed_ns)}">'
        f"{escape(words)}<div class=tip>{escape(_tip(exchange))}</div></div>"
    )


def _tip(exchange: Exchange) -> str:
    lines = [f"[{exchange.index}] {exchange.op} · {exchange.call}", ""]
    lines.append(f"{exchange.method} {visible(exchange.target)}")
    lines += [f"{k}: {v}" for k, v in redacted(exchange.request_headers)]
    if exchange.request_size_bytes:
        lines.append(f"({phrases.size(exchange.request_size_bytes)}, {exchange.sent_bytes} B of it sent)")
    lines += ["", f"→ {phrases.status(exchange)}"]
    if exchange.completed_ns < FOREVER_NS:
        took_ms = (exchange.completed_ns - exchange.invoked_ns) / 1e6
        lines.append(f"  after {took_ms:.2f} ms, at {exchange.invoked_ns / 1e6:.2f} ms")
    lines += [f"{k}: {v}" for k, v in redacted(exchange.headers)]
    if exchange.cut:
        lines.append(f"the client vanished ({exchange.cut})")
    if exchange.detail:
        lines.append(visible(exchange.detail))
    if exchange.body is not None and exchange.body.size_bytes:
        text = exchange.body.text
        size = f"({phrases.size(exchange.body.size_bytes)}, sha256:{exchange.body.sha256})"
        lines += ["", visible(text)[:TEXT_CHARS] if text else "", size]
    return "\n".join(lines)
