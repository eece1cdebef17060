"""Damage to what is stored: a flipped bit, a file cut short. For stores in CNCF Distribution's layout.

There is no healing step: pushing the right bytes again has to heal (property P9).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.targets.base import TargetError

Stored = Literal["content", "layer", "revision", "tag"]
"""``content``: the bytes of a blob or a manifest. The others are links, which hold a digest: of a blob to its
repository, of a manifest to its repository, of a tag to its manifest."""

ROOT = "docker/registry/v2"

_PLACES: dict[Stored, Callable[[str, str, str, str], str]] = {
    "content": lambda repo, tag, alg, hex: f"blobs/{alg}/{hex[:2]}/{hex}/data",
    "layer": lambda repo, tag, alg, hex: f"repositories/{repo}/_layers/{alg}/{hex}/link",
    "revision": lambda repo, tag, alg, hex: f"repositories/{repo}/_manifests/revisions/{alg}/{hex}/link",
    "tag": lambda repo, tag, alg, hex: f"repositories/{repo}/_manifests/tags/{tag}/current/link",
}


def available(storage: Path) -> str | None:
    """``None`` where a store of this layout is below the folder, else why not, in a line."""
    if (storage / ROOT).is_dir():
        return None
    return (
        f"there is no {ROOT} below {storage}: only stores in the layout of CNCF Distribution can be damaged"
    )


def find(storage: Path, what: Stored, *, digest: str = "", repo: str = "", tag: str = "") -> Path:
    """The file that is stored of something. Content that is kept under another digest (Distribution keeps
    sha512 blobs by their sha256) is found through the links of `repo`. Raises `TargetError`: no such file."""
    root = storage / ROOT
    alg, _, hex = digest.partition(":")
    path = root / _PLACES[what](repo, tag, alg, hex)
    if path.is_file():
        return path
    if what == "content" and repo:
        for link in ("layer", "revision"):
            linked = _linked(root / _PLACES[link](repo, tag, alg, hex))
            if linked not in ("", digest):
                return find(storage, what, digest=linked)
    raise TargetError(f"{what} of {digest or f'{repo}:{tag}'} is not stored: there is no {path}")


def flip(path: Path, byte: int, bit: int = 0) -> None:
    """Flip a bit (0 to 7, of weight 2 ** bit) in a byte; a negative `byte` counts from the end. Raises
    `TargetError`."""
    with _Open(path) as (fd, size_bytes):
        at = byte if byte >= 0 else size_bytes + byte
        if not 0 <= at < size_bytes:
            raise TargetError(f"no byte {byte} to flip: {path} has {size_bytes}")
        os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 1 << bit]), at)


def truncate(path: Path, size_bytes: int) -> None:
    """Cut a file to so many bytes. Raises `TargetError` where it has no more than that."""
    with _Open(path) as (fd, had_bytes):
        if not 0 <= size_bytes < had_bytes:
            raise TargetError(f"not cut to {size_bytes} bytes: {path} has {had_bytes}")
        os.ftruncate(fd, size_bytes)


class _Open:
    """A file open for changes, and its size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> tuple[int, int]:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise TargetError(f"{self._path} cannot be damaged: {error.strerror}") from None
        return self._fd, os.fstat(self._fd).st_size

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _linked(link: Path) -> str:
    try:
        return link.read_text()
    except OSError:
        return ""
