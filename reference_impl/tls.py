"""The certificate of an HTTPS server, which can be renewed while it runs."""

from __future__ import annotations

import os
import ssl

from .auth.settings import BadSettings


class Certificate:
    """A certificate chain and its private key, both in PEM files.  Raises BadSettings."""

    def __init__(self, certificate: str, key: str | None) -> None:
        self._certificate = certificate
        self._key = key
        self.context = self._load(_context())

    def renew(self) -> None:
        """Read the files again, for new connections.  Raises BadSettings, and goes on as before."""
        self._load(_context())
        self._load(self.context)

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        for setting, path in (("http.tls_certificate", self._certificate), ("http.tls_key", self._key)):
            if path is not None:
                _check_readable(setting, path)
        try:
            context.load_cert_chain(self._certificate, self._key or None, password=_no_password)
        except ssl.SSLError as error:
            raise BadSettings(self._explain(error)) from None
        return context

    def _explain(self, error: ssl.SSLError) -> str:
        key = self._key or self._certificate
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"http.tls_key: {key} is not the key of the certificate in {self._certificate}"
        if not _is_certificate(self._certificate):
            return f"http.tls_certificate: {self._certificate}: no certificate in PEM form is in it"
        return f"http.tls_key: {key}: no private key in PEM form without a password is in it"


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Asked for when a key is encrypted; without this OpenSSL would ask on the terminal."""
    return ""


def _check_readable(setting: str, path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise BadSettings(f"{setting}: {path}: {error.strerror}") from None


def _is_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return True
