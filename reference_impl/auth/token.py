"""Issuing tokens: who gets one, and for what.  Knows no HTTP but its headers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import jwt

from .base import ANONYMOUS, Access, Account, Clock, Unauthorized
from .basic import basic_challenge
from .htpasswd import BadLogin, Htpasswd, credentials
from .keys import Signer
from .rights import Rights
from .scopes import read_scopes, write_claim, write_scopes


class AnotherService(Exception):
    """A token is asked for that is not for this registry."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and what is said along with it; ``issued_at`` by RFC 3339, ``scope`` what it is good for."""

    token: str
    issued_at: str
    lifetime_s: int
    scope: str


class TokenIssuer:
    """Grants what is asked for as far as an account has the rights.

    ``signer`` returns the key to sign with now.  Without ``accounts`` there is nobody but anonymous.
    """

    def __init__(
        self,
        signer: Callable[[], Signer | None],
        accounts: Htpasswd | None,
        rights: Rights,
        *,
        issuer: str,
        service: str,
        lifetime_s: int,
        clock: Clock,
    ) -> None:
        self._signer = signer
        self._accounts = accounts
        self._rights = rights
        self._issuer = issuer
        self._service = service
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._challenge = basic_challenge(service)

    def login(self, headers: Mapping[str, str]) -> Account:
        """Return whose credentials the headers have.  May block.  Raises Unauthorized."""
        try:
            given = credentials(headers)
        except BadLogin:
            raise Unauthorized(self._challenge) from None
        return ANONYMOUS if given is None else self.check(*given)

    def check(self, name: str, password: str) -> Account:
        """Return the account.  May block.  Raises Unauthorized."""
        try:
            if self._accounts is None:
                raise BadLogin
            return self._accounts.check(name, password)
        except BadLogin:
            raise Unauthorized(self._challenge) from None

    def grant(self, account: Account, service: str | None, scopes: Iterable[str]) -> Grant:
        """Issue a token for as much of the scopes as the account may do.

        Raises AnotherService; Unauthorized for anonymous if that is nothing.
        """
        if service is not None and service != self._service:
            raise AnotherService
        granted = [
            Access(access.repository, actions)
            for access in read_scopes(scopes)
            if (actions := self._rights.granted(account.name, access))
        ]
        if account.name is None and not granted:
            raise Unauthorized(self._challenge)
        return self._sign(account, granted)

    def _sign(self, account: Account, granted: list[Access]) -> Grant:
        signer = self._signer()
        if signer is None:
            raise RuntimeError("no token can be issued: the file with the signing key is gone")
        now_s = self._clock() // 1_000_000_000
        claims = {
            "iss": self._issuer,
            "sub": account.name or "",
            "aud": self._service,
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + self._lifetime_s,
            "jti": uuid.uuid4().hex,
            "access": write_claim(granted),
        }
        token = jwt.encode(claims, signer.private, signer.algorithm, {"kid": signer.kid})
        issued_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
        return Grant(token, issued_at, self._lifetime_s, write_scopes(granted))
