"""A registry at a URL: is it one, and the commands that control it."""

from __future__ import annotations

import shlex
import socket
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.history import Promises
from harness.targets import url as module
from harness.targets.base import TargetError
from harness.targets.host import Port
from harness.targets.url import UrlTarget
from harness.wire import Credentials

from .conftest import FAKE, Serve, body

Reply = tuple[int, dict[str, str], bytes]


def registry(request: BaseHTTPRequestHandler) -> Reply:
    return (200, {}, b"{}") if request.path == "/v2/" else (404, {}, b"")


def locked(request: BaseHTTPRequestHandler) -> Reply:
    right = "Basic " + b64encode(b"me:secret").decode()
    if request.headers.get("Authorization") == right:
        return 200, {}, b""
    return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b""


def test_a_registry_is_accepted(serve: Serve) -> None:
    target = UrlTarget(serve(registry) + "/")
    target.open()
    target.fresh()
    assert target.running()
    assert not target.owned
    assert target.controls == set()
    assert not target.url.endswith("/")
    assert target.promises.collection == "none"
    target.close()


class OneDoor:
    """A tap that always leads the same way."""

    closed = False

    def client(self, port: int) -> int:
        return port + 1

    backend = client

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001"),
        ("http://localhost:5000/", "http://127.0.0.1:5001"),
        ("https://127.0.0.1:5000", "https://127.0.0.1:5000"),
        ("http://registry.example:5000", "http://registry.example:5000"),
    ],
)
def test_a_tap_stands_before_a_registry_on_this_machine(url: str, through: str) -> None:
    tap = OneDoor()
    target = UrlTarget(url, tap=tap)
    assert target.url == through
    assert target.name == url.rstrip("/")
    target.close()
    assert tap.closed


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (None, None),
        (Credentials("me", "secret"), None),
        (Credentials("me", "guess"), "refuses the credentials of 'me': wrong user name or password$"),
    ],
)
def test_credentials(serve: Serve, credentials: Credentials | None, error: str | None) -> None:
    target = UrlTarget(serve(locked), credentials=credentials)
    if error is None:
        target.open()
    else:
        with pytest.raises(TargetError, match=error):
            target.open()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((404, {}, b"x"), "is not a registry: GET /v2/ answers 404"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, b"<p>"), "answers 200 with a web page"),
        ((403, {}, b'{"errors":[{"code":"DENIED"}]}'), r"lets nobody in: .* 403 \(server: .*, DENIED\)"),
        ((503, {}, b'{"errors":[1]}'), "is not a registry: GET /v2/ answers 503"),
    ],
)
def test_what_is_no_registry(serve: Serve, reply: Reply, error: str) -> None:
    with pytest.raises(TargetError, match=error) as caught:
        UrlTarget(serve(lambda _: reply)).open()
    assert "\n" not in str(caught.value)


def test_an_unknown_way_of_authentication(serve: Serve) -> None:
    target = UrlTarget(
        serve(lambda _: (401, {"WWW-Authenticate": "Negotiate"}, b"")), credentials=Credentials("a", "b")
    )
    with pytest.raises(TargetError, match=r"in a way that is not known here \(Negotiate"):
        target.open()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("localhost:5000", "write http://localhost:5000"),
        ("http://localhost:5000/v2/", "has a path"),
        ("ftp://localhost", "http://"),
    ],
)
def test_urls_that_cannot_be_used(url: str, error: str) -> None:
    with pytest.raises(TargetError, match=error):
        UrlTarget(url)


def test_nobody_there() -> None:
    port = Port()
    with pytest.raises(TargetError, match="nothing listens there"):
        UrlTarget(f"http://127.0.0.1:{port.number}").open()
    port.close()


def test_no_http_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        import threading

        def talk() -> None:
            connection, _ = server.accept()
            connection.sendall(b"220 mail ESMTP\r\n")
            connection.close()

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(TargetError, match=r"does not speak HTTP|closes the connection|resets"):
            UrlTarget(f"http://127.0.0.1:{server.getsockname()[1]}").open()


def test_commands_kill_and_restart(tmp_path: Path) -> None:
    port = Port()
    pid = tmp_path / "pid"
    fake = shlex.join([sys.executable, "-I", "-S", FAKE, str(port.number)])
    target = UrlTarget(
        f"http://127.0.0.1:{port.number}",
        restart_command=f"[ -e {pid} ] && kill -9 $(cat {pid}); {fake} & echo $! > {pid}; echo started",
        kill_command=f"kill -9 $(cat {pid}); rm {pid}",
    )
    assert target.controls == {"kill", "restart"}
    try:
        assert not target.running()
        target.start()
        first = body(target.url)
        target.start()
        assert body(target.url) == first
        target.restart()
        assert body(target.url) != first
        target.kill()
        assert not target.running()
        assert "started" in target.log()
    finally:
        if pid.exists():
            target.kill()
        target.close()
        port.close()


def test_a_command_that_fails_is_quoted(serve: Serve) -> None:
    target = UrlTarget(serve(registry), restart_command="echo one; echo two >&2; exit 3")
    with pytest.raises(TargetError, match=r"restart command '.*' ended with status 3: two$"):
        target.restart()
    target.close()


def test_a_command_that_hangs_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND_LIMIT_S", 0.1)
    target = UrlTarget(serve(registry), restart_command="while :; do :; done")
    with pytest.raises(TargetError, match=r"took over 0\.1 s"):
        target.restart()
    target.close()


def test_a_kill_that_does_nothing_is_noticed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_LIMIT_S", 0.1)
    target = UrlTarget(serve(registry), kill_command="true", restart_command="true")
    with pytest.raises(TargetError, match=r"still answers 0\.1 s after 'true'"):
        target.kill()
    target.close()


def test_the_collector_is_told_what_to_do(serve: Serve) -> None:
    target = UrlTarget(
        serve(registry), gc_command='echo "$SEATRIAL_URL ${SEATRIAL_UNTAGGED:-no}"; echo e >&2; exit 5'
    )
    assert target.controls == {"collect", "hold"}
    assert target.promises.collection == "offline"
    seen: list[str] = []
    collected = target.collect(untagged=True, gate=seen.append)
    assert (collected.code, collected.lines, collected.removed) == (5, (f"{target.url} 1", "e"), None)
    assert target.collect(untagged=False).lines[0] == f"{target.url} no"
    assert seen == [f"{target.url} 1"]
    target.close()


@pytest.mark.parametrize(
    ("act", "option"),
    [("kill", "--kill-cmd and --restart-cmd"), ("restart", "--restart-cmd"), ("collect", "--gc-cmd")],
)
def test_without_the_control_the_option_is_named(serve: Serve, act: str, option: str) -> None:
    target = UrlTarget(serve(registry), kill_command="true", promises=Promises(collection="online"))
    with pytest.raises(TargetError, match=f"no control '{act}'; give {option}$"):
        target.collect(untagged=False) if act == "collect" else getattr(target, act)()
    with pytest.raises(TargetError, match="did not start it"):
        target.pause()
    target.close()
