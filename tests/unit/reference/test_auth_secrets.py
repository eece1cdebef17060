"""No secret shows in what is printed, logged or answered."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_impl.auth.settings import AuthSettings
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry.store import Registry

from .accounts import PASSWORDS, Client, ec_key, htpasswd, issuing_settings, token
from .images import sha

TYPED = "hunter2-typed-wrong"
HEADERS = [
    "Basic " + base64.b64encode(f"alice:{PASSWORDS['alice']}".encode()).decode(),
    "Basic " + base64.b64encode(f"alice:{TYPED}".encode()).decode(),
    "Basic " + base64.b64encode(f"nobody:{TYPED}".encode()).decode(),
    f"Basic {TYPED}",
    f"Basic {base64.b64encode(TYPED.encode()).decode()}",
    f"Bearer {TYPED}",
    f"Bearer a.{TYPED}.c",
    "Bearer " + token(ec_key(), TYPED, []),
    f"{TYPED} {TYPED}",
    TYPED,
]


class Broken(MemoryDriver):
    """Fails in ways that are reported with a traceback."""

    def list(self, path: str) -> list[str]:
        raise OSError("a disk that fails")

    def read(self, path: str) -> bytes:
        raise RuntimeError("a defect")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, at every level, by every library but the client's."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(lambda record: not record.name.startswith("httpx"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def _shown(client: Client, secrets: list[str]) -> str:
    """Ask for everything with everything; returns what was answered."""
    said = []
    for header in [*HEADERS, *secrets]:
        for method, path in (
            ("GET", "/v2/"),
            ("GET", "/v2/_catalog"),
            ("GET", "/v2/a/tags/list"),
            ("GET", "/v2/a/manifests/t"),
            ("HEAD", f"/v2/a/blobs/{sha(b'x')}"),
            ("POST", f"/v2/a/blobs/uploads/?mount={sha(b'x')}&from=b"),
            ("PATCH", "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000"),
            ("BREW", "/v2/a/tags/list"),
            ("GET", "/nothing"),
            ("GET", "/token?service=other"),
        ):
            answer = client(method, path, header)
            said.append(f"{answer.headers} {answer.text}")
    return "\n".join(said)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_no_secret_shows(
    tmp_path: Path, kind: str, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    issued: list[str] = []
    if kind == "basic":
        settings = AuthSettings(kind="basic", htpasswd=htpasswd(tmp_path))
    else:
        settings = issuing_settings(tmp_path)
    client = Client(settings, Registry(Broken()))
    said = ""
    if kind == "bearer":
        scope = {"scope": "registry:catalog:* repository:a:pull,push"}
        for header in HEADERS:
            answer = client("GET", "/token", header, params=scope)
            if answer.status_code == 200:
                issued.append(answer.json()["token"])
            else:
                said += answer.text
        for password in (PASSWORDS["alice"], TYPED):
            form = {"grant_type": "password", "username": "alice", "password": password}
            answer = client("POST", "/token", data=form)
            if answer.status_code == 200:
                issued.append(answer.json()["token"])
            else:
                said += answer.text
        assert len(issued) == 2
    said += _shown(client, [f"Bearer {one}" for one in issued])
    # A file that is broken while the server runs is complained about, but not shown.
    hashes = (tmp_path / "htpasswd").read_text()
    (tmp_path / "htpasswd").write_text(hashes + f"carol:{TYPED}\n")
    said += _shown(client, [])
    client.close()

    printed, complained = capfd.readouterr()
    seen = said + printed + complained + logged.getvalue()
    assert "a disk that fails" in complained or "a disk that fails" in logged.getvalue()
    assert "the hash of 'carol' is not bcrypt" in logged.getvalue()
    lines = [line for line in hashes.splitlines() if line and not line.startswith("#")]
    secrets = [
        TYPED,
        *(header.partition(" ")[2] or header for header in HEADERS),
        *PASSWORDS.values(),
        *(line.partition(":")[2] for line in lines),
        *issued,
        *(one.rpartition(".")[2] for one in issued),
        "PRIVATE KEY",
    ]
    assert [secret for secret in secrets if secret in seen] == []


def test_settings_and_accounts_show_no_secret(tmp_path: Path) -> None:
    settings = issuing_settings(tmp_path)
    client = Client(settings)
    client("GET", "/token", "alice")
    shown = repr(settings) + repr(vars(client.authorizer)) + repr(vars(client.authorizer.tokens))
    assert not any(password in shown for password in PASSWORDS.values())
    client.close()
