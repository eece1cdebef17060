"""Upload sessions: which offsets a session can have, and whether it can still be there.

A session is replayed exchange by exchange. Its state is a set of possibilities: a life (*open*, *perhaps*,
*closed*) and an interval of offsets. What each answer does to it is a table (`MOVES`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from harness.history import FOREVER_NS
from harness.model.circumstances import READING
from harness.model.facts import Facts, Seen
from harness.model.reading import OPENING_CALLS, SESSION_CALLS
from harness.plan.content import Symbols

Life = Literal["open", "perhaps", "closed"]
Answered = Literal["done", "order", "refused", "lost"]
Offsets = Literal["same", "sent", "some", "told"]

DONE = {"upload.patch": 202, "upload.put": 201, "upload.get": 204, "upload.cancel": 204}
"""The status that a specification asks for where a request of a session does what it says."""


@dataclass(frozen=True, slots=True)
class Move:
    """``life`` `None`: as it was. ``offsets``: as they were; all that was sent arrived; some of it may have;
    the answer tells."""

    life: Life | None
    offsets: Offsets


MOVES: dict[tuple[str, Answered], Move] = {
    ("upload.patch", "done"): Move(None, "sent"),
    ("upload.patch", "order"): Move("perhaps", "same"),
    ("upload.patch", "refused"): Move("perhaps", "some"),
    ("upload.patch", "lost"): Move(None, "some"),
    ("upload.put", "done"): Move("closed", "sent"),
    ("upload.put", "order"): Move("perhaps", "same"),
    ("upload.put", "refused"): Move("perhaps", "some"),
    ("upload.put", "lost"): Move("perhaps", "some"),
    ("upload.get", "done"): Move(None, "told"),
    ("upload.get", "order"): Move("perhaps", "same"),
    ("upload.get", "refused"): Move("perhaps", "same"),
    ("upload.get", "lost"): Move(None, "same"),
    ("upload.cancel", "done"): Move("closed", "same"),
    ("upload.cancel", "order"): Move("perhaps", "same"),
    ("upload.cancel", "refused"): Move("perhaps", "same"),
    ("upload.cancel", "lost"): Move("perhaps", "same"),
}


@dataclass(frozen=True, slots=True)
class State:
    """``low`` … ``high``: the offsets that are possible, both included. ``sound``: everything up to the
    offset is known to be the beginning of ``blob``. ``lost``: a PATCH broke since the last answer that told
    the offset; ``broke``: nothing but that puts its life in doubt. ``told``: the places that a status told
    since. ``resumed``: the session went on after one that broke. ``ended_by``: what closed it."""

    life: Life = "open"
    low: int = 0
    high: int = 0
    sound: bool = True
    blob: str | None = None
    lost: bool = False
    broke: bool = False
    resumed: bool = False
    told: tuple[int, ...] = ()
    ended_by: Seen | None = None

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def allows(self, offset: int) -> bool:
        return self.low <= offset <= self.high


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of a session, with the state that it met. ``racy``: another exchange of the same session
    overlapped it, so that the state says nothing."""

    seen: Seen
    before: State
    after: State
    racy: bool
    answered: Answered

    @property
    def claim(self) -> int | None:
        value = self.seen.about.get("claim")
        return value if isinstance(value, int) else None

    @property
    def size(self) -> int:
        value = self.seen.about.get("size", 0)
        return value if isinstance(value, int) else 0

    @property
    def out_of_order(self) -> bool:
        """Whether Content-Range said a place at which the session cannot be."""
        return self.claim is not None and self.size > 0 and not self.before.allows(self.claim)


@dataclass(frozen=True, slots=True)
class Session:
    """``home``: the repository in which it was opened, by ``opened``."""

    name: str
    home: str
    opened: Seen
    steps: tuple[Step, ...]

    @property
    def least_chunk_bytes(self) -> int:
        value = self.opened.exchange.header("oci-chunk-min-length") or ""
        return int(value) if value.isdigit() else 0


