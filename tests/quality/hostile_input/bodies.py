"""Hostile bodies: manifests of all wrong shapes, and bytes that are nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from tests.unit.reference.images import IMAGE, INDEX, descriptor, sha

from . import pieces, world

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2,
    1e400,
    -0.0,
    10**400,
    "",
    "\ud800",
    "\0",
    "a\r\nX-Injected: yes",
    "sha256:..",
    "x" * 20000,
    [],
    {},
    [[]],
    {"": {"": ""}},
    [None] * 100,
)
FIELDS = (
    *("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject"),
    *("annotations", "data", "platform", "", "\0", "__proto__"),
    *("blobs", "fsLayers", "history", "signatures", "digest", "size", "urls"),
)
DEEP = 100_000


def _nested(opening: str, inner: str, closing: str) -> bytes:
    return (opening * DEEP + inner + closing * DEEP).encode()


FIXED: tuple[bytes, ...] = (
    b"",
    b"null",
    b"true",
    b"1",
    b'"a"',
    b"[]",
    b"{}",
    b"{",
    b"}",
    b"\0",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b'{"a":1}{"b":2}',
    b"{}\n\0",
    b'{"schemaVersion": NaN}',
    b'{"schemaVersion": -Infinity}',
    b'{"schemaVersion": 2, "schemaVersion": 1, "mediaType": "a/b", "mediaType": ["a/b"]}',
    b'{"schemaVersion": 1e999999}',
    b'{"schemaVersion": ' + b"9" * 5000 + b"}",
    b'{"schemaVersion": ' + b"9" * 300_000 + b"}",
    b'{"schemaVersion": 1e' + b"9" * 300_000 + b"}",
    b'{"a": "\xff\xfe"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\u0000"}',
    b'{"a": "\n"}',
    b'{"\\ud800": "\\udfff", "mediaType": "a/b", "annotations": {"\\ud800": "\\udc00\\ud800"}}',
    _nested("[", "", "]"),
    _nested('{"a":', "1", "}"),
    b"[" * DEEP,
    b'{"mediaType": "a/b", "x": ' + b"[" * 500 + b"]" * 500 + b"}",
    b'{"manifests": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"mediaType": "a/b", "x": {"digest": "' + world.DIGESTS[0].encode() + b'", "mediaType": []}}',
    b'{"mediaType": "a/b", "x": {"digest": ["a"], "mediaType": {}}}',
    b'{"mediaType": "a/b\\r\\nX-Injected: yes"}',
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    b"PK\x03\x04" + b"\0" * 100,
    b"\x1f\x8b\x08" + b"\0" * 100,
)


def _descriptors(count: int) -> list[dict[str, Any]]:
    return [{"digest": f"sha256:{number:064x}", "size": number} for number in range(count)]


def _image(**more: Any) -> bytes:
    fields = json.loads(world.IMAGE_BODY) | more
    return json.dumps(fields).encode()


LARGE: tuple[Callable[[], bytes], ...] = (
    lambda: _image(layers=_descriptors(30_000)),
    lambda: _image(layers=_descriptors(100_000)),
    lambda: json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": _descriptors(30_000)}).encode(),
    lambda: _image(
        subject=descriptor(world.IMAGE_BODY), annotations={str(n): "v" * 40 for n in range(50_000)}
    ),
    lambda: _image(annotations={"a": "\ud800" * 200_000}),
    lambda: b'{"mediaType": "a/b", "x": [' + b"[]," * 1_000_000 + b"0]}",
    lambda: b'{"mediaType": "a/b", "x": [' + b'{"a":0},' * 500_000 + b"0]}",
    lambda: b" " * (4 << 20),
    lambda: b" " * ((4 << 20) - 2) + b"{}",
    lambda: b" " * (4 << 20) + b"{}",
    lambda: b'"' + b"\\u0000" * 600_000 + b'"',
    lambda: bytes(3 << 20),
)
"""Around the limit of 4 MiB; each costs a parser something else."""


def manifest(rng: Random) -> bytes:
    """A manifest in which something is wrong; or nothing, now and then."""
    chance = rng.random()
    if chance < 0.25:
        return rng.choice(FIXED)
    if chance < 0.35:
        return rng.choice((world.IMAGE_BODY, world.INDEX_BODY, world.ATTACHED_BODY))
    fields = json.loads(rng.choice((world.IMAGE_BODY, world.INDEX_BODY, world.ATTACHED_BODY)))
    for _ in range(rng.randint(1, 3)):
        _spoil(rng, fields)
    return json.dumps(fields, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")


def _spoil(rng: Random, fields: dict[str, Any]) -> None:
    """Change one thing, at any depth."""
    target: Any = fields
    while rng.random() < 0.5:
        below = [value for value in _values(target) if isinstance(value, dict | list) and value]
        if not below:
            break
        target = rng.choice(below)
    if isinstance(target, list):
        target[rng.randrange(len(target))] = _value(rng)
    elif target and rng.random() < 0.3:
        del target[rng.choice(list(target))]
    else:
        known = list(target) if target and rng.random() < 0.7 else FIELDS
        target[rng.choice(known)] = _value(rng)


def _values(target: Any) -> list[Any]:
    return list(target.values()) if isinstance(target, dict) else list(target)


def _value(rng: Random) -> Any:
    chance = rng.random()
    if chance < 0.5:
        return deepcopy(rng.choice(VALUES))  # it may be spoilt further
    if chance < 0.7:
        return rng.choice(pieces.DIGESTS)
    if chance < 0.8:
        return rng.choice(pieces.MEDIA_TYPES)
    known = descriptor(rng.choice(world.BLOBS), rng.choice((IMAGE, INDEX, "a/b")))
    return known if chance < 0.9 else [known | {"size": deepcopy(rng.choice(VALUES))}]


def blob(rng: Random) -> bytes:
    """Bytes that someone might upload, also those that are there already."""
    chance = rng.random()
    if chance < 0.4:
        return rng.choice(world.BLOBS[:4])
    if chance < 0.6:
        return rng.choice((world.IMAGE_BODY, world.INDEX_BODY))
    if chance < 0.8:
        return rng.choice(FIXED)[:4096]
    return rng.randbytes(rng.choice((1, 100, 4097, 70_000)))


def digest_of(rng: Random, body: bytes) -> str:
    return sha(body, rng.choice(("sha256", "sha256", "sha512")))
