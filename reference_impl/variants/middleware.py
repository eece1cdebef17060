"""What variants put between server and registry: middleware, a second port, and changed heads on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from socket import socket
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api.errors import refused
from ..deviations import At
from ..registry.errors import Refusal
from ..serve import RegistryServer, listen

Headers = list[tuple[bytes, bytes]]

SESSION = re.compile(r"/v2/.+/blobs/uploads/[^/?]+")
"""The path of an upload session."""
SECOND_HOST = "127.0.0.2"
"""Where a registry listens that has a second place: on a port of its own there."""


def answer(status: int, reason: str) -> Response:
    """A refusal of another status than the reference gives it."""
    response = refused([Refusal(reason)])
    response.status_code = status
    return response


class Middleware:
    """Lets everything through; ``head`` may change the head of each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = self.head(scope, message["status"], list(message["headers"]))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, changed)

    def head(self, scope: Scope, status: int, headers: Headers) -> Headers:
        return headers


def relocated(headers: Headers, change: Callable[[str], str]) -> Headers:
    """The headers with another ``Location``, where there is one."""
    return [
        (name, change(value.decode("latin-1")).encode("latin-1") if name == b"location" else value)
        for name, value in headers
    ]


# -- a second place ------------------------------------------------------------------------


def is_second(scope: Scope) -> bool:
    """Whether a request came in at the second place."""
    return bool(scope["server"][0] == SECOND_HOST)


def other_place(scope: Scope) -> str:
    """The origin of the place at which a request did not come in.  It is the same after a restart."""
    port = scope["server"][1] ^ 1
    return f"http://127.0.0.1:{port}" if is_second(scope) else f"http://{SECOND_HOST}:{port}"


class _TwoPlaces(RegistryServer):
    def run(self, sockets: list[socket] | None = None) -> None:
        (first,) = sockets or []
        super().run([first, listen(SECOND_HOST, first.getsockname()[1] ^ 1)])


SECOND_PLACE = At(("serve:RegistryServer",), lambda here: type("TwoPlaces", (_TwoPlaces, here), {}))


# -- what is written -----------------------------------------------------------------------


def over_wire(change: Callable[[bytes], bytes]) -> At:
    """Change the heads of answers as they are written: status line and headers, up to the empty line."""

    def around(protocol: Callable[..., type]) -> Callable[..., type]:
        def made(limits: Any) -> type:
            here = protocol(limits)

            def connection_made(self: Any, transport: Any) -> None:
                here.connection_made(self, _Wire(transport, change))  # type: ignore[attr-defined]

            return type("ChangedProtocol", (here,), {"connection_made": connection_made})

        return made

    return At(("serve:protocol",), around)


class _Wire:
    """A transport; the server writes each head at once."""

    def __init__(self, transport: Any, change: Callable[[bytes], bytes]) -> None:
        self._transport = transport
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            head, end, rest = bytes(data).partition(b"\r\n\r\n")
            data = self._change(head) + end + rest
        self._transport.write(data)
