"""What is to happen at which call, and what did happen."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.faults.syscall.places import Change
from harness.faults.syscall.tables import ERRNOS, GROUPS

ACTS: dict[str, str] = {
    "kill": "SIGKILL to the process group of the caller; the call never happens",
    "power": "cut the power of the storage, then SIGKILL to all under the gate; the call never happens",
    "hold": "the calling thread stands still until it is released; all others go on",
    "slow": "the call takes longer, by the rule's limit",
    **{name: f"the call does not happen, it fails: {each.doc}" for name, each in ERRNOS.items()},
}
"""What can be done to a call."""

ANY = "any"
HOLD_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Rule:
    """``act`` (of `ACTS`) strikes the `nth` matching call, counted from when the rule is armed.

    ``call``: a name of `tables.GROUPS`, or `ANY` (with an error: any that fails so in life). ``path``: a glob
    over paths relative to the storage folder, in which ``*`` also matches slashes; a rename and a link match
    by either name. ``by``: whose calls (the name that the process was started under), `ANY` for anybody's.
    ``sticky``: an error or a delay strikes all matching calls from the nth on, until disarmed. ``limit_s``: a
    held or slow call is let go after so long. Raises ValueError: one line.
    """

    act: str
    call: str = ANY
    path: str = "*"
    nth: int = 1
    by: str = ANY
    sticky: bool = False
    limit_s: float = HOLD_LIMIT_S

    def __post_init__(self) -> None:
        if self.act not in ACTS:
            raise ValueError(f"there is no act {self.act!r}; it is one of {', '.join(ACTS)}")
        if self.call not in (ANY, *GROUPS):
            raise ValueError(f"there is no call {self.call!r}; it is {ANY} or one of {', '.join(GROUPS)}")
        if self.nth < 1:
            raise ValueError(f"calls are counted from 1, so there is no call number {self.nth}")
        error = ERRNOS.get(self.act)
        if self.sticky and error is None and self.act != "slow":
            raise ValueError(f"only errors and delays can stay; {self.act!r} strikes once")
        if error is not None and self.call not in (ANY, *error.groups):
            can = ", ".join(name for name in GROUPS if name in error.groups)
            raise ValueError(f"{self.call!r} does not fail with {self.act!r} in life; these do: {can}")

    def matches(self, change: Change, by: str) -> bool:
        if self.by not in (ANY, by) or self.call not in (ANY, change.group):
            return False
        error = ERRNOS.get(self.act)
        if error is not None and change.group not in error.groups:
            return False
        return any(fnmatch.fnmatchcase(name, self.path) for name in (change.path, change.old))


@dataclass(frozen=True, slots=True)
class Point:
    """A call that changes the storage. ``n``: its place in the one order of all of them, from 1; the order is
    that in which they were let go. ``call``: the system call's name. ``thread``: the caller's number."""

    n: int
    group: str
    call: str
    path: str
    old: str
    by: str
    thread: int


class Armed:
    """A rule that is in force. ``hit`` is set once it has struck and its act is done; then ``point`` says
    where, and ``trouble`` what went wrong with it, if anything. ``matched`` counts its calls so far."""

    def __init__(
        self,
        rule: Rule,
        on_hit: Callable[[Armed], None] | None,
        gate: Releases,
        before: Callable[[Armed], None] | None = None,
    ) -> None:
        self.rule = rule
        self.on_hit = on_hit
        self.before = before
        self.hit = threading.Event()
        self.point: Point | None = None
        self.matched = 0
        self.trouble: str | None = None
        self.gave_up = False
        """Whether a hold ran into its limit."""
        self._gate = gate

    def wait(self, limit_s: float) -> bool:
        """Whether it has struck within the limit."""
        return self.hit.wait(limit_s)

    def release(self) -> bool:
        """Let go what it holds. False: it held nothing (any more)."""
        return self._gate.release(self)

    def disarm(self) -> None:
        """From now on it strikes nothing and holds nothing. Idempotent."""
        self._gate.disarm(self)

    def strikes(self, change: Change, by: str, *, taken: bool) -> bool:
        """Count a call; whether it is to be struck. Where another rule strikes it already (`taken`), this one
        waits for its next call. The gate's, under its lock."""
        if not self.rule.matches(change, by):
            return False
        due = self.matched + 1 == self.rule.nth or (self.rule.sticky and self.matched >= self.rule.nth)
        if due and taken:
            return False
        self.matched += 1
        return due


class Releases(Protocol):
    """What an `Armed` asks of its gate."""

    def release(self, armed: Armed) -> bool: ...
    def disarm(self, armed: Armed) -> None: ...
