"""Single requests, put together from the pieces: which endpoint, which names, which headers, which body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from . import bodies, pieces, world

_SAFE = "/:@!$&'()*+,;=~"
_LARGE_SHARE = 0.004


@dataclass(frozen=True, slots=True)
class Request:
    """``plain``: an HTTP server has to understand it as one request; what else is wrong is in what it asks.

    ``headers`` are lines without their ends; framing adds what tells the body's length.
    """

    method: bytes
    target: bytes
    headers: tuple[bytes, ...]
    body: bytes
    plain: bool = True
    version: bytes = b"HTTP/1.1"


# -- paths -------------------------------------------------------------------------------------


def _all_escaped(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text)


def _all_escaped_small(text: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in text)


def _twice(text: bytes) -> bytes:
    return quote(quote(text, safe="")).encode()


def _overlong(text: bytes) -> bytes:
    """Dots and slashes in two or three bytes, as no UTF-8 decoder may accept them."""
    return quote(text, safe="").encode().replace(b".", b"%c0%ae").replace(b"%2F", b"%e0%80%af")


def _quoted(text: bytes) -> bytes:
    return quote(text, safe=_SAFE).encode()


def _slashes_escaped(text: bytes) -> bytes:
    return quote(text, safe="").encode()


ENCODINGS: tuple[Callable[[bytes], bytes], ...] = (
    *(_quoted, _quoted, _quoted),
    *(_slashes_escaped, _all_escaped, _all_escaped_small, _twice, _overlong),
)


def _encoded(rng: Random, text: str) -> bytes:
    return rng.choice(ENCODINGS)(text.encode("utf-8", "surrogatepass"))


def _slot(rng: Random, good: tuple[str, ...], hostile: tuple[str, ...], share: float = 0.5) -> bytes:
    if rng.random() < share:
        return _quoted(rng.choice(good).encode())
    return _encoded(rng, rng.choice(hostile))


def _name(rng: Random) -> bytes:
    return _slot(rng, world.REPOSITORIES, pieces.NAMES, 0.75)


def _digest(rng: Random) -> bytes:
    return _slot(rng, (*world.DIGESTS, world.LONG_DIGEST), pieces.DIGESTS)


def _reference(rng: Random) -> bytes:
    if rng.random() < 0.3:
        return _digest(rng)
    return _slot(rng, tuple(world.MANIFESTS), pieces.REFERENCES)


def _session(rng: Random) -> bytes:
    return pieces.SESSION if rng.random() < 0.7 else _encoded(rng, rng.choice(pieces.SESSIONS))


# -- queries -----------------------------------------------------------------------------------


def _pair(rng: Random, key: str) -> bytes:
    known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "digest": (world.DIGESTS, pieces.DIGESTS),
        "mount": (world.DIGESTS, pieces.DIGESTS),
        "from": (world.REPOSITORIES, pieces.NAMES),
        "n": (("1", "2", "100"), pieces.NUMBERS),
        "last": (("a", "t", *world.DIGESTS), pieces.REFERENCES),
        "tag": (("t", "new"), pieces.REFERENCES),
        "digest-algorithm": (("sha256", "sha512"), pieces.DIGESTS),
    }
    good, hostile = known.get(key, (("x",), pieces.STRANGE))
    text = rng.choice(good) if rng.random() < 0.5 else rng.choice(hostile)
    encode = rng.choice((_slashes_escaped, _slashes_escaped, _all_escaped, _twice, _overlong))
    return key.encode() + b"=" + encode(text.encode("utf-8", "surrogatepass"))


def _query(rng: Random, fitting: tuple[str, ...]) -> bytes:
    chance = rng.random()
    if chance < 0.08:
        return b"?" + rng.choice(pieces.RAW_QUERIES)
    keys = list(fitting) if fitting and chance < 0.8 else []
    while rng.random() < 0.25:
        keys.append(rng.choice((*fitting, *pieces.QUERY_KEYS)))
    return b"?" + b"&".join(_pair(rng, key) for key in keys) if keys else b""


# -- endpoints ---------------------------------------------------------------------------------

Fill = Callable[[Random], bytes]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``path`` with one piece for each ``%b``; ``queries``: sets of parameters that belong there."""

    path: bytes
    slots: tuple[Fill, ...]
    methods: tuple[bytes, ...]
    queries: tuple[tuple[str, ...], ...] = ((),)
    body: Fill = bodies.blob
    weight: int = 4


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(b"/v2/", (), (b"GET", b"HEAD"), weight=1),
    Endpoint(b"/v2", (), (b"GET",), weight=1),
    Endpoint(b"/v2/_catalog", (), (b"GET",), (("n",), ("last",), ("n", "last")), weight=1),
    Endpoint(b"/v2/_oci/ext/discover", (), (b"GET",), weight=1),
    Endpoint(b"/v2/%b/blobs/%b", (_name, _digest), (b"GET", b"HEAD", b"DELETE"), weight=8),
    Endpoint(
        b"/v2/%b/blobs/uploads/",
        (_name,),
        (b"POST",),
        ((), ("digest",), ("mount",), ("mount", "from"), ("digest-algorithm",), ("digest", "mount")),
        weight=8,
    ),
    Endpoint(b"/v2/%b/blobs/uploads", (_name,), (b"POST",), weight=1),
    Endpoint(
        b"/v2/%b/blobs/uploads/%b",
        (_name, _session),
        (b"PATCH", b"PATCH", b"PUT", b"PUT", b"GET", b"DELETE"),
        ((), ("digest",)),
        weight=12,
    ),
    Endpoint(
        b"/v2/%b/manifests/%b",
        (_name, _reference),
        (b"GET", b"HEAD", b"PUT", b"PUT", b"PUT", b"DELETE"),
        ((), (), ("tag",), ("tag", "tag")),
        bodies.manifest,
        weight=16,
    ),
    Endpoint(b"/v2/%b/tags/list", (_name,), (b"GET",), (("n",), ("last",), ("n", "last")), weight=3),
    Endpoint(
        b"/v2/%b/referrers/%b",
        (_name, _digest),
        (b"GET",),
        ((), ("artifactType",), ("n",), ("last",), ("n", "last", "artifactType")),
        weight=5,
    ),
    Endpoint(b"/v2/%b", (_name,), (b"GET",), weight=2),
    Endpoint(b"/%b", (_name,), (b"GET",), weight=1),
    Endpoint(b"/token", (), (b"GET", b"POST"), (("service", "scope"),), weight=1),
    Endpoint(b"/healthz", (), (b"GET",), weight=1),
    Endpoint(b"/metrics", (), (b"GET",), weight=1),
)
_WEIGHTS = [endpoint.weight for endpoint in ENDPOINTS]


