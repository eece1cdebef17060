"""Is the server there, and does its storage answer: for whoever watches over it."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..drivers.base import Driver, NotFound
from ..registry import layout
from .resource import Context

READY_LIMIT_S = 5.0


class Health:
    """``/healthz`` and ``/readyz``.  Neither asks who is there, and neither tells more than yes or no."""

    def __init__(self, context: Context, limit_s: float = READY_LIMIT_S) -> None:
        self._context = context
        self._limit_s = limit_s
        self._probe: asyncio.Task[bool] | None = None

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NOT_STORED)

    async def ready(self, request: Request) -> Response:
        if await self._storage_answers():
            return PlainTextResponse("ready\n", headers=_NOT_STORED)
        return PlainTextResponse("the storage does not answer\n", 503, headers=_NOT_STORED)

    async def _storage_answers(self) -> bool:
        # One probe at a time, however many ask: a storage that hangs shall not collect them.
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._probe}, timeout=self._limit_s)
        return bool(done) and self._probe.result()

    async def _ask(self) -> bool:
        try:
            await self._context.run(_stat, self._context.registry.driver)
        except Exception:
            return False
        return True


_NOT_STORED = {"Cache-Control": "no-store"}


def _stat(driver: Driver) -> None:
    try:
        driver.stat(layout.REPOSITORIES)
    except NotFound:
        return
