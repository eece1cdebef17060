"""Accounts, keys and tokens for the tests of authentication, and a client for an app in this process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reference_impl import auth
from reference_impl.api.app import build
from reference_impl.auth.settings import AuthSettings, TokenSettings
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry.store import Registry

Claims = dict[str, Any]
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

REALM = "https://tokens.example/token"
PASSWORDS = {"alice": "alice's secret", "bob": "bob's: secret ü"}
NOW_S = 1_800_000_000


class Clock:
    """Stands still unless it is moved."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return int(self.now_s * 1e9)


class Client:
    """Talks to an app without a server; each request is over when it returns."""

    def __init__(
        self, settings: AuthSettings, registry: Registry | None = None, clock: Clock | None = None
    ) -> None:
        self.authorizer = auth.build(settings) if clock is None else auth.build(settings, clock)
        self.app = build(registry or Registry(MemoryDriver()), authorizer=self.authorizer)
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://registry.example")

    def __call__(
        self, method: str, path: str, who: str | httpx.Auth | None = None, **options: Any
    ) -> httpx.Response:
        """``who`` is an account of PASSWORDS, or the value of an Authorization header."""
        if isinstance(who, str) and who in PASSWORDS:
            options["auth"] = (who.encode(), PASSWORDS[who].encode())
        elif isinstance(who, str):
            options["headers"] = {"Authorization": who.encode(), **options.get("headers", {})}
        return self._runner.run(self._client.request(method, path, **options))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


def hashed(password: str, cost: int = 4) -> str:
    """A bcrypt hash as ``htpasswd -B`` makes it."""
    return "$2y" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()[3:]


def replace(path: Path, data: bytes) -> None:
    """Change a file the way an editor does."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def htpasswd(folder: Path, passwords: dict[str, str] = PASSWORDS) -> str:
    path = folder / "htpasswd"
    lines = [f"{name}:{hashed(password)}\n" for name, password in passwords.items()]
    replace(path, "".join(["# accounts\n\n", *lines]).encode())
    return str(path)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public_pem(key: Private) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: Private) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def bearer_settings(keys: Path, **more: Any) -> AuthSettings:
    fixed: dict[str, Any] = {
        "realm": REALM,
        "service": "registry.example",
        "issuer": "issuer",
        "keys": str(keys),
    }
    return AuthSettings(kind="bearer", **fixed | more)


def issuing_settings(folder: Path, **more: Any) -> AuthSettings:
    """Bearer, with the token endpoint and the accounts of PASSWORDS."""
    fixed: dict[str, Any] = {
        "realm": "http://registry.example/token",
        "service": "registry.example",
        "htpasswd": htpasswd(folder),
        "token": TokenSettings(enabled=True, signing_key=str(folder / "signing.pem")),
    }
    return AuthSettings(kind="bearer", **fixed | more)


def token(
    key: Any, kid: str | None, access: Any = None, algorithm: str = "ES256", claims: Claims | None = None
) -> str:
    """A token as a token server issues it at NOW_S; a claim of value None is left out."""
    every = {
        "iss": "issuer", "aud": "registry.example", "sub": "alice",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 300, "access": access,
    } | (claims or {})  # fmt: skip
    kept = {name: value for name, value in every.items() if value is not None}
    return jwt.encode(kept, key, algorithm, {} if kid is None else {"kid": kid})


def by_hand(header: Mapping[str, Any], secret: bytes | None, claims: Claims) -> str:
    """A token that a library would refuse to make, signed with HMAC or not at all."""

    def encode(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = encode(json.dumps(header).encode()) + b"." + encode(json.dumps(claims).encode())
    signature = b"" if secret is None else hmac.digest(secret, signed, hashlib.sha256)
    return (signed + b"." + encode(signature)).decode()


def access(*scopes: str) -> list[dict[str, Any]]:
    """An access claim: ``access("a/b:pull,push", ...)``."""
    return [
        {"type": "repository", "name": name, "actions": actions.split(",")}
        for name, _, actions in (scope.partition(":") for scope in scopes)
    ]


def methods(app: Any) -> Iterable[tuple[str, str]]:
    """Every method of every endpoint that is for accounts, with a path that leads there."""
    filled = {
        "{name:path}": "team/app", "{digest}": "sha256:" + "a" * 64, "{reference}": "latest",
        "{session}": "00000000-0000-4000-8000-000000000000",
    }  # fmt: skip
    for route in app.routes:
        path = route.path
        if path in ("/healthz", "/readyz"):
            continue
        for parameter, value in filled.items():
            path = path.replace(parameter, value)
        for method in route.app.methods:
            yield method, path
