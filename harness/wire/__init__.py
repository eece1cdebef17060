"""Bytes to and from a registry: an HTTP/1.1 client that can be cut and held at any byte.

`Client.send` takes a `Request` and always gives back an `Answer`, whatever the peer does.
"""

from harness.wire.auth import Authenticator
from harness.wire.client import Client, Reply
from harness.wire.credentials import BadCredentials, Credentials, load_credentials
from harness.wire.message import Answer, Limits, Request, Source, Stop, bytes_source
from harness.wire.tls import BadTls, Tls
from harness.wire.transport import WireTransport
from harness.wire.url import BadUrl, Url, parse_base, parse_url

__all__ = [
    "Answer",
    "Authenticator",
    "BadCredentials",
    "BadTls",
    "BadUrl",
    "Client",
    "Credentials",
    "Limits",
    "Reply",
    "Request",
    "Source",
    "Stop",
    "Tls",
    "Url",
    "WireTransport",
    "bytes_source",
    "load_credentials",
    "parse_base",
    "parse_url",
]
