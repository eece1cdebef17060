"""WWW-Authenticate: several challenges in one field or in many (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(
    rf"[\s,]*(?:(?P<name>{_TOKEN})\s*=\s*"
    rf'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>{_TOKEN})(?=\s*(?:,|$)))'
    rf"|(?P<scheme>{_TOKEN}+)(?!\s*=)"
    r"(?:[ \t]+(?P<token68>[A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?)"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: its scheme and the names of its parameters in lower case, the values
    unquoted."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """The challenges of all fields in order. What cannot be read ends its field; what came before
    it counts."""
    found: list[Challenge] = []
    for text in fields:
        position = 0
        inside: Challenge | None = None
        while match := _PART.match(text, position):
            position = match.end()
            if match["scheme"] is not None:
                inside = Challenge(match["scheme"].lower())
                found.append(inside)
            elif inside is None:
                break
            else:
                quoted = match["quoted"]
                value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                inside.parameters.setdefault(match["name"].lower(), value)
    return found