def sessions(facts: Facts) -> list[Session]:
    """All sessions that were opened; a name that is opened again is another session."""
    if "sessions" not in facts.memo:
        facts.memo["sessions"] = list(_sessions(facts))
    found = facts.memo["sessions"]
    assert isinstance(found, list)
    return found


def told(header: str | None) -> tuple[int, ...] | None:
    """The offsets that a ``Range`` header can mean; `None` where it is malformed. Nothing, and ``0-0``, may
    both stand for an empty session: the specification has no way to say it."""
    if header is None:
        return (0,)
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", header.strip())
    if match is None:
        return None
    last = int(match[1])
    return (0, 1) if last == 0 else (last + 1,)


def prefix_digest(symbols: Symbols, blob: str | None, size_bytes: int, alg: str) -> str:
    """The digest of the first bytes of a blob."""
    if blob is not None and size_bytes == symbols.blob_size_bytes(blob):
        return symbols.blob_digest(blob, alg)
    hasher = hashlib.new(alg)
    for piece in symbols.blob_chunks(blob, 0, size_bytes) if blob is not None else ():
        hasher.update(piece)
    return f"{alg}:{hasher.hexdigest()}"


def _sessions(facts: Facts) -> Iterator[Session]:
    opened: dict[str, Seen] = {}
    steps: dict[str, list[Seen]] = {}

    def finish(name: str) -> Session:
        first = opened.pop(name)
        return Session(name, first.repo, first, tuple(_replay(facts, first, steps.pop(name, []))))

    for seen in facts.seen:
        name = seen.about.get("upload")
        if not isinstance(name, str):
            continue
        if seen.call in OPENING_CALLS and seen.status == 202:
            if name in opened:
                yield finish(name)
            opened[name] = seen
        elif (seen.call in SESSION_CALLS or _wild(seen)) and name in opened:
            steps.setdefault(name, []).append(seen)
    for name in list(opened):
        yield finish(name)


def _wild(seen: Seen) -> bool:
    """Whether a request of the protocol table may have done anything to a session."""
    return seen.call == "request" and seen.exchange.method not in READING


def _replay(facts: Facts, opened: Seen, all_seen: list[Seen]) -> Iterator[Step]:
    state = State()
    last_end, reach = opened.exchange.completed_ns, opened.exchange.completed_ns
    for i, seen in enumerate(all_seen):
        start, end = seen.start_ns, seen.exchange.completed_ns
        racy = start <= reach or (i + 1 < len(all_seen) and all_seen[i + 1].start_ns <= end)
        state = _meanwhile(facts, state, last_end, end)
        if racy:
            state = replace(state, low=0, high=FOREVER_NS, sound=False)
            state = state if state.life == "closed" else replace(state, life="perhaps")
        if _wild(seen):
            life: Life = "closed" if state.life == "closed" else "perhaps"
            state = replace(state, life=life, low=0, high=FOREVER_NS, sound=False, lost=False)
            last_end, reach = end, max(reach, end)
            continue
        answered = _answered(seen)
        after = _move(facts, state, seen, answered)
        if racy:
            after = replace(after, low=0, high=FOREVER_NS, sound=False)
        yield Step(seen, state, after, racy, answered)
        state = after
        last_end, reach = end, max(reach, end)


def _meanwhile(facts: Facts, state: State, start_ns: int, end_ns: int) -> State:
    """What outages and collector runs may have done to a session."""
    promises = facts.history.promises
    if facts.outages_in(start_ns, end_ns) and not (promises.sessions_survive_restart and promises.durable):
        life: Life = "closed" if state.life == "closed" else "perhaps"
        state = replace(state, life=life, low=0, sound=state.sound)
    elif state.life == "open" and state.low == 0 and _cut_off(facts, start_ns, end_ns):
        state = replace(state, life="perhaps")
    # A collector that is safe beside pushes leaves those alone that are under way.
    if promises.collection != "online" and facts.collects_in(start_ns, end_ns) and state.life == "open":
        state = replace(state, life="perhaps")
    return state


