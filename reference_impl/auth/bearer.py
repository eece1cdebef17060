"""Bearer tokens, the way registries do it (Distribution's token authentication specification).

A token is a JWT (RFC 7519) from an issuer whose keys are known.  What it says in ``access`` bounds what may
be done; the registry itself only knows what may be done without any token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from .base import ANONYMOUS, Access, Account, Clock, Unauthorized
from .keys import Key, Keys
from .remembered import Remembered
from .rights import Rights
from .scopes import Granted, write_scopes
from .token import TokenIssuer

_FAR_FUTURE_S = 1e12


class BadToken(Exception):
    """A token that does not count; the reason has nothing of the token in it."""


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature, issuer and audience were found good; times in seconds since the epoch."""

    key_id: str
    key: Key
    subject: str
    granted: Granted
    not_before_s: float
    good_until_s: float


class Verifier:
    """Tells good tokens from bad ones.  ``keys`` returns the keys that are good now."""

    def __init__(
        self, keys: Callable[[], Keys], *, issuer: str, service: str, clock_skew_s: float, clock: Clock
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._service = service
        self._clock_skew_s = clock_skew_s
        self._clock = clock
        self._good: Remembered[_Verified] = Remembered()

    def is_known(self, token: str) -> bool:
        return self._good.get(self._good.key(token)) is not None

    def verify(self, token: str) -> tuple[Account, Granted]:
        """Return whose token it is, and what it allows.  Raises BadToken."""
        keys = self._keys()
        remembered = self._good.key(token)
        verified = self._good.get(remembered)
        if verified is None or keys.get(verified.key_id) is not verified.key:
            verified = self._read(token, keys)
            self._good.put(remembered, verified)
        now_s = self._clock() / 1e9
        if now_s - self._clock_skew_s >= verified.good_until_s:
            raise BadToken("the token has expired")
        if now_s + self._clock_skew_s < verified.not_before_s:
            raise BadToken("the token is not valid yet: do the clocks agree?")
        return Account(verified.subject or None), verified.granted

    def _read(self, token: str, keys: Keys) -> _Verified:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = keys.get(kid) if isinstance(kid, str) else None
            if key is None or not isinstance(kid, str):
                raise BadToken("the token is signed with a key (kid) that is not known here")
            # The key decides on the algorithm, not the token.  Times are ours to check, by our clock.
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self._service,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "exp"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise BadToken(_WHY.get(type(error), "the token cannot be read")) from None
        subject = claims.get("sub", "")
        if not isinstance(subject, str) or not subject.isprintable():
            raise BadToken("the token's subject (sub) is not a name")
        not_before_s = max(_time_s(claims, "nbf"), _time_s(claims, "iat"))
        granted = Granted(claims.get("access"))
        return _Verified(kid, key, subject, granted, not_before_s, _time_s(claims, "exp"))


class Bearer:
    """``realm`` is the URL of the token server."""

    def __init__(
        self,
        verifier: Verifier,
        rights: Rights,
        *,
        realm: str,
        service: str,
        tokens: TokenIssuer | None = None,
    ) -> None:
        self._verifier = verifier
        self._rights = rights
        self._challenge = f'Bearer realm="{realm}",service="{service}"'
        self.tokens = tokens

    def may_block(self, headers: Mapping[str, str]) -> bool:
        token = _token(headers)
        return token is not None and not self._verifier.is_known(token)

    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> Account:
        token = _token(headers)
        if token is None:
            if all(self._rights.allow(None, access) for access in wanted):
                return ANONYMOUS
            raise Unauthorized(self._ask(wanted))
        try:
            account, granted = self._verifier.verify(token)
        except BadToken as error:
            raise Unauthorized(self._ask(wanted, "invalid_token"), str(error)) from None
        if not all(granted.allow(access) for access in wanted):
            raise Unauthorized(self._ask(wanted, "insufficient_scope"))
        return account

    def _ask(self, wanted: Sequence[Access], error: str = "") -> str:
        """The challenge: where to get a token, and for what."""
        challenge = self._challenge
        if scopes := write_scopes(wanted):
            challenge += f',scope="{scopes}"'
        if error:
            challenge += f',error="{error}"'
        return challenge


_WHY: dict[type[Exception], str] = {
    jwt.InvalidAlgorithmError: "the token is not signed in the way that belongs to its key",
    jwt.InvalidSignatureError: "the token's signature is wrong",
    jwt.InvalidAudienceError: "the token is for another service (aud)",
    jwt.MissingRequiredClaimError: "the token lacks iss, aud or exp",
    jwt.InvalidIssuerError: "the token is from another issuer (iss)",
}


def _token(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _time_s(claims: Mapping[str, Any], name: str) -> float:
    """Read a time; minus infinity if there is none."""
    value = claims.get(name, -math.inf)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"the token's time {name} is not a number")
    if not value < _FAR_FUTURE_S:  # infinite, not a number, or too large for a float
        raise BadToken(f"the token's time {name} is not a time")
    return float(value)
