"""Ctrl-C that is not lost.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. In a callback of its garbage
collector (Hypothesis has one) or in a ``__del__``, the exception is printed and dropped, and the run would go
on to its end. So the signal is remembered as well, and looked for between two plans.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_interrupted = False


@contextmanager
def remembered() -> Iterator[None]:
    """Within it SIGINT does what it did before, and is remembered until the end, which raises
    `KeyboardInterrupt` if nobody did. Does nothing outside the main thread, or where SIGINT is ignored."""
    global _interrupted
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def remember(number: int, frame: FrameType | None) -> None:
        global _interrupted
        _interrupted = True
        before(number, frame)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
        check()
    finally:
        signal.signal(signal.SIGINT, before)
        _interrupted = False


def check() -> None:
    """Raises `KeyboardInterrupt` if SIGINT came since `remembered` began."""
    if _interrupted:
        raise KeyboardInterrupt
