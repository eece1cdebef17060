"""What was found out about a secret, remembered without the secret."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

ENTRIES_MAX = 1024


class Remembered(Generic[T]):
    """The latest results by a keyed hash, whose key is made anew for each process."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._hash_key = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, T] = OrderedDict()
        self._guard = threading.Lock()

    def key(self, *parts: str) -> bytes:
        message = b"".join(len(part).to_bytes(8) + part for part in map(str.encode, parts))
        return hmac.digest(self._hash_key, message, "sha256")

    def get(self, key: bytes) -> T | None:
        with self._guard:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: bytes, value: T) -> None:
        with self._guard:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
