"""The seam between the handlers and any scheme of authentication."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # only where tokens are issued are the libraries for them loaded
    from .token import TokenIssuer

Clock = Callable[[], int]
"""Nanoseconds since the Unix epoch."""

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
class Account:
    """Who a request comes from; no name: nobody in particular."""

    name: str | None


ANONYMOUS = Account(None)


@dataclass(frozen=True, slots=True)
class Access:
    """Something a request wants to do.

    No repository means the registry as a whole: with ``CATALOG`` to list it, with no action only to
    be logged in.
    """

    repository: str | None
    actions: tuple[str, ...]


class Unauthorized(Exception):
    """Nobody is logged in, or wrongly.

    ``challenge`` is a WWW-Authenticate value; ``reason`` is for the client, and has no secret in it.
    """

    def __init__(self, challenge: str, reason: str | None = None) -> None:
        super().__init__(challenge)
        self.challenge = challenge
        self.reason = reason


class Denied(Exception):
    """Whoever is logged in may not do that."""


class Authorizer(Protocol):
    @property
    def tokens(self) -> TokenIssuer | None:
        """What the token endpoint works with, where there is one."""

    def may_block(self, headers: Mapping[str, str]) -> bool:
        """Whether ``authorize`` would take long, such as to hash a password: ask it in a thread."""

    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> Account:
        """Return who asks, if all of ``wanted`` is allowed.  Raises Unauthorized, Denied."""
