"""How requests get onto a connection: whole, cut off, in crumbs, chunked in odd ways, several, smuggled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random

from . import pieces
from .requests import Request, odd, plain


class End(Enum):
    """What becomes of the connection after the last byte."""

    STAYS = "the answers come, and the connection goes on unless an answer says otherwise"
    ANSWERED = "an answer comes, or the connection ends"
    CLOSED = "the answers come, then perhaps a 400, and the server ends the connection"
    LEFT = "the client ends it, and the server does so too"
    BROKEN = "the client resets it"


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes to send on one connection.  ``methods`` are those of the requests in them, in order.

    With ``plain`` all of them are requests that HTTP allows: they are answered by the registry itself.
    """

    seed: str
    shape: str
    segments: tuple[bytes, ...]
    methods: tuple[str, ...]
    end: End
    plain: bool


Framed = tuple[tuple[bytes, ...], tuple[str, ...], End, bool]


def head(request: Request, *more: bytes) -> bytes:
    lines = [b" ".join((request.method, request.target, request.version)), *request.headers, *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def whole(request: Request) -> bytes:
    sized = request.body or request.method in (b"PUT", b"POST", b"PATCH")
    return head(request, *([b"Content-Length: %d" % len(request.body)] if sized else [])) + request.body


def _names(*requests: Request) -> tuple[str, ...]:
    return tuple(request.method.decode("latin-1") for request in requests)


def _whole(rng: Random) -> Framed:
    request = plain(rng)
    return (whole(request),), _names(request), End.STAYS, True


def _odd(rng: Random) -> Framed:
    request = odd(rng)
    return (whole(request),), _names(request), End.ANSWERED, False


def _in_crumbs(rng: Random) -> Framed:
    """A few bytes at a time."""
    request = plain(rng)
    data = whole(request)
    step = rng.choice((1, 3, 17)) if len(data) < 400 else len(data) // 50
    crumbs = tuple(data[at : at + step] for at in range(0, len(data), step))
    return crumbs, _names(request), End.STAYS, True


def _cut(rng: Random) -> Framed:
    """Half a request, then nobody."""
    request = plain(rng)
    data = whole(request)
    cut = rng.randrange(len(data) + 1) if rng.random() < 0.5 else data.find(b"\r\n\r\n") + rng.randrange(6)
    return (data[:cut],), _names(request), rng.choice((End.LEFT, End.BROKEN)), True


def _too_short(rng: Random) -> Framed:
    """More is announced than comes."""
    request = plain(rng)
    more = rng.choice((1, 100, 1 << 20, 1 << 40, (1 << 63) - 1 - len(request.body)))
    data = head(request, b"Content-Length: %d" % (len(request.body) + more)) + request.body
    return (data,), _names(request), rng.choice((End.LEFT, End.BROKEN)), True


def _too_long(rng: Random) -> Framed:
    """More comes than was announced: what is left over is no request."""
    request = plain(rng)
    return (whole(request) + rng.choice(pieces.GARBAGE),), _names(request), End.CLOSED, True


def _chunked(rng: Random) -> Framed:
    """A body in chunks, each as odd as HTTP allows."""
    request = plain(rng)
    parts = list(_parts(rng, request.body))
    sizes = rng.choice((b"%x", b"%X", b"%08x"))
    body = b"".join(
        sizes % len(part) + rng.choice(pieces.EXTENSIONS) + b"\r\n" + part + b"\r\n" for part in parts if part
    )
    end = rng.choice((b"0", b"000")) + rng.choice(pieces.EXTENSIONS) + b"\r\n" + rng.choice(pieces.TRAILERS)
    coding = rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked  "))
    return (head(request, coding) + body + end + b"\r\n",), _names(request), End.STAYS, True


def _parts(rng: Random, body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        step = max(rng.choice((1, 10, 1000, 60_000)), len(body) // 30)
        yield body[at : at + step]
        at += step


def _badly_chunked(rng: Random) -> Framed:
    request = plain(rng)
    data = head(request, b"Transfer-Encoding: chunked") + rng.choice(pieces.BAD_CHUNKS)
    return (data,), _names(request), End.LEFT, False


def _pipelined(rng: Random) -> Framed:
    requests = [plain(rng) for _ in range(rng.choice((2, 3, 8, 20)))]
    return (b"".join(whole(one) for one in requests),), _names(*requests), End.STAYS, True


def _expecting(rng: Random) -> Framed:
    """100-continue, with a body that comes without waiting for it."""
    request = plain(rng)
    data = head(request, b"Expect: 100-continue", b"Content-Length: %d" % len(request.body))
    return (data, request.body), _names(request), End.STAYS, True


def _of_old(rng: Random) -> Framed:
    request = plain(rng)
    of_old = Request(request.method, request.target, request.headers, request.body, version=b"HTTP/1.0")
    return (whole(of_old),), _names(of_old), End.CLOSED, True


_INNER = b"DELETE /v2/canary/kept/manifests/kept HTTP/1.1\r\nHost: x\r\n\r\n"
"""If this is ever taken for a request, what had to be spared is gone."""
SMUGGLING: tuple[tuple[bytes, bytes], ...] = (
    (b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Transfer-Encoding: chunked\r\nContent-Length: %d" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: 0\r\nContent-Length: %d" % len(_INNER), _INNER),
    (b"Content-Length: %d\r\nContent-Length: 0" % len(_INNER), _INNER),
    (b"Content-Length: 0, %d" % len(_INNER), _INNER),
    (b"Content-Length: %d" % len(_INNER), _INNER),
    (b"Content-Length : 0\r\nContent-Length: %d" % len(_INNER), _INNER),
    (b"Content-Length\x00: 0\r\nContent-Length: %d" % len(_INNER), _INNER),
    (b"Content-Length: %d\r\n Transfer-Encoding: chunked" % len(_INNER), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: %d\r\nX: a\rTransfer-Encoding: chunked" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: %d\r\nTransfer-Encoding : chunked" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: %d\r\nTransfer-Encoding: xchunked" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: %d\r\nTransfer-Encoding:\x0bchunked" % (5 + len(_INNER)), b"0\r\n\r\n" + _INNER),
    (b"Content-Length: %d\r\nTransfer-Encoding: identity" % len(_INNER), _INNER),
    (b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n" + _INNER),
    (b"Transfer-Encoding: identity, chunked\r\nContent-Length: %d" % len(_INNER), _INNER),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n" + _INNER),
    (b"Transfer-Encoding: chunked", b"%x;\n%b\r\n0\r\n\r\n" % (len(_INNER), _INNER)),
    (b"Transfer-Encoding: chunked", b"0\r\nX: a\r\n\n" + _INNER + b"\r\n"),
    (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(_INNER), _INNER)),
    (b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: %d" % len(_INNER), _INNER),
)
"""Heads that two readers could take in two ways, with a body in which one of them would see a request."""


def _smuggled(rng: Random) -> Framed:
    lines, body = rng.choice(SMUGGLING)
    request = plain(rng)
    version = rng.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"))
    request = Request(request.method, request.target, request.headers, b"", False, version)
    return (head(request, lines) + body,), _names(request), End.LEFT, False


SHAPES: tuple[tuple[int, Callable[[Random], Framed]], ...] = (
    (50, _whole),
    (12, _odd),
    (3, _in_crumbs),
    (8, _cut),
    (4, _too_short),
    (3, _too_long),
    (6, _chunked),
    (4, _badly_chunked),
    (2, _pipelined),
    (3, _expecting),
    (2, _of_old),
    (3, _smuggled),
)
"""Each with how often it is drawn, of a hundred."""


def case(seed: int, number: int) -> Case:
    """Return the case of that number: the same for the same seed, whatever comes before it."""
    name = f"{seed}/{number}"
    rng = Random(name)
    shape = rng.choices([shape for _, shape in SHAPES], [weight for weight, _ in SHAPES])[0]
    return Case(name, shape.__name__.lstrip("_"), *shape(rng))