def _cut_off(facts: Facts, start_ns: int, end_ns: int) -> bool:
    """Whether the power was cut. A session that was acknowledged no byte yet may be lost then: a client loses
    nothing by beginning again."""
    return any(span.kind == "power" for span in facts.outages_in(start_ns, end_ns))


def _answered(seen: Seen) -> Answered:
    if seen.exchange.cut is not None and seen.exchange.outcome == "fail":
        return "lost"  # whoever stops half-way is refused for what was not sent
    if seen.status == 416:
        return "order"
    if seen.exchange.outcome == "info" or 300 <= seen.status < 400:
        return "lost"
    return "refused" if seen.exchange.outcome == "fail" else "done"


def _move(facts: Facts, state: State, seen: Seen, answered: Answered) -> State:
    move = MOVES[(seen.call, answered)]
    about = seen.about
    size = about.get("size", 0) if isinstance(about.get("size", 0), int) else 0
    life = state.life if move.life is None or (state.life == "closed") else move.life
    if answered == "lost" and seen.call == "upload.patch" and life == "open":
        promises = facts.history.promises
        killed = bool(facts.outages_in(seen.start_ns, seen.exchange.completed_ns))
        survives = promises.sessions_survive_restart and promises.durable
        if state.low == 0 and _cut_off(facts, seen.start_ns, seen.exchange.completed_ns):
            survives = False
        kept = promises.resume and (seen.exchange.cut is not None or (killed and survives))
        life = "open" if kept else "perhaps"
        state = replace(state, broke=not kept)
    elif life == "perhaps" and move.life is not None:
        state = replace(state, broke=False)
    if move.life == "closed":
        state = replace(state, ended_by=state.ended_by or seen)
    state = replace(state, life=life)
    if move.offsets == "sent" and size > 0:
        return _sent(state, seen, size)
    if move.offsets == "some" and size > 0:
        known = seen.exchange.sent_bytes or seen.exchange.cut is not None
        arrived = min(size, seen.exchange.sent_bytes) if known else size
        blob = state.blob or about.get("blob")
        sound = state.sound and _continues(state, seen)
        return replace(state, high=state.high + arrived, lost=True, told=(), blob=blob, sound=sound)
    if move.offsets == "some":
        return replace(state, lost=True, told=())
    if move.offsets == "told":
        return _told(state, seen)
    return state


def _continues(state: State, seen: Seen) -> bool:
    """Whether an exchange sent the bytes of the session's blob that belong where it said (or had to)."""
    about = seen.about
    first, claim = about.get("first", 0), about.get("claim")
    return (
        (state.blob is None or state.blob == about.get("blob"))
        and (state.allows(first) if claim is not None else state.exact and state.low == first)
        and claim in (None, first)
    )


def _sent(state: State, seen: Seen, size: int) -> State:
    about = seen.about
    # Who goes on after a break elsewhere than a status told guesses, and nothing follows from it.
    place = about.get("claim", about.get("first"))
    sound = state.sound and _continues(state, seen) and (not state.lost or place in state.told)
    claim = about.get("claim")
    blob = state.blob or about.get("blob")
    if isinstance(claim, int) and state.allows(claim):
        low = high = claim + size
    else:
        low, high = state.low + size, state.high + size
        if isinstance(claim, int):
            low = min(low, state.low)
    resumed = state.resumed or state.lost
    return replace(state, low=low, high=high, sound=sound, blob=blob, lost=False, resumed=resumed)


def _told(state: State, seen: Seen) -> State:
    offsets = told(seen.exchange.header("range"))
    if offsets is None:
        return state
    possible = [offset for offset in offsets if state.allows(offset)]
    if not possible:
        return replace(state, low=min(offsets), high=max(*offsets, state.high), sound=False)
    # A request that broke may still be at work in the registry: more of it can arrive after this answer.
    high = state.high if state.lost else possible[-1]
    # Whoever says how far an upload is says that it is still there.
    life = "open" if state.life == "perhaps" and state.broke else state.life
    return replace(state, life=life, low=possible[0], high=high, told=tuple(possible))
