"""URLs of registries and what they redirect to (RFC 3986, RFC 9110 section 4.2)."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._~-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._~-]+)?")


class BadUrl(ValueError):
    """A URL that cannot be used; its text is one line that says what to write instead."""


class Url(NamedTuple):
    """Where to connect, and what to ask for there.

    ``host`` has no brackets; ``target`` is the origin-form, fragment removed; ``authority`` is what
    the Host header says: brackets around IPv6, no zone, and no port where it is the scheme's own.
    """

    scheme: str
    host: str
    port: int
    target: str
    authority: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials and kept connections belong to."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """An absolute http or https URL. Raises `BadUrl`."""
    if any(not "!" <= character <= "~" for character in text):
        raise BadUrl(f"the URL {text!r} holds a space, a control character or a letter outside ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"the URL {text!r} cannot be read: {error}") from None
    if parts.scheme not in PORTS or not text[len(parts.scheme) :].startswith("://"):
        raise BadUrl(f"the URL {text!r} has to begin with http:// or https://, as in http://127.0.0.1:5000")
    if "@" in parts.netloc:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        raise BadUrl(f"the URL holds a user name: write {shown} and give the credentials separately")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise BadUrl(f"the URL {text!r} has no usable host, as in http://127.0.0.1:5000")
    if port == 0:
        raise BadUrl(f"the URL {text!r} has port 0; nothing can listen there")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host.partition('%')[0]}]" if ":" in host else host
    if port is not None and port != PORTS[parts.scheme]:
        shown = f"{shown}:{port}"
    return Url(parts.scheme, host, port or PORTS[parts.scheme], target, shown)


def parse_base(text: str) -> Url:
    """The URL of a registry: scheme, host, port, and nothing else. Raises `BadUrl`."""
    if "://" not in text:
        raise BadUrl(f"the URL {text!r} has no scheme: write http://{text} or https://{text}")
    url = parse_url(text)
    if url.target != "/":
        raise BadUrl(f"the URL {text!r} has a path: write {url.scheme}://{url.authority}, /v2/ is added")
    return url


def resolve(base: Url, target: str) -> Url:
    """A request's target on a base: an absolute URL, or an origin-form. Raises `BadUrl`."""
    if target.startswith("/") and not target.startswith("//"):
        return Url(base.scheme, base.host, base.port, target, base.authority)
    if "://" not in target:
        raise BadUrl(f"the target {target!r} is neither an absolute URL nor a path that begins with /")
    return parse_url(target)


def follow(here: Url, location: str) -> Url:
    """Where a Location leads, seen from the URL that sent it (RFC 9110 section 10.2.2). Raises
    `BadUrl`."""
    try:
        return parse_url(urljoin(str(here), location))
    except BadUrl:
        raise
    except ValueError as error:
        raise BadUrl(f"the Location {location!r} cannot be read: {error}") from None
