"""What the lanes of one run share, and the request bodies that they make."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.plan.content import Symbols
from harness.wire import Request


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Bytes ``first`` … of a blob as a request body, made while they are sent."""

    symbols: Symbols
    name: str
    first: int
    size_bytes: int

    def chunks(self) -> Iterator[bytes]:
        return self.symbols.blob_chunks(self.name, self.first, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was sent, so that it can be sent again."""

    call: str
    about: Mapping[str, Any]
    request: Request
    index: int


SILENT = frozenset({"timeout", "connect-timeout", "unreachable", "dns"})
"""How an exchange ends with a registry that says nothing at all."""
SENSELESS = frozenset({"garbage", "too-large", "redirects", "short", "closed"})
"""How it ends with one that says nothing of use."""
SILENT_MAX = 3
SENSELESS_MAX = 12


class SilentError(Exception):
    """The registry has given no answer to many requests in a row: there is no point in asking on."""


@dataclass
class Shared:
    """What the lanes of one run share. ``locations``: where each upload session was last seen;
    ``homes``: the repository that it was opened in. ``silent`` and ``senseless``: how many requests in a row
    got no answer within their limit, or none of use."""

    locations: dict[str, str] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    silent: int = 0
    senseless: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, error: str | None) -> None:
        with self._lock:
            self.silent = self.silent + 1 if error in SILENT else 0
            self.senseless = self.senseless + 1 if error in SENSELESS else 0

    def check(self) -> None:
        """Raises `SilentError` when there is no point in asking on."""
        if self.silent >= SILENT_MAX or self.senseless >= SENSELESS_MAX:
            raise SilentError(f"{self.silent or self.senseless} requests in a row got no answer of use")

    def remember(self, upload: str, repo: str, location: str) -> None:
        with self._lock:
            self.locations[upload] = location
            self.homes.setdefault(upload, repo)
