"""What an operator says about authentication: plain values, checked when an Authorizer is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

EVERY_ACCOUNT = "*"
NO_ACCOUNT = "anonymous"
RESERVED_NAMES = frozenset({EVERY_ACCOUNT, NO_ACCOUNT})


class BadSettings(ValueError):
    """A setting that cannot be used: one line that begins with its key, such as ``auth.htpasswd``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows ``actions`` (pull, push, delete, catalog) to an account.

    ``account`` is a name, ``*`` for everyone who is logged in, or ``anonymous`` for everyone.  In
    ``repository``, ``*`` stands for any part of one path component, ``**`` for anything.
    ``catalog`` concerns the registry as a whole, so it needs the repository ``**``.
    """

    account: str
    repository: str = "**"
    actions: tuple[str, ...] = ("pull",)


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """The token endpoint ``/token``.

    ``signing_key`` is a PEM file with a private key (EC on P-256, or RSA); one is made there if there is
    none.
    """

    enabled: bool = False
    signing_key: str | None = None
    lifetime_s: int = 300


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """``htpasswd`` has the accounts (basic, and the token endpoint); bcrypt hashes only.

    ``realm``: a name for people (basic; "registry" if empty), or the URL of the token server (bearer).
    ``service`` is who tokens are for (``aud``), ``issuer`` who they are from (``iss``; if empty, and tokens
    are issued here, the service).  ``keys`` is a JWKS file, a PEM file or a folder of PEM files, with
    the public keys that tokens may be signed with.  Without ``rules`` every account may do everything.
    """

    kind: Literal["none", "basic", "bearer"] = "none"
    htpasswd: str | None = None
    realm: str = ""
    service: str = "registry"
    issuer: str = ""
    keys: str | None = None
    clock_skew_s: float = 60.0
    anonymous_pull: bool = False
    rules: tuple[Rule, ...] = ()
    token: TokenSettings = field(default_factory=TokenSettings)
