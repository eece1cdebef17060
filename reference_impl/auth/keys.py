"""Public keys that tokens may be signed with, and the private key that ours are."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from .watched import BadFile

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

ES256, RS256 = "ES256", "RS256"
_RSA_MIN_BITS = 2048
_PEM_ENDINGS = (".pem", ".crt", ".pub")
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and the one algorithm that it is good for."""

    algorithm: str
    public: PublicKey


Keys = dict[str, Key]
"""Keys by each id (``kid``) that they may be called by."""


@dataclass(frozen=True, slots=True)
class Signer:
    """``kid`` is the public key's thumbprint (RFC 7638)."""

    kid: str
    algorithm: str
    private: PrivateKey
    keys: Keys


def load_keys(path: str) -> Keys:
    """Read a JWKS file, a PEM file (keys and certificates), or a folder of PEM files.

    A key from PEM is known by its file's name without the ending, its thumbprint (RFC 7638), and the
    fingerprint that older token servers use (libtrust).  Raises BadFile, OSError.
    """
    if os.path.isdir(path):
        found: Keys = {}
        for entry in sorted(os.listdir(path)):
            if entry.endswith(_PEM_ENDINGS) and not entry.startswith("."):
                found |= _load_pem(f"{path}/{entry}")
        if not found:
            raise BadFile(f"{path}: no key in any file that ends in {', '.join(_PEM_ENDINGS)}")
        return found
    with open(path, "rb") as file:
        data = file.read()
    return _from_jwks(path, data) if data.lstrip().startswith(b"{") else _from_pem(path, data)


def load_signer(path: str) -> Signer:
    """Read a private key that nobody else may read.  Raises BadFile, OSError."""
    with open(path, "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o007:
            raise BadFile(f"{path}: others may read this private key: chmod 600")
        data = file.read()
    try:
        private = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise BadFile(f"{path}: not a private key in PEM without a passphrase") from None
    if not isinstance(private, PrivateKey):
        raise BadFile(f"{path}: {_WHAT_IS_GOOD}")
    key = _key(path, private.public_key())
    kid = thumbprint(key.public)
    return Signer(kid, key.algorithm, private, {kid: key})


def ensure_signing_key(path: str) -> None:
    """Make a key for ES256 in the file, mode 0600, unless there is one.  Raises OSError."""
    if os.path.lexists(path):
        return
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(fd, pem)
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):  # another process was faster: its key it is
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def thumbprint(public: PublicKey) -> str:
    """The key's id by RFC 7638."""
    fields: dict[str, Any]
    names: tuple[str, ...]
    if isinstance(public, ec.EllipticCurvePublicKey):
        fields, names = ECAlgorithm.to_jwk(public, as_dict=True), ("crv", "kty", "x", "y")
    else:
        fields, names = RSAAlgorithm.to_jwk(public, as_dict=True), ("e", "kty", "n")
    required = json.dumps({name: fields[name] for name in names}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode()


def fingerprint(public: PublicKey) -> str:
    """The key's id by libtrust, which Distribution 2's token servers use."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


_WHAT_IS_GOOD = (
    f"only keys for {ES256} (EC on P-256) and {RS256} (RSA, {_RSA_MIN_BITS} bits or more) are good"
)


def _key(where: str, public: object) -> Key:
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return Key(ES256, public)
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _RSA_MIN_BITS:
        return Key(RS256, public)
    raise BadFile(f"{where}: {_WHAT_IS_GOOD}")


def _load_pem(path: str) -> Keys:
    with open(path, "rb") as file:
        return _from_pem(path, file.read())


def _from_pem(path: str, data: bytes) -> Keys:
    found: Keys = {}
    for match in _PEM_BLOCK.finditer(data):
        kind = match[1].decode()
        try:
            if kind == "CERTIFICATE":
                public: object = x509.load_pem_x509_certificate(match[0]).public_key()
            elif kind.endswith("PUBLIC KEY"):
                public = serialization.load_pem_public_key(match[0])
            else:
                raise BadFile(f"{path}: a {kind} is here: only public keys and certificates belong here")
        except ValueError as error:
            if isinstance(error, BadFile):
                raise
            raise BadFile(f"{path}: a {kind} that cannot be read") from None
        key = _key(path, public)
        found |= dict.fromkeys((thumbprint(key.public), fingerprint(key.public)), key)
    if not found:
        raise BadFile(f"{path}: neither a JWKS nor a key or certificate in PEM")
    name = os.path.splitext(os.path.basename(path))[0]
    return {name: next(iter(found.values()))} | found


def _from_jwks(path: str, data: bytes) -> Keys:
    try:
        members = json.loads(data)["keys"]
        found = dict(_usable(path, members))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(f'{path}: not a JWKS, which is of the form {{"keys": [...]}}') from None
    if not found:
        raise BadFile(f"{path}: no usable key: {_WHAT_IS_GOOD}")
    return found


def _usable(path: str, members: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Key]]:
    """Yield the keys with their ids; those for other purposes are left out."""
    for member in members:
        if member.get("kty") not in ("EC", "RSA") or member.get("use", "sig") != "sig":
            continue
        if member.get("alg", ES256) not in (ES256, RS256) or member.get("crv", "P-256") != "P-256":
            continue
        try:
            parsed = jwt.PyJWK(member).key
        except jwt.PyJWTError:
            raise BadFile(f"{path}: the key {str(member.get('kid'))!r} cannot be read") from None
        key = _key(path, parsed.public_key() if isinstance(parsed, PrivateKey) else parsed)
        kid = member.get("kid")
        yield kid if isinstance(kid, str) and kid else thumbprint(key.public), key
