"""What is known of an unfinished file: the metadata of its object, and what that means for its size.

A file that is appended to is an object whose body is the file's *tail* and whose metadata say what comes
before: nothing, or the begin of another object, the *base*, or parts of a multipart upload.  So a short
file is an object like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from uuid import uuid4

from ..base import DriverError

METADATA_KEY = "append"
_COMFORTABLE_CHARS = 1400
"""S3 has room for 2 KB of metadata."""
_PART_MAX_BYTES = 4 << 30
_GROWTH = ((8000, 1), (9000, 8), (10_000, 64))
"""Up to which number parts have which multiple of the first part's size: 1.2 TiB for parts of 16 MiB."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload; ``token`` names the key of the object that it becomes."""

    token: str
    id: str


@dataclass(frozen=True, slots=True)
class State:
    """``token`` names the local spool.  ``kept`` are the numbers of the parts that count.

    A part with a number from ``next_part`` on counts, too, if it is whole and so are all between.  It was
    uploaded after this was stored, and then the tail is in it: the stored tail is void.
    """

    token: str
    part_bytes: int
    base: str | None = None
    base_bytes: int = 0
    upload: Upload | None = None
    kept: tuple[int, ...] = ()
    next_part: int = 1

    @property
    def offset(self) -> int:
        """Where the tail begins."""
        return self.base_bytes + sum(self.part_size(number) for number in self.kept)

    def part_size(self, number: int) -> int:
        factor = next((factor for last, factor in _GROWTH if number <= last), 0)
        return min(factor * self.part_bytes, _PART_MAX_BYTES)

    def with_part(self, number: int) -> State:
        return replace(self, kept=(*self.kept, number), next_part=number + 1)

    @property
    def is_crowded(self) -> bool:
        """Whether so many runs of parts are kept that they should become one base."""
        return len(self.metadata()[METADATA_KEY]) > _COMFORTABLE_CHARS

    def metadata(self) -> dict[str, str]:
        fields: dict[str, Any] = {"token": self.token, "part_bytes": self.part_bytes}
        if self.base is not None:
            fields |= {"base": self.base, "base_bytes": self.base_bytes}
        if self.upload is not None:
            fields |= {"parts": self.upload.token, "upload": self.upload.id}
            fields |= {"kept": list(_ranges(self.kept)), "next": self.next_part}
        return {METADATA_KEY: json.dumps(fields, separators=(",", ":"))}


def fresh(part_bytes: int) -> State:
    return State(new_token(), part_bytes)


def new_token() -> str:
    return uuid4().hex


def parse(metadata: Mapping[str, str]) -> State | None:
    """Read an object's metadata; None if it is not an unfinished file.  Raises DriverError."""
    text = metadata.get(METADATA_KEY)
    if text is None:
        return None
    try:
        fields = json.loads(text)
        upload = fields.get("upload")
        return State(
            fields["token"],
            fields["part_bytes"],
            fields.get("base"),
            fields.get("base_bytes", 0),
            None if upload is None else Upload(fields["parts"], upload),
            tuple(_numbers(fields.get("kept", []))),
            fields.get("next", 1),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DriverError(f"metadata of an unfinished file cannot be read: {text!r}") from error


def _ranges(numbers: Iterable[int]) -> Iterator[list[int]]:
    for _, group in groupby(enumerate(numbers), key=lambda one: one[1] - one[0]):
        run = [number for _, number in group]
        yield [run[0], run[-1]]


def _numbers(ranges: Iterable[list[int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)
