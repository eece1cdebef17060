"""What goes into an exchange and what comes out of it: requests, places to act, limits, answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Headers = tuple[tuple[str, str], ...]
Verdict = Literal["go", "close", "reset", "half"]

PIECE_BYTES_MAX = 1 << 20
"""No piece of a body that passes through this package is larger."""


SIZE_UNKNOWN = -1


class Source(Protocol):
    """A request body, perhaps of gigabytes. ``chunks`` can be called again (after a 401, say) and
    then gives the same bytes; together they are ``size_bytes`` long (`SIZE_UNKNOWN` where only the
    end will tell: such a body has to go out chunked)."""

    @property
    def size_bytes(self) -> int: ...
    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Bytes:
    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        if len(self.data) <= PIECE_BYTES_MAX:
            yield self.data
            return
        for start in range(0, len(self.data), PIECE_BYTES_MAX):
            yield self.data[start : start + PIECE_BYTES_MAX]


def bytes_source(data: bytes) -> Source:
    """A body that is in memory already."""
    return _Bytes(data)


@dataclass(frozen=True, slots=True)
class Stop:
    """A place in one exchange where something happens.

    ``act`` is called when exactly ``at_bytes`` bytes of ``part`` were sent or received (0: before
    the first). ``head`` counts the bytes of the request's head, ``body`` the content of its body
    (the framing of a chunked body does not count: the cut falls inside a chunk, or before the CRLF
    that ends it), ``answer`` everything that comes back, as it is on the wire. A place beyond the
    end is never reached.

    ``act`` may block, that is a hold; its time counts towards no limit. It returns how to go on:
    ``go``, ``close`` (FIN), ``reset`` (RST), or ``half``: send nothing more, end our direction and
    read the answer. What it raises comes out of ``Client.send``.

    Each stop acts at most once in a ``Client.send``, in the first round trip that reaches it: a
    first 401 or a redirect is a round trip too."""

    part: Literal["head", "body", "answer"]
    at_bytes: int
    act: Callable[[], Verdict]


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    ``target`` is an absolute URL, or an origin-form (``/path?query``) on the client's base URL.
    ``Host``, ``User-Agent``, the framing and ``Authorization`` are added where ``headers`` does not
    hold them.

    ``follow``: GET and HEAD follow redirects, at most five, never in a circle, and never with
    ``Authorization`` or ``Cookie`` to another origin. ``sink`` gets the body of the final answer,
    decoded, piece by piece. ``keep_text_bytes``: `Answer.text` keeps a body that is not longer.

    ``declared_length`` is sent as Content-Length though the body differs; where it promises more
    than the body holds, our direction is ended after the body, and the connection is closed
    afterwards in any case. ``raw_head`` is sent in place of the head, byte for byte; the connection
    is not kept. ``digests``: which of ``sha256`` and ``sha512`` to compute over the answer's body.
    """

    method: str
    target: str
    headers: Headers = ()
    body: Source | None = None
    chunked: bool = False
    stops: tuple[Stop, ...] = ()
    follow: bool = True
    sink: Callable[[bytes], None] | None = None
    keep_text_bytes: int = 65536
    declared_length: int | None = None
    raw_head: bytes | None = None
    digests: tuple[str, ...] = ("sha256",)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how large. ``connect_s``: until connected, TLS included. ``answer_s``: idle, the
    longest wait for the next byte to move in either direction. ``exchange_s``: one round trip from
    its first byte to its last, however steadily bytes trickle. ``head_bytes``: the answer's head,
    1xx included. ``body_bytes``: the answer's body, ``None`` for any length."""

    connect_s: float = 5.0
    answer_s: float = 20.0
    exchange_s: float = 60.0
    head_bytes: int = 256 * 1024
    body_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Always returned, whatever the peer does.

    ``status`` is ``None`` where no whole head arrived. ``headers``: names in lower case, order
    kept. ``size_bytes``, ``sha256``, ``sha512``, ``text``: the body as far as it arrived; a digest
    is ``""`` where it was not asked for or where there can be no body (HEAD, 204, 304, no status);
    ``text`` is ``None`` where the body was longer than asked for.

    ``error`` is ``None``, or why this is not a complete answer:

    ================== =====================================================================
    refused            nobody listens there
    unreachable        no route, network down, or another error of the system on connecting
    dns                the name has no address
    tls                handshake or certificate
    connect-timeout    not connected within ``connect_s``
    timeout            ``answer_s`` or ``exchange_s`` ran out
    reset              the peer reset the connection
    closed             the peer closed it before a whole head arrived
    short              the body ended before its framing said so
    garbage            not HTTP; or a request (perhaps of the peer's making) that cannot be sent
    redirects          a circle, more than five, or a target that cannot be followed
    too-large          ``head_bytes`` or ``body_bytes`` exceeded
    cut                a stop closed or reset the connection
    stopped            the client was closed by another thread
    ================== =====================================================================

    ``detail`` says it in a line. ``sent_bytes``: body bytes handed to the kernel, in the last round
    trip. ``stopped``: the stops that were reached. ``redirects``: the URLs that were followed.
    ``challenges``: how often a 401 was answered with credentials."""

    status: int | None
    headers: Headers
    size_bytes: int
    sha256: str
    sha512: str
    text: bytes | None
    error: str | None
    detail: str
    sent_bytes: int
    stopped: tuple[Stop, ...]
    redirects: tuple[str, ...]
    challenges: int

    def header(self, name: str) -> str | None:
        """The first value under this name in any case, or ``None``."""
        return first(self.headers, name.lower())

    @property
    def complete(self) -> bool:
        """Whether the status and the whole body arrived and nothing went wrong."""
        return self.status is not None and self.error is None


def first(headers: Headers, name: str) -> str | None:
    """The first value under a lower-case name."""
    for known, value in headers:
        if known == name:
            return value
    return None


def has(headers: Headers, name: str) -> bool:
    """Whether a lower-case name is among names of any case."""
    for known, _ in headers:  # noqa: SIM110 (a generator costs more than the loop)
        if known.lower() == name:
            return True
    return False


class Broken(Exception):
    """An exchange that cannot go on: one of the words of `Answer.error`, and a line for a
    person."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail
