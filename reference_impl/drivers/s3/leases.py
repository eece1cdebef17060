"""Leases: modification times of paths, finer and later than those of the bucket, as those of local files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from hashlib import blake2b

_SHARD_CHARS = 2
_HASH_BYTES = 8
"""Two paths with the same hash share a lease: each then seems as fresh as the fresher one."""


class Leases:
    """An empty file for each path that has one; what counts is its modification time."""

    def __init__(self, folder: str, clock: Callable[[], int]) -> None:
        self._folder = folder
        self._clock = clock

    def get(self, path: str) -> int:
        """Return the time of a path's lease in ns, 0 if it has none."""
        try:
            return os.stat(self._file(path)).st_mtime_ns
        except FileNotFoundError:
            return 0

    def renew(self, path: str, after_ns: int = 0) -> None:
        """Set a path's lease to now, later than ``after_ns``, and later than it was."""
        lease_ns = max(self._clock(), after_ns + 1, self.get(path) + 1)
        file = self._file(path)
        try:
            os.utime(file, ns=(lease_ns, lease_ns))
        except FileNotFoundError:
            os.makedirs(os.path.dirname(file), exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            os.utime(file, ns=(lease_ns, lease_ns))

    def drop(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(path))

    def all(self) -> Callable[[str], int]:
        """Read all leases at once; returns what ``get`` would, for very many paths."""
        noted: dict[int, int] = {}
        for entry in self._entries():
            shard = os.path.basename(os.path.dirname(entry.path))
            with contextlib.suppress(FileNotFoundError):
                noted[int(shard + entry.name, 16)] = entry.stat().st_mtime_ns
        return lambda path: noted.get(int(_hashed(path), 16), 0)

    def clear(self, before_ns: int) -> int:
        """Forget leases older than ``before_ns``; returns how many."""
        cleared = 0
        for entry in self._entries():
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime_ns < before_ns:
                    os.unlink(entry.path)
                    cleared += 1
        return cleared

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as shards:
            for shard in shards:
                with os.scandir(shard.path) as entries:
                    yield from entries

    def _file(self, path: str) -> str:
        hashed = _hashed(path)
        return f"{self._folder}/{hashed[:_SHARD_CHARS]}/{hashed[_SHARD_CHARS:]}"


def _hashed(path: str) -> str:
    return blake2b(path.encode(), digest_size=_HASH_BYTES).hexdigest()
