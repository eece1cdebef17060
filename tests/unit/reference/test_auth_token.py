"""The token endpoint, and the registry that believes its tokens."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reference_impl import auth
from reference_impl.auth import keys
from reference_impl.auth.settings import BadSettings, Rule, TokenSettings

from .accounts import (
    NOW_S,
    PASSWORDS,
    Client,
    Clock,
    bearer_settings,
    ec_key,
    issuing_settings,
    private_pem,
    public_pem,
    replace,
    rsa_key,
    token,
)
from .images import error_codes, sha

RULES = (
    Rule("alice", "team/**", ("pull", "push")),
    Rule("bob", "**", ("pull", "catalog")),
    Rule("anonymous", "public/*", ("pull",)),
)
BASIC = 'Basic realm="registry.example"'
Open = Callable[..., Client]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Open]:
    clients = []

    def with_settings(**more: Any) -> Client:
        client = Client(issuing_settings(tmp_path, **{"rules": RULES} | more), clock=clock)
        clients.append(client)
        return client

    yield with_settings
    for client in clients:
        client.close()


def buy(client: Client, who: str | None, *scopes: str, **more: str) -> httpx.Response:
    return client("GET", "/token", who, params={"service": "registry.example", "scope": scopes, **more})


def granted(answer: httpx.Response) -> list[tuple[str, str, list[str]]]:
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return [(one["type"], one["name"], one["actions"]) for one in claims["access"]]


def test_a_token(opened: Open, tmp_path: Path) -> None:
    answer = buy(opened(), "alice", "repository:team/a:pull,push")
    said = answer.json()
    assert said["token"] == said["access_token"]
    assert (said["expires_in"], said["issued_at"]) == (300, "2027-01-15T08:00:00Z")
    assert answer.headers["cache-control"] == "no-store"
    header = jwt.get_unverified_header(said["token"])
    assert header == {"alg": "ES256", "typ": "JWT", "kid": header["kid"]}
    claims = jwt.decode(said["token"], options={"verify_signature": False})
    assert claims.pop("jti")
    assert claims == {
        "iss": "registry.example", "aud": "registry.example", "sub": "alice",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 300,
        "access": [{"type": "repository", "name": "team/a", "actions": ["pull", "push"]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("who", "scopes", "expected"),
    [
        ("alice", ["repository:team/a:pull"], [("repository", "team/a", ["pull"])]),
        ("alice", ["repository:team/a:delete,push,pull"], [("repository", "team/a", ["push", "pull"])]),
        ("alice", ["repository:team/a:*"], [("repository", "team/a", ["pull", "push"])]),
        ("alice", ["repository:other:pull,push"], []),
        ("alice", ["repository:public/x:pull,push"], [("repository", "public/x", ["pull"])]),
        ("bob", ["repository:other:pull,push"], [("repository", "other", ["pull"])]),
        ("alice", ["registry:catalog:*"], []),
        ("bob", ["registry:catalog:*"], [("registry", "catalog", ["*"])]),
        ("bob", ["repository:x:catalog,everything", "plugin:x:pull", "nonsense", ""], []),
        (None, ["repository:public/x:pull,push"], [("repository", "public/x", ["pull"])]),
        (
            "alice",
            ["repository:team/a:pull,push repository:team/b:pull", "repository:other:pull"],
            [("repository", "team/a", ["pull", "push"]), ("repository", "team/b", ["pull"])],
        ),
        ("alice", [], []),
    ],
)
def test_grants_are_what_was_asked_and_is_allowed(
    opened: Open, who: str | None, scopes: list[str], expected: list[tuple[str, str, list[str]]]
) -> None:
    assert granted(buy(opened(), who, *scopes)) == expected


@pytest.mark.parametrize(
    ("who", "scopes"),
    [
        (None, ["repository:team/a:pull"]),
        (None, []),
        ("Basic " + base64.b64encode(b"alice:wrong").decode(), ["repository:public/x:pull"]),
        ("Basic " + base64.b64encode(b"nobody:x").decode(), ["repository:public/x:pull"]),
        ("Basic !", ["repository:public/x:pull"]),
        ("Bearer x", ["repository:public/x:pull"]),
    ],
)
def test_who_gets_no_token(opened: Open, who: str | None, scopes: list[str]) -> None:
    answer = buy(opened(), who, *scopes)
    assert (answer.status_code, error_codes(answer)) == (401, ["UNAUTHORIZED"])
    assert answer.headers["www-authenticate"] == BASIC
    assert "token" not in answer.json()


def test_another_service(opened: Open) -> None:
    answer = buy(opened(), "alice", service="other")
    assert (answer.status_code, error_codes(answer)) == (400, ["UNSUPPORTED"])
    assert opened()("GET", "/token", "alice").status_code == 200


def form(client: Client, **fields: str) -> httpx.Response:
    return client("POST", "/token", data=fields)


def test_by_form(opened: Open) -> None:
    client = opened()
    good = {
        "grant_type": "password", "service": "registry.example", "client_id": "test",
        "username": "bob", "password": PASSWORDS["bob"], "scope": "repository:a:pull,push repository:b:pull",
    }  # fmt: skip
    answer = form(client, **good)
    assert granted(answer) == [("repository", "a", ["pull"]), ("repository", "b", ["pull"])]
    assert answer.json()["scope"] == "repository:a:pull repository:b:pull"
    for change, error in (
        ({"password": "wrong"}, "invalid_grant"),
        ({"username": "nobody"}, "invalid_grant"),
        ({"username": ""}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"service": "other"}, "invalid_request"),
        ({"scope": "x" * (65 << 10)}, "invalid_request"),
    ):
        refused = form(client, **good | change)
        assert (refused.status_code, refused.json()["error"]) == (400, error)
        assert "token" not in refused.json()
    assert client("POST", "/token", content=b"\xff&%zz=\0").status_code == 400
    assert client("PUT", "/token").status_code == 405


def test_the_registry_believes_its_own_tokens(opened: Open, clock: Clock) -> None:
    client = opened()
    asked = client("POST", "/v2/team/a/blobs/uploads/").headers["www-authenticate"]
    assert asked == (
        'Bearer realm="http://registry.example/token",service="registry.example",'
        'scope="repository:team/a:pull,push"'
    )
    bought = "Bearer " + buy(client, "alice", "repository:team/a:pull,push").json()["token"]
    begin = f"/v2/team/a/blobs/uploads/?digest={sha(b'x')}"
    assert client("POST", begin, bought, content=b"x").status_code == 201
    bobs = "Bearer " + buy(client, "bob", "repository:team/a:pull,push").json()["token"]
    assert client("GET", f"/v2/team/a/blobs/{sha(b'x')}", bobs).content == b"x"
    assert client("POST", begin, bobs, content=b"x").status_code == 401
    clock.now_s += 360
    assert client("POST", begin, bought, content=b"x").status_code == 401


def test_there_is_no_endpoint_unless_it_is_enabled(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(public_pem(ec_key()))
    client = Client(bearer_settings(tmp_path / "key.pem"))
    assert client("GET", "/token").status_code == 404
    client.close()


def test_tokens_of_others_count_as_well(opened: Open, tmp_path: Path) -> None:
    key = ec_key()
    (tmp_path / "others.pem").write_bytes(public_pem(key))
    client = opened(keys=str(tmp_path / "others.pem"), issuer="issuer")
    assert client("GET", "/v2/", "Bearer " + token(key, "others")).status_code == 200
    assert client("GET", "/v2/", "Bearer " + buy(client, "alice").json()["token"]).status_code == 200


# -- the signing key ---------------------------------------------------------------------------


def test_a_key_is_made_once_and_for_its_owner_only(opened: Open, tmp_path: Path) -> None:
    first = opened()
    path = tmp_path / "signing.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pem = path.read_bytes()
    bought = "Bearer " + buy(first, "alice").json()["token"]
    assert opened()("GET", "/v2/", bought).status_code == 200  # as after a restart
    assert path.read_bytes() == pem
    assert [one.name for one in tmp_path.iterdir() if "signing" in one.name] == ["signing.pem"]


def test_who_makes_a_key_too_late_takes_that_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.pem"
    firsts = private_pem(ec_key())
    generate = ec.generate_private_key

    def while_another_is_faster(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        path.write_bytes(firsts)
        return generate(curve)

    monkeypatch.setattr(ec, "generate_private_key", while_another_is_faster)
    keys.ensure_signing_key(str(path))
    assert path.read_bytes() == firsts
    assert [one.name for one in tmp_path.iterdir()] == ["key.pem"]


def test_a_key_of_the_operators(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "mine.pem"
    path.write_bytes(private_pem(rsa_key()))
    path.chmod(0o640)
    client = opened(token=TokenSettings(enabled=True, signing_key=str(path), lifetime_s=60))
    bought = buy(client, "alice").json()
    assert bought["expires_in"] == 60
    assert jwt.get_unverified_header(bought["token"])["alg"] == "RS256"
    assert client("GET", "/v2/", "Bearer " + bought["token"]).status_code == 200
    path.with_suffix(".new").touch(0o600)
    replace(path, private_pem(ec_key()))  # a new one, while it runs
    path.chmod(0o600)
    assert client("GET", "/v2/", "Bearer " + bought["token"]).status_code == 401
    newer = buy(client, "alice").json()["token"]
    assert jwt.get_unverified_header(newer)["alg"] == "ES256"
    assert client("GET", "/v2/", "Bearer " + newer).status_code == 200


def test_signing_keys_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    def refusal() -> str:
        settings = issuing_settings(tmp_path, token=TokenSettings(enabled=True, signing_key=str(path)))
        with pytest.raises(BadSettings) as caught:
            auth.build(settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    path.write_bytes(private_pem(ec_key()))
    path.chmod(0o604)
    assert refusal() == f"auth.token.signing_key: {path}: others may read this private key: chmod 600"
    path.chmod(0o600)
    for data, said in (
        (b"x", "not a private key in PEM without a passphrase"),
        (public_pem(ec_key()), "not a private key in PEM without a passphrase"),
        (private_pem(rsa_key(1024)), "only keys for ES256"),
    ):
        path.write_bytes(data)
        assert refusal().startswith(f"auth.token.signing_key: {path}: {said}")
    path.unlink()
    path = tmp_path / "absent" / "key.pem"
    assert refusal() == f"auth.token.signing_key: cannot make {path}: No such file or directory"