def _own_line(name: bytes, table: tuple[str, ...]) -> Fill:
    return lambda rng: name + b": " + rng.choice(table).encode()


_LINES: tuple[Fill, ...] = (
    _own_line(b"Range", pieces.RANGES),
    _own_line(b"Content-Range", pieces.CONTENT_RANGES),
    _own_line(b"Content-Type", pieces.MEDIA_TYPES),
    lambda rng: rng.choice(pieces.HEADERS),
)


def plain(rng: Random) -> Request:
    """A request that HTTP allows."""
    endpoint = rng.choices(ENDPOINTS, _WEIGHTS)[0]
    fitting = rng.random() < 0.9
    method = rng.choice(endpoint.methods) if fitting else rng.choice(pieces.METHODS).encode()
    path = endpoint.path % tuple(fill(rng) for fill in endpoint.slots)
    has_body = method in (b"PUT", b"PATCH", b"POST") or rng.random() < 0.05
    body = endpoint.body(rng) if has_body else b""
    if has_body and endpoint.body is bodies.manifest and rng.random() < _LARGE_SHARE / 0.2:
        body = rng.choice(bodies.LARGE)()
    query = _query(rng, rng.choice(endpoint.queries))
    if b"uploads" in endpoint.path and method in (b"PUT", b"POST") and rng.random() < 0.4:
        query = b"?digest=" + bodies.digest_of(rng, body).encode()
    headers = []
    if method == b"PUT" and endpoint.body is bodies.manifest and rng.random() < 0.6:
        headers.append(b"Content-Type: " + rng.choice(pieces.MEDIA_TYPES[:3]).encode())
    if method == b"PATCH" and rng.random() < 0.3:
        headers.append(b"Content-Range: 0-%d" % (len(body) - 1))
    if method == b"GET" and rng.random() < 0.3:
        headers.append(b"Range: " + rng.choice(pieces.RANGES).encode())
    while rng.random() < 0.35:
        headers.append(rng.choice(_LINES)(rng))
    return Request(method, path + query, (b"Host: x", *headers), body)


def odd(rng: Random) -> Request:
    """A request with something in its head that HTTP does not allow, or that servers need not know."""
    request = plain(rng)
    method, target, headers, version = request.method, request.target, request.headers, request.version
    kind = rng.randrange(6)
    if kind == 0:
        method = rng.choice(pieces.ODD_METHODS)
    elif kind == 1:
        version = rng.choice(pieces.ODD_VERSIONS)
    elif kind == 2:
        target = rng.choice(pieces.ODD_TARGETS)
    elif kind == 3:
        target = b"/v2/" + rng.choice(pieces.NAMES).encode("utf-8", "surrogatepass") + b"/tags/list"
    elif kind == 4:
        headers = headers[1:]
    else:
        headers = (*headers, rng.choice(pieces.ODD_HEADERS))
    return Request(method, target, headers, request.body, False, version)
