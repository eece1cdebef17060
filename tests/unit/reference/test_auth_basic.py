"""Basic authentication over HTTP."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from reference_impl import auth
from reference_impl.auth.settings import AuthSettings, BadSettings, Rule

from .accounts import PASSWORDS, Client, hashed, htpasswd, methods, replace
from .images import error_codes, sha

CHALLENGE = 'Basic realm="registry"'
Open = Callable[..., Client]
Checks = list[tuple[bytes, bytes, str]]
"""What bcrypt compared, and in which thread."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    clients = []

    def with_settings(**more: Any) -> Client:
        client = Client(AuthSettings(**{"kind": "basic", "htpasswd": htpasswd(tmp_path)} | more))
        clients.append(client)
        return client

    yield with_settings
    for client in clients:
        client.close()


def encoded(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_every_endpoint_wants_a_login(opened: Open) -> None:
    client = opened()
    asked = list(methods(client.app))
    assert len(asked) > 20
    for method, path in asked:
        answer = client(method, path)
        assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, CHALLENGE), (
            method,
            path,
        )
        if method == "HEAD":  # its body is only measured
            assert answer.headers["content-length"] == client("GET", path).headers["content-length"]
        else:
            assert error_codes(answer) == ["UNAUTHORIZED"]
        assert client(method, path, "alice").status_code != 401


@pytest.mark.parametrize(
    "header",
    [
        encoded("alice", "wrong"), encoded("alice", ""), encoded("nobody", PASSWORDS["alice"]),
        encoded("Alice", PASSWORDS["alice"]), encoded("alice", PASSWORDS["bob"]), encoded("", "x"),
        encoded("alice", "alice's secret\0"), encoded("alice", "x" * 5000), encoded("# accounts", ""),
        "Basic", "Basic ", "Basic !", "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Basic " + base64.b64encode(b"alice").decode(), "Bearer x", "Negotiate x", "x", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("anonymous_pull", [False, True])
def test_what_is_not_a_login(opened: Open, header: str, anonymous_pull: bool) -> None:
    answer = opened(anonymous_pull=anonymous_pull)("GET", "/v2/a/tags/list", header)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, CHALLENGE)


def test_logins(opened: Open) -> None:
    client = opened()
    for who in PASSWORDS:
        assert client("GET", "/v2/", who).status_code == 200
    assert (
        client("GET", "/v2/", encoded("alice", PASSWORDS["alice"]).replace("Basic", "bASIC")).status_code
        == 200
    )


def test_rights_decide(opened: Open) -> None:
    rules = (
        Rule("*", "**", ("pull",)),
        Rule("alice", "team/**", ("push",)),
        Rule("alice", "**", ("catalog",)),
    )
    client = opened(rules=rules)
    blob = f"/v2/team/a/blobs/uploads/?digest={sha(b'x')}"
    assert client("POST", blob, "alice", content=b"x").status_code == 201
    assert client("GET", f"/v2/team/a/blobs/{sha(b'x')}", "bob").content == b"x"
    for method, path, who in (
        ("POST", blob, "bob"),
        ("POST", "/v2/other/blobs/uploads/", "alice"),
        ("PUT", "/v2/team/a/manifests/t", "bob"),
        ("DELETE", f"/v2/team/a/blobs/{sha(b'x')}", "alice"),
        ("DELETE", "/v2/team/a/manifests/t", "alice"),
        ("GET", "/v2/_catalog", "bob"),
    ):
        answer = client(method, path, who, content=b"x" if method == "POST" else None)
        assert (answer.status_code, error_codes(answer)) == (403, ["DENIED"]), (method, path)
        assert "www-authenticate" not in answer.headers
    assert client("GET", f"/v2/team/a/blobs/{sha(b'x')}", "bob").content == b"x"
    assert client("GET", "/v2/_catalog", "alice").json() == {"repositories": ["team/a"]}


def test_anonymous_pull(opened: Open) -> None:
    client = opened(anonymous_pull=True)
    client("POST", f"/v2/a/blobs/uploads/?digest={sha(b'x')}", "alice", content=b"x")
    for who in (None, encoded("", "")):  # the second is what skopeo sends without credentials
        assert client("GET", f"/v2/a/blobs/{sha(b'x')}", who).content == b"x"
        assert client("GET", "/v2/a/tags/list", who).status_code == 200
        for method, path in (
            ("GET", "/v2/"),  # else Docker would never send its credentials
            ("GET", "/v2/_catalog"),
            ("POST", "/v2/a/blobs/uploads/"),
            ("DELETE", f"/v2/a/blobs/{sha(b'x')}"),
        ):
            answer = client(method, path, who)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, CHALLENGE)


def test_realm(opened: Open) -> None:
    assert opened(realm="Our (test) realm")("GET", "/v2/").headers["www-authenticate"] == (
        'Basic realm="Our (test) realm"'
    )


