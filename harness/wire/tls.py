"""What to trust."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass


class BadTls(ValueError):
    """A CA file that cannot be used; one line."""


@dataclass(frozen=True, slots=True)
class Tls:
    """``ca_file``: PEM certificates to trust instead of the system's. ``insecure``: accept every
    certificate."""

    ca_file: str | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Made once for each value: reading the system's certificates takes longer than many requests. Raises
        `BadTls`."""
        return _context(self)


@functools.lru_cache(maxsize=8)
def _context(tls: Tls) -> ssl.SSLContext:
    if tls.insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
        except ssl.SSLError:
            raise BadTls(f"the CA file {tls.ca_file} holds no certificate in PEM form") from None
        except OSError as error:
            raise BadTls(f"the CA file {tls.ca_file} cannot be read: {error.strerror}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
