"""Where the keys are from that tokens may be signed with, and what they are called."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from reference_impl import auth
from reference_impl.auth.keys import fingerprint, thumbprint
from reference_impl.auth.settings import BadSettings

from .accounts import (
    Client,
    Clock,
    Private,
    bearer_settings,
    by_hand,
    ec_key,
    private_pem,
    public_pem,
    replace,
    rsa_key,
    token,
)

EC, RSA = ec_key(), rsa_key()
CLAIMS = jwt.decode(token(EC, "x"), options={"verify_signature": False})


def status(client: Client, credential: str) -> int:
    return client("GET", "/v2/", f"Bearer {credential}").status_code


@pytest.fixture
def clock() -> Clock:
    return Clock()


def jwks(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": members}).encode()


def ec_jwk(key: Any = EC, **more: Any) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | more


def rsa_jwk(key: Any = RSA, **more: Any) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | more


def test_jwks(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "jwks.json"
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"}
    encrypting = ec_key()
    other_use = ec_jwk(encrypting, kid="encrypting", use="enc")
    path.write_bytes(
        jwks(ec_jwk(kid="first", use="sig", alg="ES256"), rsa_jwk(kid="second"), secret, other_use)
    )
    client = Client(bearer_settings(path), clock=clock)
    assert status(client, token(EC, "first")) == 200
    assert status(client, token(RSA, "second", None, "RS256")) == 200
    assert status(client, token(EC, "second")) == 401
    assert status(client, by_hand({"alg": "HS256", "kid": "secret"}, b"secret", CLAIMS)) == 401
    assert status(client, token(encrypting, "encrypting")) == 401
    replace(path, jwks(ec_jwk()))  # without a kid the thumbprint is its name
    assert status(client, token(EC, thumbprint(EC.public_key()))) == 200
    assert status(client, token(EC, "first")) == 401
    client.close()


def test_names_of_keys_in_pem(tmp_path: Path, clock: Clock) -> None:
    """A bundle of certificates, as Distribution's ``rootcertbundle``, and the names they have there."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token server")])
    day = datetime.datetime(2026, 1, 1)

    def certificate(key: Private, number: int) -> bytes:
        end = day + datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), number, day, end)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    path = tmp_path / "bundle.crt"
    path.write_bytes(b"text\n" + certificate(EC, 1) + certificate(RSA, 2))
    client = Client(bearer_settings(path), clock=clock)
    both: list[tuple[Private, str]] = [(EC, "ES256"), (RSA, "RS256")]
    for key, algorithm in both:
        for kid in (thumbprint(key.public_key()), fingerprint(key.public_key())):
            assert status(client, token(key, kid, None, algorithm)) == 200
    assert status(client, token(EC, "bundle")) == 200
    client.close()


def test_known_names() -> None:
    """RFC 7638, section 3.1; and the form of libtrust."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6"
        "qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"
        "pJzKnqDKgw"
    )
    public = jwt.PyJWK({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"}).key
    assert thumbprint(public) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    parts = fingerprint(public).split(":")
    assert [len(part) for part in parts] == [4] * 12


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "neither a JWKS nor a key or certificate in PEM"),
        (b"{", "not a JWKS"),
        (b'{"keys": 5}', "not a JWKS"),
        (b'{"keys": [5]}', "not a JWKS"),
        (jwks(), "no usable key"),
        (jwks({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}), "no usable key"),
        (jwks({"kty": "EC", "kid": "torn", "crv": "P-256", "x": "AA"}), "the key 'torn' cannot be read"),
        (jwks(rsa_jwk(rsa_key(1024))), "only keys for ES256"),
        (public_pem(rsa_key(1024)), "only keys for ES256"),
        (private_pem(EC), "a PRIVATE KEY is here"),
        (public_pem(EC).replace(b"M", b"!"), "a PUBLIC KEY that cannot be read"),
    ],
)
def test_keys_that_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(data)
    with pytest.raises(BadSettings) as caught:
        auth.build(bearer_settings(path))
    assert str(caught.value).startswith(f"auth.keys: {path}: {said}")
    assert "\n" not in str(caught.value)


def test_no_keys_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadSettings, match=r"^auth.keys: .*: no key in any file that ends in \.pem"):
        auth.build(bearer_settings(tmp_path))
    with pytest.raises(BadSettings, match=r"^auth.keys: .*/absent: No such file or directory$"):
        auth.build(bearer_settings(tmp_path / "absent"))
