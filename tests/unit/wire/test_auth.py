"""Basic and bearer: challenges, tokens, where credentials go and where they do not."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.wire import (
    Authenticator,
    BadCredentials,
    Client,
    Credentials,
    Request,
    bytes_source,
    load_credentials,
    parse_base,
)
from harness.wire.challenge import Challenge, parse_challenges
from harness.wire.credentials import from_docker, from_environment
from tests.unit.wire.peer import Peer, answer, field_of, routes, targets

ME = Credentials("me", "s:cret")
BASIC = "Basic " + base64.b64encode(b"me:s:cret").decode()


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class TokenServer:
    """Sells tokens ``t1``, ``t2`` …; ``expires_s``: how long it says they last."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer: bytes | None = None
        self.expires_s: object = 300
        self.key = "token"
        self._lock = threading.Lock()

    def __call__(self, request: bytes) -> bytes:
        with self._lock:
            self.asked.append(request)
            if self.answer is not None:
                return self.answer
            said = {self.key: f"t{len(self.asked)}", "expires_in": self.expires_s}
            return answer(200, json.dumps(said).encode())

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(target).query) for target in targets(self.asked)]


class Registry:
    """Lets in whoever has a token out of ``good``; asks for the scope that ``scope`` makes of the
    target."""

    def __init__(self, realm: str) -> None:
        self.realm = realm
        self.good: set[str] = {f"t{n}" for n in range(1, 20)}
        self.requests: list[bytes] = []

    def __call__(self, request: bytes) -> bytes:
        self.requests.append(request)
        if (field_of(request, "authorization") or "").removeprefix("Bearer ") in self.good:
            return answer(200, b"in")
        repository = targets([request])[0].split("/")[2]
        right = "pull" if request.startswith(b"GET") else "pull,push"
        challenge = f'Bearer realm="{self.realm}",service="reg",scope="repository:{repository}:{right}"'
        return answer(401, b"who are you?", f"WWW-Authenticate: {challenge}")


@contextmanager
def bearer() -> Iterator[tuple[TokenServer, Registry, Peer]]:
    tokens = TokenServer()
    with Peer(routes(tokens)) as token_peer:
        registry = Registry(f"{token_peer.url}/token?fixed=1")
        with Peer(routes(registry)) as peer:
            yield tokens, registry, peer


def get(repository: str = "a") -> Request:
    return Request("GET", f"/v2/{repository}/manifests/t")


# -- challenges


