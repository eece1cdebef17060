"""What surrounded the requests of a history: outages, faults, holds and collector runs.

Everything here comes from a history's controls; spans are closed and in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.history import FOREVER_NS, Control, History

DOWN = frozenset({"power", "kill", "killed", "stop", "stopped", "start"})
OWN_FAULTS = frozenset({"cut", "hold", "power", "kill", "pause", "continue", "restart", "stop"})
"""Faults that have a span of their own, or touch nothing but the exchange that they cut."""
DAMAGE = frozenset({"disk.flip", "disk.cut"})
"""Faults that no healing step ends, but a push of the right bytes."""
STRIKES = frozenset({"enospc", "eio", "emfile"})
"""Faults of system calls, which end with the operation that they strike."""
DISTURBING = frozenset({"net", "net.unplug"})
"""Faults whose coming and going is felt, also where nobody meets the fault: connections are closed then."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with a reason. ``op``: the operation that made it (``""``: none did)."""

    kind: str
    op: str
    start_ns: int
    end_ns: int = FOREVER_NS

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        return self.start_ns <= end_ns and start_ns <= self.end_ns


@dataclass(frozen=True, slots=True)
class Collect:
    """A collector run. ``beside``: other operations wrote while it ran, or it was meant to run beside them.
    ``disturbed``: something was done to it or to the registry meanwhile, so that its exit status says
    nothing. ``own``: no run that anybody started, but what a registry that collects by itself may do at any
    time."""

    op: str
    start_ns: int
    end_ns: int
    untagged: bool
    beside: bool
    code: int | None = None
    removed: int | None = None
    lines: tuple[str, ...] = ()
    disturbed: bool = False
    own: bool = False

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        return self.start_ns <= end_ns and start_ns <= self.end_ns


def outages(history: History) -> tuple[Span, ...]:
    """From each end to the next ``started``; ``kind`` is the worst of ``power``, ``kill`` and ``stop``."""
    found: list[Span] = []
    opened: Control | None = None
    kinds: set[str] = set()
    for control in sorted(history.controls, key=lambda c: c.at_ns):
        if control.what in DOWN:
            opened = opened or control
            kinds.add("kill" if control.what == "killed" else control.what)
        elif control.what == "started" and opened is not None:
            found.append(Span(_worst(kinds), opened.op, opened.at_ns, control.at_ns))
            opened, kinds = None, set()
    if opened is not None:
        found.append(Span(_worst(kinds), opened.op, opened.at_ns))
    return tuple(found)


def _worst(kinds: set[str]) -> str:
    return next((kind for kind in ("power", "kill") if kind in kinds), "stop")


def pauses(history: History) -> tuple[Span, ...]:
    """From each SIGSTOP of the registry to its SIGCONT."""
    return tuple(_between(history, "pause", "continue"))


def holds(history: History) -> tuple[Span, ...]:
    """Times in which an operation stood still on purpose: whoever waits for it waits for us."""
    found: list[Span] = []
    opened: dict[str, int] = {}
    for control in history.what("op.held", "op.released"):
        if control.what == "op.held":
            opened[control.op] = control.at_ns
        elif control.op in opened:
            found.append(Span("hold", control.op, opened.pop(control.op), control.at_ns))
    found.extend(Span("hold", op, at) for op, at in opened.items())
    return tuple(found)


def faults(history: History) -> tuple[Span, ...]:
    """Faults of storage, network or system calls: from their delivery to the time when everything is
    healed."""
    heals = sorted(c.at_ns for c in history.controls if c.what in ("closing", "fault.healed"))
    found = []
    for control in history.what("fault.delivered", "fault.missed"):
        fault = str(control.data.get("fault", ""))
        if fault in OWN_FAULTS or (control.what == "fault.missed" and fault not in DISTURBING):
            continue
        end = next((at for at in heals if at >= control.at_ns), FOREVER_NS)
        if fault in DAMAGE:
            end = FOREVER_NS
        elif fault in STRIKES:
            end = next((c.at_ns for c in history.what("op.end") if c.op == control.op), end)
        # A fault is reported when it was delivered; it may have been felt since its operation began.
        begun = (c.at_ns for c in history.what("op.start") if c.op == control.op)
        found.append(Span(fault, control.op, min((control.at_ns, *begun)), end))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is stored under ``digest`` was damaged, or a tag's link; by ``op``."""

    op: str
    at_ns: int
    digest: str
    repo: str = ""
    tag: str = ""


def damages(history: History) -> tuple[Damage, ...]:
    """In order."""
    return tuple(
        Damage(
            control.op,
            control.at_ns,
            str(control.data.get("digest", "")),
            str(control.data.get("repo", "")),
            str(control.data.get("tag", "")),
        )
        for control in history.what("fault.delivered")
        if control.data.get("fault") in DAMAGE
    )


def collects(history: History) -> tuple[Collect, ...]:
    """The collector runs, in order. A run without an end lasts for ever."""
    down = (*outages(history), *faults(history))
    killed = {c.op for c in history.what("fault.delivered") if c.data.get("fault") == "kill"}
    held = {c.op for c in history.what("op.held")}
    found = []
    opened: dict[str, tuple[Control, list[str]]] = {}

    def close(op: str, end: Control | None) -> None:
        start, lines = opened.pop(op)
        end_ns = FOREVER_NS if end is None else end.at_ns
        planned = op in history.plan and (
            history.plan[op].hold is not None or bool(history.plan[op].get("online", False))
        )
        busy = any(
            exchange.method not in READING
            and exchange.invoked_ns <= end_ns
            and (exchange.invoked_ns if exchange.completed_ns == FOREVER_NS else exchange.completed_ns)
            >= start.at_ns
            for exchange in history.exchanges
        )
        data = {} if end is None else end.data
        found.append(
            Collect(
                op,
                start.at_ns,
                end_ns,
                bool(start.data.get("untagged", False)),
                bool(start.data.get("online", False)) or planned or busy or op in held,
                data.get("code"),
                data.get("removed"),
                tuple(data.get("lines") or lines),
                end is None or op in killed or any(span.overlaps(start.at_ns, end_ns) for span in down),
            )
        )

    for control in history.what("collect.start", "collect.line", "collect.end"):
        if control.what == "collect.start":
            if control.op in opened:
                close(control.op, None)
            opened[control.op] = (control, [])
        elif control.op in opened:
            if control.what == "collect.line":
                opened[control.op][1].append(str(control.data.get("text", "")))
            else:
                close(control.op, control)
    for op in list(opened):
        close(op, None)
    itself = history.promises.collects_itself
    if history.promises.collection == "online" and (itself != "no" or not history.abilities.can("collect")):
        untagged = itself == "untagged" or (itself == "no" and history.promises.untagged_collected)
        found.append(Collect("", 0, FOREVER_NS, untagged, True, disturbed=True, own=True))
    return tuple(sorted(found, key=lambda run: run.start_ns))


def _between(history: History, first: str, last: str) -> Iterator[Span]:
    opened: Control | None = None
    for control in history.what(first, last):
        if control.what == first:
            opened = opened or control
        elif opened is not None:
            yield Span(first, opened.op, opened.at_ns, control.at_ns)
            opened = None
    if opened is not None:
        yield Span(first, opened.op, opened.at_ns)
