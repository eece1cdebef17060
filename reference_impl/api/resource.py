"""What all endpoints share: methods, authorization, errors, and work off the event loop."""

from __future__ import annotations

import asyncio
import errno
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..auth.base import ACTIONS_BY_METHOD, Access, Account, Authorizer, Denied, Unauthorized
from ..drivers.base import Unavailable
from ..registry import names
from ..registry.errors import OutOfOrder, Refusal, SeveralRefusals
from ..registry.store import Registry
from .errors import refused

P = ParamSpec("P")
T = TypeVar("T")

Handler = Callable[[Request], Coroutine[Any, Any, Response | None]]
"""Answers a request; None if nobody is there any more to be answered."""

RETRY_AFTER_S = 5
VETTING_THREADS = 2
_STORAGE_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Limits:
    """``page_size`` bounds all listings, in entries."""

    page_size: int = 1000
    manifest_max_bytes: int = 4 << 20
    referrers_max_bytes: int = 4 << 20
    tags_per_push: int = 64
    body_idle_timeout_s: float = 60.0


class Context:
    """What handlers work with."""

    def __init__(self, registry: Registry, authorizer: Authorizer, limits: Limits, threads: int = 32) -> None:
        self.registry = registry
        self.authorizer = authorizer
        self.limits = limits
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="storage")
        self._vetting = ThreadPoolExecutor(VETTING_THREADS, thread_name_prefix="vetting")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def authorize(self, request: Request, *wanted: Access) -> Account:
        """Return who asks, if all of ``wanted`` is allowed.  Raises Unauthorized, Denied."""
        if self.authorizer.may_block(request.headers):
            return await self.vet(self.authorizer.authorize, request.headers, wanted)
        return self.authorizer.authorize(request.headers, wanted)

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
    themselves.
    """

    def __init__(self, context: Context, handlers: Mapping[str, Handler], *, admits: bool = False) -> None:
        self._context = context
        self._admits = admits
        self._handlers = dict(handlers)
        self._allow = ", ".join(sorted(self._handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        handler = self._handlers.get(request.method)
        if handler is None:
            return refused([Refusal("UNSUPPORTED")], {"Allow": self._allow})
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
        except Unavailable:
            return refused([Refusal("STORAGE_UNAVAILABLE")], {"Retry-After": str(RETRY_AFTER_S)})
        except OSError as error:
            _report(error)
            full = error.errno in _STORAGE_FULL
            return refused([Refusal("STORAGE_FULL" if full else "UNKNOWN")])
        except Exception as error:
            _report(error)
            return refused([Refusal("UNKNOWN")])


def upload_range(size_bytes: int) -> dict[str, str]:
    """The Range header of an upload; none while it is empty, as ``0-0`` would be one byte."""
    return {"Range": f"0-{size_bytes - 1}"} if size_bytes else {}


def _report(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    print(text, file=sys.stderr, end="", flush=True)
