"""HTTP basic authentication (RFC 7617) with accounts from an htpasswd file.

``GET /v2/`` is refused to whoever is not logged in, also where anonymous pull is on: only from that 401
do Docker, skopeo and crane learn that they have credentials to send, and after a 200 they would push
without any.  The price: Docker Engine itself then cannot pull without logging in (it gives up on a
basic challenge without credentials), while skopeo, crane, oras and containerd can.  Where Docker Engine is
to pull anonymously, take ``bearer`` with the token endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import Access, Account, Denied, Unauthorized
from .htpasswd import BadLogin, Htpasswd
from .rights import Rights


class Basic:
    tokens: None = None

    def __init__(self, accounts: Htpasswd, rights: Rights, realm: str) -> None:
        self._accounts = accounts
        self._rights = rights
        self._challenge = basic_challenge(realm)

    def may_block(self, headers: Mapping[str, str]) -> bool:
        return self._accounts.may_block(headers)

    def authorize(self, headers: Mapping[str, str], wanted: Sequence[Access]) -> Account:
        try:
            account = self._accounts.login(headers)
        except BadLogin:
            raise Unauthorized(self._challenge) from None
        if not all(self._rights.allow(account.name, access) for access in wanted):
            if account.name is None:
                raise Unauthorized(self._challenge)
            raise Denied
        return account


def basic_challenge(realm: str) -> str:
    return f'Basic realm="{realm}"'
