"""Digests and the algorithms behind them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

CANONICAL = "sha256"
"""The algorithm under which content is stored; others are links to it."""

ENCODED_CHARS = {"sha256": 64, "sha512": 128}
"""Supported algorithms, with the number of hexadecimal digits of each."""


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A valid digest of a supported algorithm.  ``registry.names.digest`` makes one from text."""

    algorithm: str
    encoded: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def hasher(algorithm: str) -> Hasher:
    return hashlib.new(algorithm, usedforsecurity=True)


def digest_of(data: bytes, algorithm: str = CANONICAL) -> Digest:
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
