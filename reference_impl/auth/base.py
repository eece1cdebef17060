"""The seam between the handlers and any scheme of authentication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

PULL = "pull"
PUSH = "push"
DELETE = "delete"
CATALOG = "*"

ACTIONS_BY_METHOD = {
    "GET": (PULL,),
    "HEAD": (PULL,),
    "POST": (PULL, PUSH),
    "PUT": (PULL, PUSH),
    "PATCH": (PULL, PUSH),
    "DELETE": (DELETE,),
}


@dataclass(frozen=True, slots=True)
class Access:
    """Something a request wants to do; no repository means the registry as a whole."""

    repository: str | None
    actions: tuple[str, ...]


class Unauthorized(Exception):
    """Nobody is logged in, or wrongly.  ``challenge`` is a WWW-Authenticate value."""

    def __init__(self, challenge: str) -> None:
        super().__init__(challenge)
        self.challenge = challenge


class Denied(Exception):
    """Whoever is logged in may not do that."""


class Authorizer(Protocol):
    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> None:
        """Return if all of ``wanted`` is allowed.  Raises Unauthorized, Denied."""
