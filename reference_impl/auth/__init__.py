"""Who may do what.  The HTTP handlers ask an ``Authorizer`` before anything else."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from .base import Authorizer, Clock
from .none import Everyone
from .rights import Rights
from .settings import NO_ACCOUNT, AuthSettings, BadSettings

if TYPE_CHECKING:
    from .htpasswd import Htpasswd
    from .keys import Signer
    from .token import TokenIssuer
    from .watched import Watched

__all__ = ["AuthSettings", "Authorizer", "BadSettings", "build"]

_CLOCK_SKEW_MAX_S = 3600
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*")
_URL = re.compile(r"https?://[^\s/?#]+\S*")


def build(settings: AuthSettings, clock: Clock = time.time_ns) -> Authorizer:
    """Return what decides by these settings.  Reads files, may write the signing key.  Raises BadSettings."""
    for name in ("realm", "service", "issuer"):
        if not _QUOTABLE.fullmatch(getattr(settings, name)):
            raise BadSettings(
                f"auth.{name}: only printable ASCII without quotes and backslashes goes into a header"
            )
    if not 0 <= settings.clock_skew_s <= _CLOCK_SKEW_MAX_S:  # neither is "not a number"
        raise BadSettings(f"auth.clock_skew_s: must be 0 to {_CLOCK_SKEW_MAX_S}")
    _refuse_what_has_no_use(settings)
    if settings.kind == "none":
        return Everyone()
    rights = Rights(settings.rules, anonymous_pull=settings.anonymous_pull)
    return _basic(settings, rights) if settings.kind == "basic" else _bearer(settings, rights, clock)


def _refuse_what_has_no_use(settings: AuthSettings) -> None:
    """An operator who sets something believes that it protects: say so if it does not."""
    unused = {
        "none": ("htpasswd", "keys", "rules", "anonymous_pull", "token"),
        "basic": ("keys", "token"),
        "bearer": () if settings.token.enabled else ("htpasswd",),
    }[settings.kind]
    for name in unused:
        value = settings.token.enabled if name == "token" else getattr(settings, name)
        if value:
            raise BadSettings(
                f"auth.{name}: has no effect with auth.kind = {settings.kind!r}" + _WITHOUT[name]
            )
    if settings.kind == "bearer" and not settings.token.enabled:
        for number, rule in enumerate(settings.rules, 1):
            if rule.account != NO_ACCOUNT:
                raise BadSettings(
                    f"auth.rules: rule {number} has no effect: what {rule.account!r} may do is decided by the"
                    " token server; enable auth.token to decide here"
                )


_WITHOUT = {
    "htpasswd": ": choose 'basic', or 'bearer' with auth.token enabled",
    "keys": ": choose 'bearer'",
    "rules": ": choose 'basic' or 'bearer'",
    "anonymous_pull": ": everyone may do everything; choose 'basic' or 'bearer'",
    "token": ": choose 'bearer'",
}


def _accounts(path: str) -> Htpasswd:
    from .htpasswd import Htpasswd

    return Htpasswd("auth.htpasswd", path)


def _basic(settings: AuthSettings, rights: Rights) -> Authorizer:
    from .basic import Basic

    if settings.htpasswd is None:
        raise BadSettings("auth.htpasswd: missing: auth.kind = 'basic' needs a file made with 'htpasswd -B'")
    return Basic(_accounts(settings.htpasswd), rights, settings.realm or "registry")


def _bearer(settings: AuthSettings, rights: Rights, clock: Clock) -> Authorizer:
    from .bearer import Bearer, Verifier
    from .keys import Keys, load_keys
    from .watched import Watched

    if not _URL.fullmatch(settings.realm):
        raise BadSettings(
            f"auth.realm: {settings.realm!r} is not the URL of a token server, such as https://HOST/token"
        )
    if not settings.service:
        raise BadSettings("auth.service: missing: it says whom tokens are for")
    issuer = settings.issuer or (settings.service if settings.token.enabled else "")
    if not issuer:
        raise BadSettings("auth.issuer: missing: it says whose tokens count")
    known = None if settings.keys is None else Watched[Keys]("auth.keys", settings.keys, load_keys, {})
    signer = _signer(settings) if settings.token.enabled else None
    if known is None and signer is None:
        raise BadSettings("auth.keys: missing: give the token server's public keys, or enable auth.token")

    def keys() -> Keys:
        here = None if signer is None else signer.current()
        others = {} if known is None else known.current()
        return others if here is None else others | here.keys

    verifier = Verifier(
        keys, issuer=issuer, service=settings.service, clock_skew_s=settings.clock_skew_s, clock=clock
    )
    tokens = None if signer is None else _issuer(settings, signer, rights, issuer, clock)
    return Bearer(verifier, rights, realm=settings.realm, service=settings.service, tokens=tokens)


def _signer(settings: AuthSettings) -> Watched[Signer | None]:
    from .keys import Signer, ensure_signing_key, load_signer
    from .watched import Watched

    path = settings.token.signing_key
    if path is None:
        raise BadSettings("auth.token.signing_key: missing: give a file; a key is made there if it is absent")
    try:
        ensure_signing_key(path)
    except OSError as error:
        raise BadSettings(f"auth.token.signing_key: cannot make {path}: {error.strerror}") from None
    return Watched[Signer | None]("auth.token.signing_key", path, load_signer, None)


def _issuer(
    settings: AuthSettings, signer: Watched[Signer | None], rights: Rights, issuer: str, clock: Clock
) -> TokenIssuer:
    from .token import TokenIssuer

    if settings.htpasswd is None and not rights.give_anonymous_anything():
        raise BadSettings("auth.htpasswd: missing: without accounts auth.token could give nobody anything")
    if settings.token.lifetime_s < 1:
        raise BadSettings("auth.token.lifetime_s: must be at least 1")
    return TokenIssuer(
        signer.current,
        None if settings.htpasswd is None else _accounts(settings.htpasswd),
        rights,
        issuer=issuer,
        service=settings.service,
        lifetime_s=settings.token.lifetime_s,
        clock=clock,
    )
