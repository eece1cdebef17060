"""A server with accounts and a token endpoint, as an operator starts it and a client meets it."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest

from .accounts import PASSWORDS, htpasswd
from .conftest import Server
from .images import image, sha

LAYER = b"a layer"


def free_port() -> int:
    """The realm has to name the port before it is listened on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Docker(httpx.Auth):
    """Answers challenges the way Docker does.  ``bought`` are the tokens so far."""

    def __init__(self, name: str) -> None:
        self._login = httpx.BasicAuth(name.encode(), PASSWORDS[name].encode())
        self.bought: list[str] = []

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        refused = yield request
        if refused.status_code != 401:
            return
        asked = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers["www-authenticate"]))
        query = [("service", asked["service"])] + [("scope", one) for one in asked.get("scope", "").split()]
        to_sell = httpx.Request("GET", asked["realm"], params=query)
        sold = yield next(self._login.auth_flow(to_sell))
        if sold.status_code == 200:
            sold.read()
            self.bought.append(sold.json()["token"])
            request.headers["Authorization"] = f"Bearer {self.bought[-1]}"
            yield request


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    (tmp_path / "settings.toml").write_text(f"""
[auth]
kind = "bearer"
realm = "http://127.0.0.1:{port}/token"
service = "registry.example"
htpasswd = "{htpasswd(tmp_path)}"
rules = [
    {{ account = "alice", repository = "team/**", actions = ["pull", "push", "delete"] }},
    {{ account = "bob", repository = "team/app", actions = ["pull"] }},
    {{ account = "bob", repository = "bobs/*", actions = ["pull", "push"] }},
]

[auth.token]
enabled = true
signing_key = "{tmp_path / "signing.pem"}"
""")
    options = ("--config", str(tmp_path / "settings.toml"), "--root", str(tmp_path / "store"))
    logging = ("--access-log", "--log-level", "debug", "--unsafe-no-fsync")
    started = Server(*options, *logging, "--port", str(port), log=tmp_path / "log")
    yield started
    assert started.stop() == 0


def push(client: httpx.Client, repository: str) -> bytes:
    for data in (b"{}", LAYER):
        begun = client.post(f"/v2/{repository}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        location = begun.headers["location"]
        assert client.patch(location, content=data).status_code == 202
        assert client.put(location, params={"digest": sha(data)}).status_code == 201
    body = image(b"{}", LAYER)
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    assert client.put(f"/v2/{repository}/manifests/t", content=body, headers=headers).status_code == 201
    return body


def test_push_pull_and_mount_with_tokens(server: Server) -> None:
    names = {name: Docker(name) for name in PASSWORDS}
    with (
        httpx.Client(base_url=server.url, timeout=20, auth=names["alice"]) as alice,
        httpx.Client(base_url=server.url, timeout=20, auth=names["bob"]) as bob,
    ):
        assert alice.get("/v2/").status_code == 200
        body = push(alice, "team/app")
        assert bob.get("/v2/team/app/manifests/t").content == body
        assert bob.put("/v2/team/app/manifests/t", content=body).status_code == 401
        assert bob.get("/v2/team/other/tags/list").status_code == 401

        mount = {"mount": sha(LAYER), "from": "team/app"}
        assert bob.post("/v2/bobs/app/blobs/uploads/", params=mount).status_code == 201
        assert bob.get(f"/v2/bobs/app/blobs/{sha(LAYER)}").content == LAYER
        mine = alice.post("/v2/team/mine/blobs/uploads/", params=mount)
        assert mine.status_code == 201
        assert push(alice, "team/secret") == body
        hidden = bob.post("/v2/bobs/new/blobs/uploads/", params=mount | {"from": "team/secret"})
        assert hidden.status_code == 202
        assert bob.get(f"/v2/bobs/new/blobs/{sha(LAYER)}").status_code == 404

        location = alice.post("/v2/team/app/blobs/uploads/").headers["location"]
        server.client.close()
        server.kill()
        server.start()  # the key, and so the tokens, outlive it
        held = {"Authorization": f"Bearer {names['alice'].bought[-1]}"}
        assert server.client.get(location, headers=held).status_code == 204
    assert server.client.get(location).status_code == 401
    tokens = [one for name in names.values() for one in name.bought]
    assert len(tokens) > 10
    log = server.logged()
    assert log.count("status=401") >= len(tokens)
    secrets = [*PASSWORDS.values(), *tokens, *(one.rpartition(".")[2] for one in tokens)]
    secrets += [base64.b64encode(f"{name}:{word}".encode()).decode() for name, word in PASSWORDS.items()]
    assert [secret for secret in secrets if secret in log] == []


def test_settings_that_cannot_work_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text("alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    ran = subprocess.run(
        [sys.executable, "-m", "reference_impl", "serve", "--driver", "memory", "--port", "0",
         "--set", "auth.kind=basic", "--set", f"auth.htpasswd={tmp_path / 'htpasswd'}"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert "auth.htpasswd" in ran.stderr
    assert "line 1: the hash of 'alice' is not bcrypt" in ran.stderr
    assert "5en6G6MezRroT3XKqkdPOmY" not in ran.stderr
