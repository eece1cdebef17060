"""Bearer tokens over HTTP: challenges, and which tokens count."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reference_impl import auth

from .accounts import (
    NOW_S,
    REALM,
    Client,
    Clock,
    access,
    bearer_settings,
    by_hand,
    ec_key,
    public_pem,
    replace,
    rsa_key,
    token,
)
from .images import error_codes, sha

EC, RSA = ec_key(), rsa_key()
ASKED = f'Bearer realm="{REALM}",service="registry.example"'
PULL, PUSH = access("a/b:pull"), access("a/b:pull,push")
CLAIMS = jwt.decode(token(EC, "ec", PULL), options={"verify_signature": False})


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the public keys ``ec`` and ``rsa``."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "ec.pem").write_bytes(public_pem(EC))
    (folder / "rsa.pem").write_bytes(public_pem(RSA))
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(keys: Path, clock: Clock) -> Iterator[Client]:
    opened = Client(bearer_settings(keys), clock=clock)
    yield opened
    opened.close()


def tags(client: Client, credential: str | None) -> tuple[int, str | None]:
    """Ask for something that needs pull; 404 is a yes, as there is no such repository."""
    answer = client("GET", "/v2/a/b/tags/list", None if credential is None else f"Bearer {credential}")
    return answer.status_code, answer.headers.get("www-authenticate")


YES = (404, None)
INVALID = (401, f'{ASKED},scope="repository:a/b:pull",error="invalid_token"')
INSUFFICIENT = (401, f'{ASKED},scope="repository:a/b:pull",error="insufficient_scope"')


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("HEAD", "/v2", None),
        ("GET", "/v2/_oci/ext/discover", None),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
        ("HEAD", "/v2/a/b/manifests/t", "repository:a/b:pull"),
        ("PUT", "/v2/a/b/manifests/t", "repository:a/b:pull,push"),
        ("DELETE", "/v2/a/b/manifests/t", "repository:a/b:delete"),
        ("DELETE", f"/v2/a/b/blobs/{sha(b'x')}", "repository:a/b:delete"),
        ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
        ("PATCH", "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000", "repository:a/b:pull,push"),
        (
            "POST",
            f"/v2/a/b/blobs/uploads/?mount={sha(b'x')}&from=c/d",
            "repository:a/b:pull,push repository:c/d:pull",
        ),
        ("POST", f"/v2/a/b/blobs/uploads/?mount={sha(b'x')}&from=a/b", "repository:a/b:pull,push"),
        ("POST", f"/v2/a/b/blobs/uploads/?mount={sha(b'x')}", "repository:a/b:pull,push"),
        ("POST", f"/v2/a/b/blobs/uploads/?mount={sha(b'x')}&from=../x", "repository:a/b:pull,push"),
        ("POST", f"/v2/a/b/blobs/uploads/?digest={sha(b'x')}&from=c/d", "repository:a/b:pull,push"),
    ],
)
def test_challenges(client: Client, method: str, path: str, scope: str | None) -> None:
    expected = ASKED if scope is None else f'{ASKED},scope="{scope}"'
    answer = client(method, path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, expected)
    if method != "HEAD":
        assert error_codes(answer) == ["UNAUTHORIZED"]
    basic = client(method, path, "alice")  # credentials belong to the token server
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, expected)
    broken = client(method, path, "Bearer x")
    assert (broken.status_code, broken.headers["www-authenticate"]) == (
        401,
        f'{expected},error="invalid_token"',
    )
    if scope is not None:
        nothing = client(method, path, "Bearer " + token(EC, "ec", []))
        assert nothing.status_code == 401
        assert nothing.headers["www-authenticate"] == f'{expected},error="insufficient_scope"'


def test_tokens_of_both_algorithms(client: Client) -> None:
    for key, kid, algorithm in ((EC, "ec", "ES256"), (RSA, "rsa", "RS256")):
        for _ in range(2):  # the second time it is known
            assert tags(client, token(key, kid, PULL, algorithm)) == YES
        assert client("GET", "/v2/", "Bearer " + token(key, kid, None, algorithm)).status_code == 200


@pytest.mark.parametrize(
    "granted",
    [
        None, [], {}, "repository:a/b:pull", access("a/b:push"), access("a:pull"), access("a/b/c:pull"),
        access("A/B:pull"), [{"type": "registry", "name": "a/b", "actions": ["pull"]}],
    ],
)  # fmt: skip
def test_what_the_token_does_not_say_is_not_allowed(client: Client, granted: Any) -> None:
    assert tags(client, token(EC, "ec", granted)) == INSUFFICIENT


def test_actions_bound_what_may_be_done(client: Client) -> None:
    begin, blob = f"/v2/a/b/blobs/uploads/?digest={sha(b'x')}", f"/v2/a/b/blobs/{sha(b'x')}"

    def status(method: str, path: str, scopes: str) -> int:
        return client(method, path, "Bearer " + token(EC, "ec", access(scopes)), content=b"x").status_code

    assert [status("POST", begin, scopes) for scopes in ("a/b:pull", "a/b:push", "a/b:pull,delete")] == [
        401
    ] * 3
    assert status("POST", begin, "a/b:pull,push") == 201
    assert status("GET", blob, "a/b:pull") == 200
    assert status("DELETE", blob, "a/b:pull,push") == 401
    assert status("DELETE", blob, "a/b:delete") == 202
    assert status("POST", begin, "a/b:*") == 201
    catalog = [{"type": "registry", "name": "catalog", "actions": ["*"]}]
    assert (
        client("GET", "/v2/_catalog", "Bearer " + token(EC, "ec", access("a/b:pull,push"))).status_code == 401
    )
    listed = client("GET", "/v2/_catalog", "Bearer " + token(EC, "ec", catalog))
    assert listed.json() == {"repositories": ["a/b"]}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "for another service"),
        ({"aud": ["another", "third"]}, "for another service"),
        ({"aud": None}, "lacks iss, aud or exp"),
        ({"aud": []}, "lacks iss, aud or exp"),
        ({"iss": "another"}, "from another issuer"),
        ({"iss": None}, "lacks iss, aud or exp"),
        ({"exp": None}, "lacks iss, aud or exp"),
        ({"exp": NOW_S - 61}, "has expired"),
        ({"exp": 1e400}, "exp is not a time"),
        ({"exp": 10**400}, "exp is not a time"),
        ({"exp": "never"}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"nbf": NOW_S + 61}, "is not valid yet"),
        ({"nbf": "x"}, "nbf is not a number"),
        ({"iat": NOW_S + 61}, "is not valid yet"),
        ({"iat": []}, "iat is not a number"),
        ({"sub": 5}, "cannot be read"),
        ({"sub": "a\nb"}, "(sub) is not a name"),
        ({"sub": "\ud800"}, "(sub) is not a name"),
    ],
)
def test_claims_that_do_not_count(client: Client, claims: dict[str, Any], said: str) -> None:
    bad = token(EC, "ec", PULL, claims=claims)
    assert tags(client, bad) == INVALID
    answer = client("GET", "/v2/a/b/tags/list", f"Bearer {bad}")
    assert said in answer.json()["errors"][0]["detail"]["reason"]
    assert bad not in answer.text


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["another", "registry.example"]}, {"exp": NOW_S - 59}, {"exp": NOW_S + 0.5},
        {"nbf": NOW_S + 59, "iat": NOW_S + 59}, {"nbf": None, "iat": None}, {"sub": ""}, {"sub": None},
    ],
)  # fmt: skip
def test_claims_that_count(client: Client, claims: dict[str, Any]) -> None:
    assert tags(client, token(EC, "ec", PULL, claims=claims)) == YES


def test_a_token_runs_out_also_when_it_is_known(client: Client, clock: Clock) -> None:
    good = token(EC, "ec", PULL)
    for now_s, expected in ((0, YES), (359, YES), (360, INVALID), (-60, YES), (-61, INVALID)):
        clock.now_s = NOW_S + now_s
        assert tags(client, good) == expected, now_s


def test_the_skew_can_be_set(keys: Path, clock: Clock) -> None:
    client = Client(bearer_settings(keys, clock_skew_s=0), clock=clock)
    for claim in ("exp", "nbf"):
        off = {claim: NOW_S + (claim == "nbf")}
        assert tags(client, token(EC, "ec", PULL, claims=off)) == INVALID
    assert tags(client, token(EC, "ec", PULL, claims={"exp": NOW_S + 1, "nbf": NOW_S})) == YES
    client.close()


def test_signatures_that_do_not_count(client: Client) -> None:
    good = token(EC, "ec", PULL)
    other = token(ec_key(), "ec", PULL)
    head, body, signature = good.split(".")
    p384 = ec.generate_private_key(ec.SECP384R1())
    der = EC.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = [
        other,
        token(rsa_key(), "rsa", PULL, "RS256"),
        token(EC, "rsa", PULL),  # the key of one, the name of another
        token(RSA, "ec", PULL, "RS256"),
        token(RSA, "rsa", PULL, "RS512"),
        token(RSA, "rsa", PULL, "PS256"),
        token(p384, "ec", PULL, "ES384"),
        token(EC, None, PULL),
        token(EC, "unknown", PULL),
        token(EC, "../keys/ec", PULL),
        *(
            by_hand({"alg": alg, "kid": kid}, None, CLAIMS)
            for alg in ("none", "None", "", "ES256")
            for kid in ("ec", "rsa")
        ),
        *(
            by_hand({"alg": alg, "kid": kid, "typ": "JWT"}, key, CLAIMS)
            for alg in ("HS256", "ES256", "RS256")
            for kid in ("ec", "rsa")
            for key in (public_pem(EC), public_pem(EC).strip(), public_pem(RSA), der, b"", b"ec")
        ),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{other.split('.')[1]}.{signature}" if other.split(".")[1] != body else other,
        f".{body}.{signature}",
        "a.b.c", "..", "", "é", "x" * 9000, good + ".x",
    ]  # fmt: skip
    for one in forged:
        assert tags(client, one) == INVALID, one[:80]
    assert tags(client, good) == YES


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"5", b"null", b"\xff", b'{"alg":["ES256"],"kid":"ec"}',
        b'{"alg":"ES256","kid":["ec"]}', b'{"alg":{},"kid":{}}', b'{"kid":"ec"}',
        b'{"alg":"ES256","kid":"ec","crit":["x"],"x":1}',
        b'{"alg":"ES256","kid":"ec","b64":false}', b'{"alg":"ES256","kid":"ec","typ":5,"jwk":{},"x5c":5}',
        b'{"alg":"ES256","kid":"ec","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"alg":"ES256","kid":"\\ud800"}', b'{"alg":"ES256","kid":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_hostile_headers(client: Client, header: bytes) -> None:
    _, body, signature = token(EC, "ec", PULL).split(".")
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    for one in (f"{encoded}.{body}.{signature}", f"{encoded}.{encoded}.{signature}", f"{encoded}..", encoded):
        assert tags(client, one) == INVALID


def test_a_changed_body_is_noticed(client: Client) -> None:
    head, _, signature = token(EC, "ec", PULL).split(".")
    changed = base64.urlsafe_b64encode(json.dumps(CLAIMS | {"access": PUSH}).encode()).rstrip(b"=").decode()
    assert tags(client, f"{head}.{changed}.{signature}") == INVALID


def test_rotation(client: Client, keys: Path) -> None:
    """Several keys are good at once; one that is taken away is not, even for tokens that are known."""
    old, new = token(EC, "ec", PULL), ec_key()
    assert tags(client, old) == YES
    assert tags(client, token(new, "new", PULL)) == INVALID
    (keys / "new.pem").write_bytes(public_pem(new))
    assert tags(client, token(new, "new", PULL)) == YES
    assert tags(client, old) == YES
    (keys / "ec.pem").unlink()
    assert tags(client, old) == INVALID
    assert tags(client, token(new, "new", PULL)) == YES
    replace(keys / "new.pem", public_pem(ec_key()))  # another key of the same name
    assert tags(client, token(new, "new", PULL)) == INVALID
    replace(keys / "new.pem", b"torn")  # what was there before stays in force
    replace(keys / "new.pem", public_pem(new))
    assert tags(client, token(new, "new", PULL)) == YES
    for path in list(keys.iterdir()):
        path.unlink()
    keys.rmdir()
    assert tags(client, token(new, "new", PULL)) == INVALID


def test_anonymous_pull(keys: Path, clock: Clock) -> None:
    client = Client(bearer_settings(keys, anonymous_pull=True), clock=clock)
    assert tags(client, None) == YES
    for path in ("/v2/", "/v2/_catalog"):
        assert client("GET", path).status_code == 401
    assert client("POST", "/v2/a/b/blobs/uploads/").status_code == 401
    assert tags(client, "x") == INVALID
    assert tags(client, token(EC, "ec", [])) == INSUFFICIENT  # a token bounds, wherever it is sent
    client.close()


def test_mount(client: Client) -> None:
    """It needs pull on the source; without, the client gets a session and nothing of the content."""
    blob = sha(b"x")
    everything = "Bearer " + token(EC, "ec", access("c/d:pull,push", "a/b:pull,push"))
    assert (
        client("POST", f"/v2/c/d/blobs/uploads/?digest={blob}", everything, content=b"x").status_code == 201
    )
    mount = f"/v2/a/b/blobs/uploads/?mount={blob}&from=c/d"
    only_target = "Bearer " + token(EC, "ec", PUSH)
    for scopes in ((), ("c/d:pull",), ("c/d:pull,push", "a/b:pull"), ("c/d:pull", "a/b:push")):
        answer = client("POST", mount, "Bearer " + token(EC, "ec", access(*scopes)))
        assert answer.status_code == 401
        assert 'scope="repository:a/b:pull,push repository:c/d:pull"' in answer.headers["www-authenticate"]
    for scopes in (("a/b:pull,push",), ("a/b:pull,push", "c/d:push"), ("a/b:pull,push", "c/d/e:pull")):
        begun = client("POST", mount, "Bearer " + token(EC, "ec", access(*scopes)))
        assert begun.status_code == 202
        assert client("GET", begun.headers["location"], only_target).status_code == 204
        assert client("GET", f"/v2/a/b/blobs/{blob}", only_target).status_code == 404
        assert client("GET", f"/v2/a/b/blobs/{blob}", everything).status_code == 404
    assert client("POST", mount, everything).status_code == 201
    assert client("GET", f"/v2/a/b/blobs/{blob}", only_target).content == b"x"


def test_known_tokens_need_no_thread(keys: Path, clock: Clock) -> None:
    authorizer = auth.build(bearer_settings(keys), clock)
    headers = {"authorization": "Bearer " + token(EC, "ec", PULL)}
    assert authorizer.may_block(headers)
    assert authorizer.authorize(headers, []).name == "alice"
    assert not authorizer.may_block(headers)
    assert not authorizer.may_block({})
    assert os.listdir(keys)