@pytest.mark.parametrize(
    ("fields", "challenges"),
    [
        (["Basic"], [("basic", {})]),
        (['Basic realm="a b, c=\\"d\\""'], [("basic", {"realm": 'a b, c="d"'})]),
        (
            ['Bearer realm="https://x/t",service=reg , scope="a:b:c,d e:f:g"'],
            [("bearer", {"realm": "https://x/t", "service": "reg", "scope": "a:b:c,d e:f:g"})],
        ),
        (
            ['Negotiate, Basic realm="x", Bearer REALM = "y" , Service="z"'],
            [("negotiate", {}), ("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})],
        ),
        (["Negotiate abc==, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Basic realm=a", "Bearer realm=b"], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (['Basic realm="never closed, Bearer realm=b'], [("basic", {})]),
        (["", ",,", "=", "\x00"], []),
    ],
)
def test_challenges_are_parsed(fields: list[str], challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(fields) == [Challenge(*one) for one in challenges]


# -- basic


def basic_registry(request: bytes) -> bytes:
    if field_of(request, "authorization") == BASIC:
        return answer(200, b"in")
    return answer(401, b"out", 'WWW-Authenticate: Basic realm="r"')


def test_basic_is_given_when_asked_for_and_then_at_once() -> None:
    got: list[bytes] = []
    with Peer(routes(basic_registry)) as peer:
        client = Client(peer.url, credentials=ME)
        body = bytes_source(b"the body")
        said = client.send(Request("PUT", "/v2/", body=body, sink=got.append))
        assert (said.status, said.text, said.challenges) == (200, b"in", 1)
        assert client.send(Request("PUT", "/v2/", body=body)).challenges == 0
        client.close()
        sent = peer.talks[0].requests
        assert [field_of(one, "authorization") for one in sent] == [None, BASIC, BASIC]
        assert all(one.endswith(b"the body") for one in sent)
    assert got == [b"in"], "only the final answer reaches the sink"


def test_refused_credentials_are_not_given_for_ever() -> None:
    with Peer(routes(basic_registry)) as peer:
        client = Client(peer.url, credentials=Credentials("me", "wrong"))
        said = client.send(Request("GET", "/v2/"))
        assert (said.status, said.text, said.error, said.challenges) == (401, b"out", None, 1)
        assert "me" in said.detail
        assert "wrong" not in said.detail
        assert len(peer.talks[0].requests) == 2
        client.close()


def test_without_credentials_a_basic_challenge_is_the_answer() -> None:
    with Peer(routes(basic_registry)) as peer:
        client = Client(peer.url)
        said = client.send(Request("GET", "/v2/"))
        assert (said.status, said.challenges) == (401, 0)
        assert "no credentials" in said.detail
        client.close()


def test_an_authorization_that_is_given_is_left_alone() -> None:
    with Peer(routes(basic_registry)) as peer:
        client = Client(peer.url, credentials=ME)
        assert client.send(Request("GET", "/v2/", (("authorization", "Bearer x"),))).status == 401
        assert [field_of(one, "authorization") for one in peer.talks[0].requests] == ["Bearer x"]
        client.close()


def test_another_origin_gets_no_credentials_even_when_it_asks() -> None:
    with Peer(routes(basic_registry)) as other, Peer(routes(basic_registry)) as peer:
        client = Client(peer.url, credentials=ME)
        assert client.send(Request("GET", "/v2/")).status == 200
        assert client.send(Request("GET", f"{other.url}/v2/")).status == 401
        assert [field_of(one, "authorization") for one in other.talks[0].requests] == [None]
        client.close()


def test_a_redirect_elsewhere_takes_no_credentials_along() -> None:
    with Peer(routes(lambda _: answer(200, b"blob"))) as store:

        def table(request: bytes) -> bytes:
            if b"200" not in basic_registry(request)[:15]:
                return basic_registry(request)
            return answer(307, b"", f"Location: {store.url}/blob")

        with Peer(routes(table)) as peer:
            client = Client(peer.url, credentials=ME)
            said = client.send(Request("GET", "/v2/"))
            assert (said.text, said.challenges, len(said.redirects)) == (b"blob", 1, 1)
            assert field_of(store.talks[0].requests[0], "authorization") is None
            client.close()


# -- bearer


def test_a_token_is_fetched_for_the_scope_asked_for_and_used_again() -> None:
    with bearer() as (tokens, registry, peer):
        client = Client(peer.url, credentials=ME)
        said = client.send(get())
        assert (said.text, said.challenges) == (b"in", 1)
        assert client.send(get()).challenges == 0
        client.close()
        assert tokens.queries() == [
            {"fixed": ["1"], "service": ["reg"], "scope": ["repository:a:pull"], "account": ["me"]}
        ]
        assert field_of(tokens.asked[0], "authorization") == BASIC
        assert [field_of(one, "authorization") for one in registry.requests] == [
            None,
            "Bearer t1",
            "Bearer t1",
        ]


def test_each_scope_has_its_token() -> None:
    with bearer() as (tokens, registry, peer):
        client = Client(peer.url, credentials=ME)
        put = Request("PUT", "/v2/a/manifests/t", body=bytes_source(b"{}"))
        for request in (get("a"), put, get("b"), get("a"), put, Request("PATCH", "/v2/a/blobs/uploads/1")):
            assert client.send(request).text == b"in"
        client.close()
        assert [query["scope"] for query in tokens.queries()] == [
            ["repository:a:pull"],
            ["repository:a:pull,push"],
            ["repository:b:pull"],
        ]
        used = [field_of(one, "authorization") for one in registry.requests]
        assert used == [
            None, "Bearer t1", None, "Bearer t2", None, "Bearer t3", "Bearer t1", "Bearer t2", "Bearer t2",
        ]  # fmt: skip


def test_several_scopes_are_asked_for_one_by_one() -> None:
    tokens = TokenServer()
    with Peer(routes(tokens)) as token_peer:
        challenge = f'WWW-Authenticate: Bearer realm="{token_peer.url}/",scope="r:a:pull r:b:pull,push"'
        with Peer(routes(lambda _: answer(401, b"", challenge))) as peer:
            client = Client(peer.url)
            assert client.send(get()).status == 401
            client.close()
    assert tokens.queries()[0] == {"scope": ["r:a:pull", "r:b:pull,push"]}


def test_without_credentials_the_token_is_asked_for_anonymously() -> None:
    with bearer() as (tokens, _, peer):
        tokens.key = "access_token"
        client = Client(peer.url)
        assert client.send(get()).text == b"in"
        client.close()
        assert field_of(tokens.asked[0], "authorization") is None
        assert "account" not in tokens.queries()[0]


def test_a_token_that_ran_out_is_not_sent_again() -> None:
    clock = Clock()
    with bearer() as (tokens, registry, peer):
        client = Client(peer.url, authenticator=Authenticator(ME, clock=clock))
        client.send(get())
        clock.now_s += 294
        assert client.send(get()).challenges == 0
        clock.now_s += 2
        assert client.send(get()).challenges == 1
        client.close()
        assert [field_of(one, "authorization") for one in registry.requests] == [
            None, "Bearer t1", "Bearer t1", None, "Bearer t2",
        ]  # fmt: skip
        assert len(tokens.asked) == 2


@pytest.mark.parametrize(
    ("expires_s", "good_s"), [(None, 54), ("soon", 54), (True, 54), (10, 8), (3600, 3594)]
)
def test_how_long_a_token_lasts(expires_s: object, good_s: int) -> None:
    clock = Clock()
    with bearer() as (tokens, _, peer):
        tokens.expires_s = expires_s
        client = Client(peer.url, authenticator=Authenticator(ME, clock=clock))
        client.send(get())
        clock.now_s += good_s
        assert client.send(get()).challenges == 0
        clock.now_s += 2
        assert client.send(get()).challenges == 1
        client.close()


def test_a_token_that_lasts_no_time_is_still_used_once() -> None:
    with bearer() as (tokens, _, peer):
        tokens.expires_s = 0
        client = Client(peer.url, credentials=ME)
        assert [client.send(get()).challenges for _ in range(2)] == [1, 1]
        client.close()


def test_a_token_that_is_refused_is_replaced_once() -> None:
    with bearer() as (tokens, registry, peer):
        client = Client(peer.url, credentials=ME)
        assert client.send(get()).status == 200
        registry.good = {"t2"}
        said = client.send(get())
        assert (said.status, said.challenges) == (200, 1)
        registry.good = set()
        said = client.send(get())
        assert (said.status, said.text, said.challenges) == (401, b"who are you?", 2)
        client.close()
        assert len(tokens.asked) == 4


def test_lanes_share_the_tokens_of_one_authenticator() -> None:
    with bearer() as (tokens, _, peer):
        authenticator = Authenticator(ME)
        clients = [Client(peer.url, authenticator=authenticator) for _ in range(8)]
        said: list[int | None] = []
        threads = [threading.Thread(target=lambda c=c: said.append(c.send(get()).status)) for c in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        for client in clients:
            client.close()
        assert said == [200] * 8
        assert len(tokens.asked) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (answer(403, b"{}"), "403"),
        (answer(200, b"not json"), "JSON"),
        (answer(200, b"[]"), "JSON"),
        (answer(200, b"{}"), "without a usable token"),
        (answer(200, b'{"token": "a\\r\\nb"}'), "without a usable token"),
        (b"garbage\r\n\r\n", "not an HTTP answer"),
    ],
)
def test_a_token_server_that_fails_leaves_the_401(text: bytes, why: str) -> None:
    with bearer() as (tokens, _, peer):
        tokens.answer = text
        client = Client(peer.url, credentials=ME)
        said = client.send(get())
        assert (said.status, said.text, said.error, said.challenges) == (401, b"who are you?", None, 0)
        assert why in said.detail
        client.close()


@pytest.mark.parametrize("realm", ["", "ftp://x/", "relative/path", "http://u:p@x/"])
def test_a_realm_that_is_no_url_leaves_the_401(realm: str) -> None:
    with Peer(routes(Registry(realm))) as peer:
        client = Client(peer.url, credentials=ME)
        said = client.send(get())
        assert (said.status, said.error) == (401, None)
        assert "realm" in said.detail
        client.close()


# -- where credentials come from

URL = parse_base("https://reg.example:5000")


def test_a_password_is_never_shown() -> None:
    assert "s:cret" not in repr(ME)


def test_credentials_from_the_environment() -> None:
    assert from_environment({}) is None
    assert from_environment({"SEATRIAL_USERNAME": "u", "SEATRIAL_PASSWORD": "p"}) == Credentials("u", "p")
    for half in ("SEATRIAL_USERNAME", "SEATRIAL_PASSWORD"):
        with pytest.raises(BadCredentials, match="without"):
            from_environment({half: "x"})


def test_credentials_that_are_given_win() -> None:
    environment = {"SEATRIAL_USERNAME": "u", "SEATRIAL_PASSWORD": "p", "DOCKER_CONFIG": "/nowhere"}
    assert load_credentials(URL, "a", "b", environment=environment) == Credentials("a", "b")
    assert load_credentials(URL, environment=environment) == Credentials("u", "p")
    assert load_credentials(URL, environment={"DOCKER_CONFIG": "/nowhere"}) is None
    with pytest.raises(BadCredentials, match="--password"):
        load_credentials(URL, "a", environment={})


def docker(folder: Path, config: object) -> dict[str, str]:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.mark.parametrize(
    "key", ["reg.example:5000", "https://reg.example:5000", "https://reg.example:5000/v2/"]
)
def test_credentials_from_docker(tmp_path: Path, key: str) -> None:
    auth = base64.b64encode(b"u:p:q").decode()
    environment = docker(tmp_path, {"auths": {"other": {"auth": "x"}, key: {"auth": auth}}})
    assert load_credentials(URL, environment=environment) == Credentials("u", "p:q")


def test_credentials_from_docker_for_its_hub(tmp_path: Path) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"u:p").decode()}}
    docker(tmp_path, {"auths": auths})
    hub = parse_base("https://registry-1.docker.io")
    assert from_docker(hub, tmp_path / "config.json") == Credentials("u", "p")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("{", "cannot be read"),
        ([], "not a JSON object"),
        ({"auths": {"reg.example:5000": {"auth": "!!"}}}, "base64"),
        ({"auths": {"reg.example:5000": {"auth": base64.b64encode(b"nocolon").decode()}}}, "base64"),
        ({"auths": {"reg.example:5000": {}}, "credsStore": "desktop"}, "'desktop', which is not supported"),
        ({"credHelpers": {"reg.example:5000": "ecr"}}, "'ecr', which is not supported"),
        ({"auths": {"reg.example:5000": {"identitytoken": "x"}}}, "identity token"),
    ],
)
def test_what_docker_keeps_elsewhere_is_told_in_a_line(tmp_path: Path, config: object, why: str) -> None:
    environment = docker(tmp_path, config)
    with pytest.raises(BadCredentials, match=why) as caught:
        load_credentials(URL, environment=environment)
    assert "\n" not in str(caught.value)


def test_a_credential_store_for_other_registries_does_not_matter(tmp_path: Path) -> None:
    assert load_credentials(URL, environment=docker(tmp_path, {"auths": {}, "credsStore": "desktop"})) is None
