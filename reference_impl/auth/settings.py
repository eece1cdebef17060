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


def _about(text: str) -> dict[str, str]:
    """What a field's setting does, for the documentation."""
    return {"about": text}


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """The token endpoint ``/token``."""

    enabled: bool = field(
        default=False, metadata=_about("issue tokens at /token, for the accounts of htpasswd")
    )
    signing_key: str | None = field(
        default=None,
        metadata=_about("PEM file with a private key (EC on P-256, or RSA); made there if there is none"),
    )
    lifetime_s: int = field(default=300, metadata=_about("how long a token counts"))


@dataclass(frozen=True, slots=True)
class AuthSettings:
    kind: Literal["none", "basic", "bearer"] = field(
        default="none",
        metadata=_about("let everyone in, or ask for passwords, or for tokens (Docker's token protocol)"),
    )
    htpasswd: str | None = field(
        default=None,
        metadata=_about(
            "file with the accounts (basic, and auth.token): bcrypt only, as htpasswd -B makes them"
        ),
    )
    realm: str = field(
        default="", metadata=_about("a name for people (basic), or the URL of the token server (bearer)")
    )
    service: str = field(default="registry", metadata=_about("who tokens are for (their aud)"))
    issuer: str = field(
        default="",
        metadata=_about("who tokens are from (their iss); empty where they are issued here: the service"),
    )
    keys: str | None = field(
        default=None,
        metadata=_about("public keys of the tokens: a JWKS file, a PEM file or a folder of PEM files"),
    )
    clock_skew_s: float = field(default=60.0, metadata=_about("how far clocks of others may be off"))
    anonymous_pull: bool = field(
        default=False, metadata=_about("let everyone pull (Docker Engine can only with bearer)")
    )
    rules: tuple[Rule, ...] = field(
        default=(),
        metadata=_about(
            "tables of account, repository and actions (pull, push, delete, catalog);"
            " without any every account may do everything"
        ),
    )
    token: TokenSettings = field(default_factory=TokenSettings)
