"""What all endpoints share, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from reference_impl.api.limits import Limits
from reference_impl.api.resource import Context
from reference_impl.auth.none import Everyone
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry.store import Registry


def context(threads: int) -> Context:
    return Context(Registry(MemoryDriver()), Everyone(), Limits(storage_threads=threads))


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_is_cancelled_sees_its_work_end_first(fails: bool) -> None:
    """Or a file would be closed, and its number given to another one, under a thread that writes to it."""
    events: list[str] = []

    async def run() -> None:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(begun.set)
            assert go_on.wait(20)
            events.append("written")
            if fails:
                raise OSError

        async def handler() -> None:
            try:
                await context(1).run(work)
            finally:
                events.append("closed")

        task = asyncio.create_task(handler())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        events.append("cancelled")
        go_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(run())
    assert events == ["cancelled", "written", "closed"]


def test_work_that_has_not_begun_never_does() -> None:
    done: list[int] = []

    async def run() -> None:
        few, go_on = context(1), threading.Event()
        first = asyncio.create_task(few.run(go_on.wait, 20))
        second = asyncio.create_task(few.run(done.append, 1))
        await asyncio.sleep(0)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        go_on.set()
        assert await first

    asyncio.run(run())
    assert done == []
