"""Where a user name and a password come from."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.wire.url import Url


class BadCredentials(ValueError):
    """Credentials that cannot be used; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password, which never shows in a repr."""

    username: str
    password: str = field(repr=False)

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617, in UTF-8)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def load_credentials(
    url: Url,
    username: str | None = None,
    password: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Credentials | None:
    """Those given, else SEATRIAL_USERNAME and SEATRIAL_PASSWORD, else Docker's for the host of
    ``url``, else ``None``. Raises `BadCredentials`."""
    if username is not None or password is not None:
        return _pair(username, password, "--username", "--password")
    return from_environment(environment) or from_docker(url, environment=environment)


def from_environment(environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """SEATRIAL_USERNAME and SEATRIAL_PASSWORD; ``None`` where neither is set. Raises
    `BadCredentials`."""
    username = environment.get("SEATRIAL_USERNAME") or None
    password = environment.get("SEATRIAL_PASSWORD") or None
    if username is None and password is None:
        return None
    return _pair(username, password, "SEATRIAL_USERNAME", "SEATRIAL_PASSWORD")


def from_docker(
    url: Url, path: Path | None = None, *, environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """The entry for the host of ``url`` under ``auths`` of Docker's config.json (in DOCKER_CONFIG,
    else in ~/.docker); ``None`` where there is no file or no entry. Credential helpers are not run:
    where only one of them knows the password, this raises `BadCredentials`."""
    if path is None:
        folder = environment.get("DOCKER_CONFIG")
        path = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadCredentials(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise BadCredentials(f"{path} is not a JSON object")
    known, entry = _entry(config.get("auths"), url)
    helper = _entry(config.get("credHelpers"), url)[1] or (config.get("credsStore") if known else None)
    if isinstance(entry, dict) and entry.get("auth"):
        return _decode(entry["auth"], path, url)
    if isinstance(entry, dict) and entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    if isinstance(entry, dict) and entry.get("identitytoken"):
        helper = helper or "an identity token"
    if helper:
        raise BadCredentials(
            f"{path} keeps the password for {url.authority} in {helper!r}, which is not supported:"
            " give --username and --password"
        )
    return None


def _pair(username: str | None, password: str | None, first: str, second: str) -> Credentials:
    if not username:
        raise BadCredentials(f"{second} is given without {first}")
    if password is None:
        raise BadCredentials(f"{first} is given without {second}")
    if ":" in username:
        raise BadCredentials("a user name cannot hold a colon (RFC 7617)")
    return Credentials(username, password)


def _entry(table: Any, url: Url) -> tuple[bool, Any]:
    """Whether a table of config.json has the host of ``url``, in any of its spellings, and what it
    says."""
    if not isinstance(table, dict):
        return False, None
    names = {url.authority, f"{url.authority}:{url.port}" if ":" not in url.authority else url.authority}
    if url.host in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        names |= {"docker.io", "index.docker.io", "registry-1.docker.io"}
    for key, value in table.items():
        bare = key.partition("://")[2] or key
        if bare.partition("/")[0] in names:
            return True, value
    return False, None


def _decode(auth: Any, path: Path, url: Url) -> Credentials:
    try:
        pair = base64.b64decode(auth, validate=True).decode()
    except (TypeError, binascii.Error, UnicodeDecodeError, ValueError):
        pair = ""
    username, colon, password = pair.partition(":")
    if not colon:
        raise BadCredentials(f"{path} holds an auth for {url.authority} that is not base64 of user:password")
    return Credentials(username, password.rstrip("\0"))
