"""What all endpoints share: methods, authorization, errors, and work off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..auth.base import ACTIONS_BY_METHOD, Access, Account, Authorizer, Denied, Unauthorized
from ..registry import names
from ..registry.errors import OutOfOrder, Refusal, SeveralRefusals
from ..registry.store import Registry
from . import faults
from .errors import refused
from .limits import Limits
from .state import ABORT, ACCOUNT, DEADLINE, state

P = ParamSpec("P")
T = TypeVar("T")

Handler = Callable[[Request], Coroutine[Any, Any, Response | None]]
"""Answers a request; None if nobody is there any more to be answered."""

VETTING_THREADS = 2
_READING = {"GET", "HEAD"}
_BREAK_OFF_S = 1.0


class Context:
    """What handlers work with."""

    def __init__(self, registry: Registry, authorizer: Authorizer, limits: Limits) -> None:
        self.registry = registry
        self.authorizer = authorizer
        self.limits = limits
        self._pool = ThreadPoolExecutor(limits.storage_threads, thread_name_prefix="storage")
        self._vetting = ThreadPoolExecutor(VETTING_THREADS, thread_name_prefix="vetting")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread.  Whoever is cancelled meanwhile still sees it end first."""
        work = self._pool.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            # The thread goes on: nobody may close a file under it.
            if not work.cancelled():
                await asyncio.gather(asyncio.wrap_future(work), return_exceptions=True)
            raise
        finally:
            # What failed would keep itself alive by its traceback, with all that its frames hold.
            del work

    async def authorize(self, request: Request, *wanted: Access) -> Account:
        """Return who asks, if all of ``wanted`` is allowed.  Raises Unauthorized, Denied."""
        if self.authorizer.may_block(request.headers):
            account = await self.vet(self.authorizer.authorize, request.headers, wanted)
        else:
            account = self.authorizer.authorize(request.headers, wanted)
        state(request.scope)[ACCOUNT] = account.name
        return account

    async def admit(self, request: Request, *more: Access) -> Account:
        """Return who asks, if they may do to the repository what the method does, and ``more``.

        Raises NAME_INVALID, Unauthorized, Denied.
        """
        name = names.repository(request.path_params["name"])
        return await self.authorize(request, Access(name, ACTIONS_BY_METHOD[request.method]), *more)

    async def vet(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Look at credentials in a thread: few of them, so that wrong passwords cannot hold up storage."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._vetting, lambda: function(*args, **kwargs))


class Resource:
    """An endpoint: a handler for each method it knows.

    What concerns a repository is authorized before its handler sees it, unless the handlers ``admit`` by
    themselves.  ``pattern`` is what paths of the endpoint have in common, for people.  A ``read_only``
    endpoint has only those of its methods that change nothing.
    """

    def __init__(
        self,
        context: Context,
        handlers: Mapping[str, Handler],
        *,
        pattern: str = "",
        admits: bool = False,
        read_only: bool = False,
    ) -> None:
        self._context = context
        self._admits = admits
        self.pattern = pattern
        withheld = handlers.keys() - _READING if read_only else set()
        self._refusals = dict.fromkeys(withheld, Refusal("READ_ONLY"))
        self._handlers = {method: handler for method, handler in handlers.items() if method not in withheld}
        self.methods = tuple(sorted(self._handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + self._context.limits.request_timeout_s
        state(scope)[DEADLINE] = deadline
        response = await self._answer(Request(scope, receive))
        if response is None:
            return
        try:
            async with asyncio.timeout_at(deadline) as limit:
                await response(scope, receive, send)
        except Exception as error:
            # The answer has begun: all that can still be told is that it is not whole.
            if not limit.expired():
                faults.note(scope, error)
            await _break_off(scope, receive)

    async def _answer(self, request: Request) -> Response | None:
        handler = self._handlers.get(request.method)
        if handler is None:
            refusal = self._refusals.get(request.method, Refusal("UNSUPPORTED"))
            return refused([refusal], {"Allow": ", ".join(self.methods)})
        try:
            if "name" in request.path_params and not self._admits:
                await self._context.admit(request)
            return await handler(request)
        except OutOfOrder as refusal:
            # Enough to go on from where the upload is (rows 40 and 41).
            headers = {"Location": request.scope["path"]} | upload_range(refusal.size_bytes)
            return refused([refusal], headers)
        except Refusal as refusal:
            return refused([refusal])
        except SeveralRefusals as several:
            return refused(several.refusals)
        except Unauthorized as error:
            detail = None if error.reason is None else {"reason": error.reason}
            return refused([Refusal("UNAUTHORIZED", detail)], {"WWW-Authenticate": error.challenge})
        except Denied:
            return refused([Refusal("DENIED")])
        except Exception as error:
            return faults.answer(request.scope, error)


def upload_range(size_bytes: int) -> dict[str, str]:
    """The Range header of an upload; none while it is empty, as ``0-0`` would be one byte."""
    return {"Range": f"0-{size_bytes - 1}"} if size_bytes else {}


async def _break_off(scope: Scope, receive: Receive) -> None:
    abort: Callable[[], None] = state(scope).get(ABORT, lambda: None)
    abort()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BREAK_OFF_S):
            while (await receive())["type"] != "http.disconnect":
                pass
