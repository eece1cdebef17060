"""Answers to 401: basic (RFC 7617), and bearer tokens from a token server, the way registries do it
(CNCF Distribution's token authentication specification)."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from harness.wire.challenge import Challenge, parse_challenges
from harness.wire.credentials import Credentials
from harness.wire.message import Answer, Headers, Request
from harness.wire.url import BadUrl, Url, parse_url

LIFETIME_DEFAULT_S = 60.0
_MARGIN_S_MAX = 5.0
_REPOSITORY = re.compile(r"/v2/(.+)/(?:blobs|manifests|tags|referrers)/")
_RIGHTS = {"GET": "read", "HEAD": "read", "DELETE": "delete"}

Fetch = Callable[[Request], Answer]
TokenKey = tuple[str, str, str]
Need = tuple[str, str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Token:
    authorization: str
    good_until_s: float


class Authenticator:
    """Credentials for one registry, and the tokens they bought; shared between threads.

    A token is known by (realm, service, scope). It also remembers which token a kind of request
    (read, write, delete; the repository; the one mounted from) was answered with, so that only the
    first such request meets a 401: cuts and holds then fall into the request itself."""

    def __init__(
        self, credentials: Credentials | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._fetching: dict[TokenKey, threading.Lock] = {}
        self._tokens: dict[TokenKey, _Token] = {}
        self._granted: dict[Need, TokenKey] = {}
        self._basic: set[tuple[str, str, int]] = set()

    def header(self, method: str, url: Url) -> str | None:
        """The Authorization to send without being asked, as far as one is known that has not run
        out."""
        if not self._granted and not self._basic:
            return None
        with self._lock:
            key = self._granted.get(_need(method, url))
            if key is not None:
                return self._good(key)
            if url.origin in self._basic and self.credentials is not None:
                return self.credentials.basic()
        return None

    def answer(
        self, method: str, url: Url, headers: Headers, used: str | None, fetch: Fetch
    ) -> tuple[str | None, str]:
        """The Authorization to try after a 401 with these headers, or ``None`` and a line that says
        why not. ``used`` is what was sent and refused; ``fetch`` sends a request to a token
        server."""
        challenges = parse_challenges([value for name, value in headers if name == "www-authenticate"])
        why = "401 without a challenge of type Basic or Bearer"
        for challenge in challenges:
            if challenge.scheme == "bearer":
                authorization, why = self._bearer(challenge, method, url, used, fetch)
                if authorization is not None:
                    return authorization, ""
        for challenge in challenges:
            if challenge.scheme == "basic":
                if self.credentials is None:
                    return None, "401, and there are no credentials to give"
                authorization = self.credentials.basic()
                if authorization == used:
                    return None, f"401 with the credentials of {self.credentials.username}"
                with self._lock:
                    self._basic.add(url.origin)
                return authorization, ""
        return None, why

    def _bearer(
        self, challenge: Challenge, method: str, url: Url, used: str | None, fetch: Fetch
    ) -> tuple[str | None, str]:
        realm = challenge.parameters.get("realm", "")
        key = (realm, challenge.parameters.get("service", ""), challenge.parameters.get("scope", ""))
        with self._lock:
            fetching = self._fetching.setdefault(key, threading.Lock())
        with fetching:
            with self._lock:
                known = self._good(key)
            if known is None or known == used:
                token, why = self._buy(key, url, fetch)
                if token is None:
                    return None, why
                known = token.authorization
                with self._lock:
                    self._tokens[key] = token
        with self._lock:
            self._granted[_need(method, url)] = key
        return known, ""

    def _good(self, key: TokenKey) -> str | None:
        token = self._tokens.get(key)
        if token is None or token.good_until_s <= self._clock():
            return None
        return token.authorization

    def _buy(self, key: TokenKey, url: Url, fetch: Fetch) -> tuple[_Token | None, str]:
        realm, service, scope = key
        try:
            server = parse_url(realm)
        except BadUrl as error:
            return None, f"401 with a realm that cannot be used: {error}"
        if url.scheme == "https" and server.scheme == "http":
            return None, f"401 over https with the realm {server}: nothing is sent there in the clear"
        query = [("service", service)] if service else []
        query += [("scope", one) for one in scope.split()]
        headers: Headers = (("Accept", "application/json"),)
        if self.credentials is not None:
            query.append(("account", self.credentials.username))
            headers += (("Authorization", self.credentials.basic()),)
        asked = "&".join(f"{name}={quote(value, safe=':/')}" for name, value in query)
        target = str(server) + (("&" if "?" in server.target else "?") + asked if asked else "")
        asked_s = self._clock()
        answer = fetch(Request("GET", target, headers))
        if not answer.complete or answer.status != 200:
            said = answer.detail if answer.error else answer.status
            return None, f"401, and no token from {server}: {said}"
        return _read_token(answer.text, asked_s, str(server))


def _read_token(text: bytes | None, asked_s: float, server: str) -> tuple[_Token | None, str]:
    try:
        said: Any = json.loads(text or b"")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return None, f"401, and {server} answers with something else than a JSON object"
    value = said.get("token") or said.get("access_token")
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        return None, f"401, and {server} answers without a usable token"
    lifetime = said.get("expires_in")
    if isinstance(lifetime, int | float) and not isinstance(lifetime, bool):
        lifetime_s = float(lifetime)
    else:
        lifetime_s = LIFETIME_DEFAULT_S
    # Not used in its last moments: it would run out under way.
    good_s = lifetime_s - min(_MARGIN_S_MAX, lifetime_s / 10)
    return _Token(f"Bearer {value}", asked_s + good_s), ""


def _need(method: str, url: Url) -> Need:
    """What decides which scope a registry asks for."""
    path, _, query = url.target.partition("?")
    match = _REPOSITORY.match(path)
    mounted_from = tuple(parse_qs(query).get("from", ())) if "from=" in query else ()
    origin = f"{url.scheme}://{url.authority}"
    return origin, _RIGHTS.get(method, "write"), match[1] if match else path, mounted_from
