"""The gate: a thread that lets the system calls of unmodified programs go, one after the other."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.faults.syscall.entrance import admit
from harness.faults.syscall.listener import Listener, Waiting
from harness.faults.syscall.places import Change, Storage
from harness.faults.syscall.rules import Armed, Point, Rule
from harness.faults.syscall.tables import ERRNOS, Call, calls, machine
from harness.targets.process import Child, Process, Spawn, Start
from harness.targets.reaper import kill_group

POINTS_KEPT = 200_000
END_LIMIT_S = 10.0


@dataclass(eq=False, slots=True)
class _Gated:
    """One started process, its threads and children."""

    listener: Listener
    pid: int
    by: str
    interrupted: dict[int, tuple[Waiting, int]] = field(default_factory=dict)
    """By thread: a call that a signal interrupted after it was counted, and what it was to fail with (0: it
    was let go). The same one again is the same one still. Only before Linux 5.19, see `WAIT_KILLABLE`."""


@dataclass(slots=True)
class _Held:
    gated: _Gated
    waiting: Waiting
    armed: Armed
    until: float = field(default=0.0)


class Gate:
    """Puts processes under the gate, counts what they change below a folder, and strikes as armed rules say.

    All processes of one gate are in one global order: at any time, all calls that were counted but the last
    have been let go. A call that was let go may still be on its way when the next one is: they take effect in
    another order only when they were concurrent.

    ``power`` is called by the act of that name. Arm, release, disarm and heal from any thread at any time: a
    rule that is armed before a request is sent sees all calls of that request. Nothing starts before the
    first process. Short writes cannot be made: the kernel lets a call happen as it is, or not at all.
    """

    def __init__(
        self, storage: Path, *, power: Callable[[], None] | None = None, killable: bool = True
    ) -> None:
        """``killable``: false meets signals as kernels before 5.19 do, for tests."""
        self._storage = Storage(storage)
        self._power = power
        self._killable = killable
        self._calls: Mapping[int, Call] = {} if (found := machine()) is None else calls(found)
        self._lock = threading.RLock()
        self._rules: list[Armed] = []
        self._gated: dict[int, _Gated] = {}
        self._held: list[_Held] = []
        self._points: deque[Point] = deque(maxlen=POINTS_KEPT)
        self._n = 0
        self._poller: select.poll | None = None
        self._wake: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._closing_limit = 0.0
        self._trouble: str | None = None

    # --- processes

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, out: int, err: int) -> Process:
        """Start a process under the gate; a `harness.targets.process.Spawn`. Raises OSError."""
        return self.through(Child)(argv, env, cwd, out, err)

    def through(self, start: Start, by: str = "registry") -> Spawn:
        """A `Spawn` that starts under the gate what `start` starts; its calls are those of `by`."""

        def spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path, out: int, err: int) -> Process:
            return admit(
                start,
                (argv, env, cwd, out, err),
                lambda listener, pid: self._watch(_Gated(listener, pid, by)),
                self._calls.values(),
                killable=self._killable,
            )

        return spawn

    def close(self) -> None:
        """End what is still under the gate (it could not change anything any more), and the thread."""
        with self._lock:
            self._rules.clear()
            self._closing = True
            self._closing_limit = time.monotonic() + END_LIMIT_S
            for each in self._gated.values():
                kill_group(each.pid)
        self._nudge()
        if self._thread is not None:
            self._thread.join()

    # --- rules

    def arm(
        self,
        rule: Rule,
        on_hit: Callable[[Armed], None] | None = None,
        before: Callable[[Armed], None] | None = None,
    ) -> Armed:
        """Put a rule in force. The two are called in the gate's thread: `before` ahead of the act, `on_hit`
        after it, right before ``hit`` is set."""
        armed = Armed(rule, on_hit, self, before)
        with self._lock:
            if rule.act == "power" and self._power is None:
                raise ValueError("the power cannot be cut: the storage is not on a volume of its own")
            self._rules.append(armed)
        return armed

    def release(self, armed: Armed) -> bool:
        with self._lock:
            mine = [held for held in self._held if held.armed is armed]
            self._held = [held for held in self._held if held.armed is not armed]
            return sum(self._answer(held.gated, held.waiting) for held in mine) > 0

    def disarm(self, armed: Armed) -> None:
        with self._lock:
            if armed in self._rules:
                self._rules.remove(armed)
            self.release(armed)

    def heal(self) -> None:
        """Disarm every rule, release every hold."""
        with self._lock:
            for armed in list(self._rules):
                self.disarm(armed)
            for held in list(self._held):
                self.release(held.armed)

    # --- what was seen

    @property
    def count(self) -> int:
        """How many changes there were so far."""
        return self._n

    def points(self, after: int = 0) -> list[Point]:
        """The changes after number `after`, the last `POINTS_KEPT` at most."""
        with self._lock:
            return [point for point in self._points if point.n > after]

    @property
    def trouble(self) -> str | None:
        """Why calls passed uncounted that should have been looked at; ``None`` when none did."""
        return self._trouble

    # --- inside: the thread

    def _watch(self, gated: _Gated) -> None:
        with self._lock:
            if self._closing:
                raise OSError(errno.EBADF, "the gate is closed")
            self._gated[gated.listener.fd] = gated
            if self._poller is None or self._thread is None:
                self._poller = select.poll()
                self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                self._poller.register(self._wake[0], select.POLLIN)
                self._thread = threading.Thread(target=self._run, name="seatrial-gate", daemon=True)
                self._thread.start()
            self._poller.register(gated.listener.fd, select.POLLIN)
        self._nudge()

    def _nudge(self) -> None:
        """Make the thread look at things anew."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._wake is not None:
                os.write(self._wake[1], b"\0")

    def _run(self) -> None:
        assert self._poller is not None
        assert self._wake is not None
        while self._gated or not self._closing:
            if self._closing and time.monotonic() > self._closing_limit:
                for each in list(self._gated.values()):
                    self._forget(each)
                continue
            for fd, event in self._poller.poll(self._patience_ms()):
                if fd == self._wake[0]:
                    os.read(fd, 4096)
                elif (gated := self._gated.get(fd)) is None:
                    continue
                elif event & select.POLLIN:
                    self._serve(gated)
                else:
                    self._forget(gated)
            self._give_up()
        with self._lock:
            for fd in self._wake:
                os.close(fd)
            self._wake = None

    def _serve(self, gated: _Gated) -> None:
        waiting = gated.listener.receive()
        if waiting is None:
            return
        try:
            change = self._look(waiting)
            if change is None:
                gated.listener.let_go(waiting)
            elif gated.listener.valid(waiting):
                self._decide(gated, waiting, change)
        except Exception as error:
            # Whatever it is: a gate that stops would stop the registry.
            self._trouble = f"a call of thread {waiting.thread} passed unseen: {error!r}"
            gated.listener.let_go(waiting)

    def _look(self, waiting: Waiting) -> Change | None:
        try:
            return self._storage.change(waiting, self._calls[waiting.number])
        except PermissionError as error:
            self._trouble = f"a call of thread {waiting.thread} could not be looked at: {error}"
        except OSError:
            # The thread is dead, or it gave the kernel a file or an address that is not there.
            pass
        return None

    def _decide(self, gated: _Gated, waiting: Waiting, change: Change) -> None:
        with self._lock:
            if self._again(gated, waiting):
                return
            self._n += 1
            point = Point(
                self._n,
                change.group,
                self._calls[waiting.number].name,
                change.path,
                change.old,
                gated.by,
                waiting.thread,
            )
            self._points.append(point)
            striking: Armed | None = None
            for armed in self._rules:
                if armed.strikes(change, gated.by, taken=striking is not None):
                    striking = armed
            if striking is None:
                self._answer(gated, waiting)
                return
            striking.point = striking.point or point
            if not striking.rule.sticky:
                self._rules.remove(striking)
            if striking.rule.act in ("hold", "slow"):
                until = time.monotonic() + striking.rule.limit_s
                self._held.append(_Held(gated, waiting, striking, until))
        self._act(gated, waiting, striking)

    def _again(self, gated: _Gated, waiting: Waiting) -> bool:
        """Whether it is a call that was counted already, and that a signal interrupted before its answer."""
        for held in self._held:
            if held.gated is gated and held.waiting.same == waiting.same:
                held.waiting = waiting
                return True
        before, number = gated.interrupted.pop(waiting.thread, (None, 0))
        if before is None or before.same != waiting.same:
            return False
        self._answer(gated, waiting, number)
        return True

    def _answer(self, gated: _Gated, waiting: Waiting, number: int = 0) -> bool:
        """Let it go, or let it fail with an error's number. False: it waits no more."""
        listener = gated.listener
        if listener.fail(waiting, number) if number else listener.let_go(waiting):
            return True
        gated.interrupted[waiting.thread] = (waiting, number)
        return False

    def _act(self, gated: _Gated, waiting: Waiting, armed: Armed) -> None:
        act = armed.rule.act
        if not armed.hit.is_set():
            self._tell(armed, armed.before)
        if act in ERRNOS:
            self._answer(gated, waiting, ERRNOS[act].number)
        elif act in ("kill", "power"):
            struck = [gated]
            if act == "power" and self._power is not None:
                try:
                    self._power()
                except Exception as error:
                    armed.trouble = f"the power was not cut: {error}"
                with self._lock:
                    struck = list(self._gated.values())
            for each in struck:
                kill_group(each.pid)
            for each in struck:
                if not (each.listener.await_end(END_LIMIT_S) and _ended(each.pid, END_LIMIT_S)):
                    armed.trouble = f"process {each.pid} did not end {END_LIMIT_S:.0f} s after SIGKILL"
        if not armed.hit.is_set():
            self._tell(armed, armed.on_hit)
        armed.hit.set()

    @staticmethod
    def _tell(armed: Armed, callback: Callable[[Armed], None] | None) -> None:
        if callback is not None:
            try:
                callback(armed)
            except Exception as error:
                armed.trouble = f"who wanted to be told failed: {error!r}"

    def _forget(self, gated: _Gated) -> None:
        """Its last thread has ended."""
        assert self._poller is not None
        with self._lock:
            self._poller.unregister(gated.listener.fd)
            del self._gated[gated.listener.fd]
            self._held = [held for held in self._held if held.gated is not gated]
            gated.listener.close()

    def _patience_ms(self) -> float | None:
        with self._lock:
            limits = [held.until for held in self._held] + [self._closing_limit] * self._closing
            return max(0.0, min(limits) - time.monotonic()) * 1000 + 1 if limits else None

    def _give_up(self) -> None:
        with self._lock:
            now = time.monotonic()
            due = [held for held in self._held if held.until <= now]
            self._held = [held for held in self._held if held.until > now]
            for held in due:
                held.armed.gave_up = held.armed.rule.act == "hold"
                self._answer(held.gated, held.waiting)


def _ended(pid: int, limit_s: float) -> bool:
    """Whether a process has ended within the limit, its files closed; it may not have been waited for yet."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(limit_s * 1000))
    finally:
        os.close(fd)
