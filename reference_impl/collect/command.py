"""The command: a collection with its events on standard output, held where that is asked for."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from dataclasses import asdict, dataclass

from ..drivers.base import Busy, Driver, DriverError, NotFound
from ..registry import layout
from ..registry.store import Registry
from . import sweep
from .events import STEPS, Emit, Event, line
from .progress import Progress
from .run import Collection, Policy, Summary

EXIT_OK, EXIT_FAILED, EXIT_UNREADABLE, EXIT_BUSY = 0, 1, 2, 3

PAUSE_LIMIT_S = 3600.0
BUSY_POLL_S = 0.02


class OutputGone(Exception):
    """Nobody reads what the command says any more."""


class PauseTooLong(Exception):
    """Nobody said to go on."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where to stand still: at the ``number``-th event of a step, or at each of them."""

    step: str
    number: int | None = None


def pause(text: str) -> Pause:
    """Read ``STEP`` or ``STEP:N``.  Raises ValueError with what is wrong."""
    step, colon, number = text.partition(":")
    if step not in STEPS:
        raise ValueError(f"{step!r} is no step of a collection; there are {', '.join(STEPS)}")
    if colon and not (number.isdecimal() and int(number) > 0):
        raise ValueError(f"{number!r} is no number of an event; they count from 1")
    return Pause(step, int(number) if colon else None)


@dataclass(frozen=True, slots=True)
class Output:
    """How a collection tells of itself.

    ``form``: lines for people; one JSON object with the summary; or one for each event, and the summary as
    the last.  ``quiet`` leaves out what there is very much of.  ``progress`` goes to standard error; None: if
    that is a terminal and the lines go elsewhere.  ``control_fd`` is where a line ends a pause.
    """

    form: str = "lines"
    quiet: bool = False
    progress: bool | None = None
    pauses: tuple[Pause, ...] = ()
    control_fd: int = 0


def collect_from_command_line(
    driver: Driver, policy: Policy, output: Output | None = None, *, wait_s: float = 0.0
) -> int:
    """Run one collection; returns the exit code.  ``wait_s``: how long another collector may be at work."""
    output = output or Output()
    progress = Progress(sys.stderr) if _shows_progress(output) else None
    emit = _emit(output, progress)
    batch_max = 1 if output.pauses else sweep.BATCH_MAX
    limit_s = time.monotonic() + wait_s
    try:
        if _is_unused(driver):
            emit(Event("counted", 1))
            summary = Summary()
        else:
            while True:
                try:
                    summary = Collection(Registry(driver), policy, emit, batch_max=batch_max).run()
                    break
                except Busy:
                    if time.monotonic() >= limit_s:
                        raise
                    time.sleep(BUSY_POLL_S)
        if progress is not None:
            progress.end_phase()
        _tell(summary, policy, output)
    except Busy:
        return _fail("another collector is at work", EXIT_BUSY)
    except OutputGone:
        return EXIT_FAILED
    except PauseTooLong as error:
        return _fail(str(error), EXIT_FAILED)
    except (OSError, DriverError) as error:
        return _fail(str(error), EXIT_UNREADABLE)
    if summary.problems:
        return EXIT_UNREADABLE
    return EXIT_OK if summary.error is None else _fail(summary.error, EXIT_FAILED)


def _shows_progress(output: Output) -> bool:
    if output.progress is not None:
        return output.progress
    lines_elsewhere = output.form == "json" or output.quiet or not sys.stdout.isatty()
    return sys.stderr.isatty() and lines_elsewhere


def _is_unused(driver: Driver) -> bool:
    for folder in (layout.REPOSITORIES, layout.BLOBS, layout.TRASH):
        try:
            driver.list(folder)
        except NotFound:
            continue
        return False
    return True


def _emit(output: Output, progress: Progress | None) -> Emit:
    show = {"lines": line, "json": lambda event: None, "json-lines": _as_json}[output.form]

    def emit(event: Event) -> None:
        if progress is not None:
            progress.see(event)
        if not (output.quiet and STEPS[event.step].detail):
            text = show(event)
            if text is not None:
                print_line(text)
        for one in output.pauses:
            if one.step == event.step and one.number in (None, event.number):
                _stand_still(event, output)

    return emit


def _as_json(event: Event) -> str:
    unsaid = Event(event.step, 0)
    fields = {name: value for name, value in asdict(event).items() if value != getattr(unsaid, name)}
    return json.dumps({"step": event.step, **fields})


def _stand_still(event: Event, output: Output) -> None:
    """Say where, and go on when a line comes, or when none can come any more.  Raises PauseTooLong."""
    at = f"{event.step}:{event.number}"
    print_line(json.dumps({"paused": at}) if output.form == "json-lines" else f"paused at {at}")
    end_s = time.monotonic() + PAUSE_LIMIT_S
    while True:
        if not select.select([output.control_fd], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise PauseTooLong(f"nobody said to go on at {at} for {PAUSE_LIMIT_S:.0f} s")
        if os.read(output.control_fd, 1) in (b"\n", b""):
            return


def _tell(summary: Summary, policy: Policy, output: Output) -> None:
    if output.form == "lines":
        if summary != Summary():
            for text in _in_words(summary, policy):
                print_line(text)
    else:
        told = asdict(summary) | {"dry_run": policy.dry_run}
        print_line(json.dumps(told if output.form == "json" else {"summary": told}))


def _in_words(summary: Summary, policy: Policy) -> list[str]:
    if policy.dry_run:
        return [
            f"a dry run: {summary.blobs_eligible} blobs ({summary.bytes_eligible} bytes),"
            f" {summary.manifests_eligible} manifests, {summary.links_eligible} links and"
            f" {summary.uploads_eligible} uploads ({summary.upload_bytes_eligible} bytes) would be removed"
        ]
    return [
        f"{summary.blobs_purged} blobs ({summary.bytes_purged} bytes), {summary.manifests_removed} manifests,"
        f" {summary.links_removed} links and {summary.uploads_removed} uploads removed;"
        f" {summary.blobs_spared} blobs spared, {summary.blobs_restored} restored"
    ]


def print_line(text: str) -> None:
    """Write a line at once, in one piece: whoever reads can hold the collector at it.

    Raises OutputGone.
    """
    try:
        os.write(sys.stdout.fileno(), text.encode() + b"\n")
    except BrokenPipeError:
        raise OutputGone from None


def _fail(message: str, code: int) -> int:
    print(f"reference_impl: collect: {message}", file=sys.stderr, flush=True)
    return code
