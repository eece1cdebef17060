"""Accounts in an htpasswd file: a line ``name:hash`` for each, bcrypt only (``htpasswd -B``)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

import bcrypt

from .base import ANONYMOUS, Account
from .remembered import Remembered
from .settings import RESERVED_NAMES
from .watched import BadFile, Watched

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_PASSWORD_MAX_BYTES = 72
"""bcrypt looks at no more; ``htpasswd`` cuts there as well."""
_COST_DEFAULT = 10


class BadLogin(Exception):
    """Wrong or unreadable credentials.  Says nothing more: which part is wrong is nobody's business."""


class Htpasswd:
    """The accounts of a file, read again whenever it changes.  Raises BadSettings."""

    def __init__(self, setting: str, path: str) -> None:
        self._hashes = Watched[dict[str, str]](setting, path, _load, {})
        self._good: Remembered[bool] = Remembered()

    def may_block(self, headers: Mapping[str, str]) -> bool:
        """Whether ``login`` has to hash a password, which takes long on purpose."""
        try:
            given = credentials(headers)
        except BadLogin:
            return False
        if given is None:
            return False
        stored = self._hashes.current().get(given[0])
        return stored is None or self._good.get(self._good.key(*given, stored)) is None

    def login(self, headers: Mapping[str, str]) -> Account:
        """Return whose credentials the Authorization header has.  Raises BadLogin."""
        given = credentials(headers)
        return ANONYMOUS if given is None else self.check(*given)

    def check(self, name: str, password: str) -> Account:
        """Return the account.  Raises BadLogin."""
        hashes = self._hashes.current()
        stored = hashes.get(name)
        if stored is None:
            # As much work as for a name that there is, so that time does not tell them apart.
            _matches(password, _nobodys(hashes))
            raise BadLogin
        key = self._good.key(name, password, stored)  # with the hash: a changed one is checked anew
        if self._good.get(key) is None:
            if not _matches(password, stored):
                raise BadLogin
            self._good.put(key, True)
        return Account(name)


def credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Read name and password from an Authorization header (RFC 7617); None if there are none.

    skopeo sends an empty name and password when it has none.  Raises BadLogin.
    """
    header = headers.get("authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise BadLogin
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadLogin from None
    name, colon, password = pair.partition(":")
    if not colon:
        raise BadLogin
    return (name, password) if name or password else None


def _matches(password: str, stored: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:_PASSWORD_MAX_BYTES], stored.encode())
    except ValueError:  # of a hash's form, and not one
        return False


def _nobodys(hashes: Mapping[str, str]) -> str:
    """A hash that no password has, as costly as the costliest there is."""
    cost = max((int(one[4:6]) for one in hashes.values()), default=_COST_DEFAULT)
    return f"$2b${cost:02d}${'.' * 53}"


def _load(path: str) -> dict[str, str]:
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise BadFile(f"{where}: not UTF-8") from None
        if not text or text.startswith("#"):
            continue
        name, colon, stored = text.partition(":")
        if not colon or not name:
            raise BadFile(f"{where}: not of the form name:hash")
        if name in RESERVED_NAMES:
            raise BadFile(f"{where}: the name {name!r} has a meaning in rules: take another")
        if name in hashes:
            raise BadFile(f"{where}: {name!r} is there already")
        if not _BCRYPT.fullmatch(stored):
            raise BadFile(f"{where}: the hash of {name!r} is not bcrypt: make it with 'htpasswd -B'")
        hashes[name] = stored
    return hashes


def entry(name: str, password: str, cost: int = _COST_DEFAULT) -> str:
    """Return a line of the file.  Raises ValueError."""
    if not name or ":" in name or name in RESERVED_NAMES or not name.isprintable():
        raise ValueError(f"{name!r} cannot be the name of an account")
    secret = password.encode()
    if not secret or len(secret) > _PASSWORD_MAX_BYTES:
        raise ValueError(f"a password has 1 to {_PASSWORD_MAX_BYTES} bytes")
    return f"{name}:{bcrypt.hashpw(secret, bcrypt.gensalt(cost)).decode('ascii')}"
