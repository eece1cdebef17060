"""Operations, the words of a plan.

An operation is a value: one thing that a client, an operator or an accident does. It names its objects
symbolically (``blob b3``, ``repo r1``, ``upload u2``), never by anything that a server answered, so that a
plan can be drawn, saved, cut down and run again without a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Scalar = str | int | bool
Arg = Scalar | tuple[str, ...] | tuple[int, ...]
Lane = int | str
"""A client's number, 1…n, or ``"collector"`` or ``"operator"``."""

Part = Literal["head", "body", "answer"]
How = Literal["close", "reset", "half"]
Act = Literal["kill", "power", "enospc", "eio", "emfile"]
CALLS = (
    *("any", "create", "write", "truncate", "sync", "rename", "link", "unlink"),
    *("mkdir", "rmdir", "touch", "mode", "attribute"),
)
"""Kinds of changes that system calls make to the storage folder (`harness.faults.syscall.tables`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A byte of one HTTP exchange inside an operation.

    ``on`` is the method of the exchange in lower case (``"patch"``), or ``""`` for the first exchange that
    carries a body (the first of all where none does); ``nth`` counts the exchanges with that method from 1.
    """

    on: str = ""
    nth: int = 1
    part: Part = "body"
    at_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """The client vanishes when ``place`` is reached: FIN (``close``), RST (``reset``), or it only stops
    sending and still reads (``half``). Delivered means: the byte was reached."""

    place: Place
    how: How = "close"


@dataclass(frozen=True, slots=True)
class Call:
    """The ``nth`` change of the storage folder, by a system call of the registry or of its collector, since
    the operation began. ``call`` is a kind of change (`CALLS`), ``path`` a glob below the storage folder."""

    call: str = "any"
    path: str = "*"
    nth: int = 1


@dataclass(frozen=True, slots=True)
class Hold:
    """The operation stands still at ``place`` (of an exchange), at the ``nth`` line (of a collector) that
    matches the regular expression ``line``, or at a system ``call`` (then it is the registry's thread, or the
    collector, that stands still), until the mark ``until`` is reached: ``"x"`` is the end of operation ``x``,
    ``"x.held"`` its hold. Exactly one of ``place``, ``line`` and ``call`` is set."""

    until: str
    place: Place | None = None
    line: str | None = None
    nth: int = 1
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Strike:
    """An accident right before a system call takes effect: the registry is killed, the power is cut, or the
    call fails with an error. ``rest``: so do all that match after it, until the operation ends. Delivered
    means: the call was reached."""

    at: Call
    act: Act = "kill"
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """``id`` is unique in its plan. ``after`` lists marks (``"x"`` or ``"x.held"``) that must be reached
    before it starts, besides the end of the operation before it in its lane."""

    id: str
    lane: Lane
    do: str
    args: Mapping[str, Arg] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    hold: Hold | None = None
    cut: Cut | None = None
    strike: Strike | None = None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.args.get(name, default)

    @property
    def deadly(self) -> bool:
        """Whether its strike is the end of the registry: one in a collector run only ends that."""
        act = self.strike.act if self.strike is not None else None
        return act == "power" or (act == "kill" and self.do != "collect")

    def with_args(self, **changes: Arg | None) -> Operation:
        """A copy with arguments set, or removed where the value is ``None``."""
        args = {k: v for k, v in {**self.args, **changes}.items() if v is not None}
        return replace(self, args=args)

    def __hash__(self) -> int:
        return hash((self.id, self.lane, self.do, tuple(sorted(self.args.items(), key=str))))


def mark_owner(mark: str) -> str:
    """The operation that a mark belongs to: ``"put"`` of ``"put.held"``."""
    return mark.removesuffix(".held")
