"""Settings of authentication that would protect nothing, or cannot work, are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reference_impl import auth
from reference_impl.auth.none import Everyone
from reference_impl.auth.settings import AuthSettings, BadSettings, Rule, TokenSettings

from .accounts import ec_key, htpasswd, public_pem

RULES = (Rule("alice", "**", ("pull",)),)
URL = "https://tokens.example/token"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"htpasswd": "H"}, "auth.htpasswd: has no effect with auth.kind = 'none'"),
        ({"keys": "K"}, "auth.keys: has no effect with auth.kind = 'none'"),
        ({"rules": RULES}, "auth.rules: has no effect with auth.kind = 'none'"),
        ({"anonymous_pull": True}, "auth.anonymous_pull: has no effect with auth.kind = 'none'"),
        ({"token": TokenSettings(enabled=True)}, "auth.token: has no effect with auth.kind = 'none'"),
        ({"kind": "basic"}, "auth.htpasswd: missing"),
        ({"kind": "basic", "htpasswd": "/absent"}, "auth.htpasswd: /absent: No such file or directory"),
        (
            {"kind": "basic", "htpasswd": "H", "keys": "K"},
            "auth.keys: has no effect with auth.kind = 'basic'",
        ),
        ({"kind": "basic", "htpasswd": "H", "realm": 'a"b'}, "auth.realm: only printable ASCII"),
        ({"kind": "basic", "htpasswd": "H", "realm": "a\r\nb"}, "auth.realm: only printable ASCII"),
        (
            {"kind": "basic", "htpasswd": "H", "rules": (Rule("a", "A"),)},
            "auth.rules: rule 1: repository 'A'",
        ),
        (
            {"kind": "basic", "htpasswd": "H", "token": TokenSettings(enabled=True)},
            "auth.token: has no effect",
        ),
        ({"kind": "bearer"}, "auth.realm: '' is not the URL of a token server"),
        ({"kind": "bearer", "realm": "tokens"}, "auth.realm: 'tokens' is not the URL of a token server"),
        ({"kind": "bearer", "realm": URL}, "auth.issuer: missing"),
        ({"kind": "bearer", "realm": URL, "service": ""}, "auth.service: missing"),
        ({"kind": "bearer", "realm": URL, "issuer": "i"}, "auth.keys: missing"),
        ({"kind": "bearer", "realm": URL, "issuer": "i\\", "keys": "K"}, "auth.issuer: only printable ASCII"),
        (
            {"kind": "bearer", "realm": URL, "issuer": "i", "keys": "K", "htpasswd": "H"},
            "auth.htpasswd: has no",
        ),
        (
            {"kind": "bearer", "realm": URL, "issuer": "i", "keys": "K", "rules": RULES},
            "auth.rules: rule 1 has no effect: what 'alice' may do is decided by the token server",
        ),
        (
            {"kind": "bearer", "realm": URL, "token": TokenSettings(enabled=True)},
            "auth.token.signing_key: missing",
        ),
        (
            {"kind": "bearer", "realm": URL, "token": TokenSettings(True, "S")},
            "auth.htpasswd: missing: without accounts",
        ),
        (
            {"kind": "bearer", "realm": URL, "htpasswd": "H", "token": TokenSettings(True, "S", 0)},
            "auth.token.lifetime_s: must be at least 1",
        ),
    ],
)
def test_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    files = {"H": htpasswd(tmp_path), "K": str(tmp_path / "key.pem"), "S": str(tmp_path / "signing.pem")}
    (tmp_path / "key.pem").write_bytes(public_pem(ec_key()))
    known = settings | {
        name: files[settings[name]] for name in ("htpasswd", "keys") if settings.get(name) in files
    }
    token = settings.get("token")
    if token is not None and token.signing_key is not None:
        known["token"] = TokenSettings(True, files[token.signing_key], token.lifetime_s)
    with pytest.raises(BadSettings) as caught:
        auth.build(AuthSettings(**known))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_accepted(tmp_path: Path) -> None:
    path = str(tmp_path / "key.pem")
    Path(path).write_bytes(public_pem(ec_key()))
    assert isinstance(auth.build(AuthSettings()), Everyone)
    external: dict[str, Any] = {"kind": "bearer", "realm": URL, "issuer": "i", "keys": path}
    rules = (Rule("anonymous", "public/**", ("pull",)),)
    for more in ({}, {"anonymous_pull": True}, {"rules": rules}):
        assert auth.build(AuthSettings(**external | more)).tokens is None
    issuing = TokenSettings(True, str(tmp_path / "signing.pem"))
    anonymous_only = AuthSettings(kind="bearer", realm=URL, anonymous_pull=True, token=issuing)
    assert auth.build(anonymous_only).tokens is not None
