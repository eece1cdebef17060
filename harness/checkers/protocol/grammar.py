"""What names, tags, digests and numbers look like, and what almost looks like them.

A case of the table says from which *domain* its inputs ``a``, ``b`` and ``n`` are. A domain is a predicate:
the strategies draw from it, and a verdict is only given while it holds, so that a shrinker that replaces an
input by a simpler one cannot turn a legal request into a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
COMPONENT = re.compile(_COMPONENT)
NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
REGISTERED: dict[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}
"""Algorithms that registries know, and the number of hexadecimal digits."""
_HEX = re.compile(r"[0-9a-f]*")
_CHUNK = re.compile(r"([0-9]+)-([0-9]+)")

TAG_CHARACTERS = 128
NAME_CHARACTERS = 255
METHODS = ("BREW", "PROPFIND", "PATCH", "PUT", "POST", "DELETE")
"""Methods that a tag list does not have."""


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it is a digest by the grammar and, where the algorithm is a known one, by its rules too."""
    if DIGEST.fullmatch(text) is None:
        return False
    algorithm, _, encoded = text.partition(":")
    digits = REGISTERED.get(algorithm)
    return digits is None or (len(encoded) == digits and _HEX.fullmatch(encoded) is not None)


def is_bad_digest(text: str) -> bool:
    """Something with a colon that is no digest; never with a slash, which would end the path segment."""
    return ":" in text and "/" not in text and not is_digest(text)


def is_unknown_algorithm(text: str) -> bool:
    return is_digest(text) and text.partition(":")[0] not in REGISTERED


def is_bad_component(text: str) -> bool:
    """One path segment that no repository may be called, and that no router normalises away. A leading
    underscore is left out: it belongs to extensions."""
    if not text or "/" in text or text in (".", "..") or text.startswith("_"):
        return False
    return COMPONENT.fullmatch(text) is None


def is_bad_tag(text: str) -> bool:
    """One path segment that is neither a tag nor meant as a digest."""
    if not text or "/" in text or ":" in text or text in (".", ".."):
        return False
    return not is_tag(text)


def is_bad_chunk_range(text: str) -> bool:
    """A ``Content-Range`` of no chunk: not ``<first>-<last>``, or its last byte comes before its first."""
    found = _CHUNK.fullmatch(text)
    return found is None or int(found[2]) < int(found[1])


def header_safe(text: str) -> bool:
    """Whether it can be sent as a header's value."""
    return text == text.strip() and all(" " <= character <= "~" for character in text)


def whole_number(text: str) -> int | None:
    """The number that a query parameter says; `None` where it is no decimal without a sign."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 100 else None


TEXT_DOMAINS: dict[str, Callable[[str], bool]] = {
    "any": lambda text: True,
    "bad-component": is_bad_component,
    "bad-path": lambda text: bool(text) and not is_name(text),
    "bad-tag": is_bad_tag,
    "long-tag": lambda text: len(text) > TAG_CHARACTERS and is_tag(text[:TAG_CHARACTERS]) and "/" not in text,
    "longest-tag": lambda text: len(text) == TAG_CHARACTERS and is_tag(text),
    "tag": is_tag,
    "bad-digest": is_bad_digest,
    "unknown-algorithm": is_unknown_algorithm,
    "bad-chunk-range": lambda text: header_safe(text) and is_bad_chunk_range(text),
    "bad-range": header_safe,
    "limit": lambda text: True,
    "method": lambda text: text in METHODS,
    "session": lambda text: bool(text) and text not in (".", ".."),
    "media-type": header_safe,
}
NUMBER_DOMAINS: dict[str, Callable[[int], bool]] = {
    "over-255": lambda n: NAME_CHARACTERS < n <= 4096,
    "suffix": lambda n: 0 < n <= 1 << 16,
    "long": lambda n: 4096 <= n <= 1 << 15,
}