def test_accounts_change_while_it_runs(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = opened()

    def statuses() -> list[int]:
        return [
            client("GET", "/v2/", encoded(*one)).status_code for one in [*PASSWORDS.items(), ("carol", "new")]
        ]

    path = tmp_path / "htpasswd"
    assert statuses() == [200, 200, 401]
    replace(path, f"carol:{hashed('new')}\nalice:{hashed('changed')}\n".encode())
    assert statuses() == [401, 401, 200]
    for password in ("first", "other"):  # in place, and of the same length
        path.write_text(f"carol:{hashed(password)}\n")
        assert client("GET", "/v2/", encoded("carol", password)).status_code == 200

    replace(path, b"bob:{SHA}nothing\n")
    assert statuses() == [401, 401, 401]
    assert client("GET", "/v2/", encoded("carol", "other")).status_code == 200
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert f"auth.htpasswd: {path}: line 1: the hash of 'bob' is not bcrypt" in warnings[0]
    path.unlink()
    assert client("GET", "/v2/", encoded("carol", "other")).status_code == 401
    htpasswd(tmp_path)
    assert statuses() == [200, 200, 401]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["alice:$apr1$x$y"], "line 1: the hash of 'alice' is not bcrypt: make it with 'htpasswd -B'"),
        (["# x", "", "alice:{SHA}x"], "line 3: the hash of 'alice' is not bcrypt"),
        (["alice:" + hashed("x"), "bob:plain"], "line 2: the hash of 'bob' is not bcrypt"),
        (["alice:" + hashed("x").replace("$2y$", "$2x$")], "line 1: the hash of 'alice' is not bcrypt"),
        (["alice:" + hashed("x")[:-1]], "line 1: the hash of 'alice' is not bcrypt"),
        (["alice"], "line 1: not of the form name:hash"),
        ([":" + hashed("x")], "line 1: not of the form name:hash"),
        (["anonymous:" + hashed("x")], "line 1: the name 'anonymous' has a meaning in rules"),
        (["*:" + hashed("x")], "line 1: the name '*' has a meaning in rules"),
        (["a:" + hashed("x"), "a:" + hashed("y")], "line 2: 'a' is there already"),
        (["\udcff:" + hashed("x")], "line 1: not UTF-8"),
    ],
)
def test_htpasswd_files_that_are_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(BadSettings) as caught:
        auth.build(AuthSettings(kind="basic", htpasswd=str(path)))
    assert str(caught.value).startswith(f"auth.htpasswd: {path}: {said}")
    assert "\n" not in str(caught.value)
    assert "$" not in str(caught.value).removeprefix(f"auth.htpasswd: {path}")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    done: Checks = []
    checkpw = bcrypt.checkpw

    def record(password: bytes, stored: bytes) -> bool:
        done.append((password, stored, threading.current_thread().name))
        return checkpw(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", record)
    return done


def test_a_password_is_hashed_once(opened: Open, tmp_path: Path, checks: Checks) -> None:
    client = opened()
    for _ in range(5):
        assert client("GET", "/v2/", "alice").status_code == 200
    assert len(checks) == 1
    assert checks[0][2].startswith("vetting")  # not in the event loop's thread
    for _ in range(3):
        assert client("GET", "/v2/", encoded("alice", "wrong")).status_code == 401
    assert len(checks) == 4  # guesses are never cheap
    htpasswd(tmp_path)
    assert client("GET", "/v2/", "alice").status_code == 200
    assert len(checks) == 5


def test_unknown_names_cost_as_much(opened: Open, tmp_path: Path, checks: Checks) -> None:
    (tmp_path / "costs").write_text(f"a:{hashed('x', 4)}\nb:{hashed('x', 6)}\n")
    client = opened(htpasswd=str(tmp_path / "costs"))
    assert client("GET", "/v2/", encoded("nobody", "x")).status_code == 401
    assert [stored[4:6] for _, stored, _ in checks] == [b"06"]


def test_long_passwords(opened: Open, tmp_path: Path) -> None:
    """bcrypt looks at 72 bytes, and so does the ``htpasswd`` program."""
    (tmp_path / "long").write_text(f"a:{hashed('x' * 72)}\n")
    client = opened(htpasswd=str(tmp_path / "long"))
    assert client("GET", "/v2/", encoded("a", "x" * 100)).status_code == 200
    assert client("GET", "/v2/", encoded("a", "x" * 71)).status_code == 401


def test_good_logins_that_are_known_need_no_thread(tmp_path: Path) -> None:
    authorizer = auth.build(AuthSettings(kind="basic", htpasswd=htpasswd(tmp_path)))
    headers = {"authorization": encoded("alice", PASSWORDS["alice"])}
    assert authorizer.may_block(headers)
    assert authorizer.authorize(headers, []).name == "alice"
    assert not authorizer.may_block(headers)
    assert not authorizer.may_block({})
    assert not auth.build(AuthSettings()).may_block(headers)


def test_storage_works_while_passwords_are_guessed(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    client = opened(anonymous_pull=True)
    guessed, go_on = threading.Semaphore(0), threading.Event()

    def slow(password: bytes, stored: bytes) -> bool:
        guessed.release()
        return not go_on.wait(20)

    monkeypatch.setattr(bcrypt, "checkpw", slow)

    async def guess_and_pull() -> tuple[int, list[int]]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as web:
            guesses = [
                asyncio.ensure_future(
                    web.get("/v2/", headers={"Authorization": encoded("alice", str(number))})
                )
                for number in range(100)
            ]
            await asyncio.to_thread(guessed.acquire, timeout=20)
            pulled = await web.get("/v2/a/tags/list")
            go_on.set()
            return pulled.status_code, [(await one).status_code for one in guesses]

    assert asyncio.run(guess_and_pull()) == (404, [401] * 100)
