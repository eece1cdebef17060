from __future__ import annotations

import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.targets.command import CommandTarget
from harness.targets.description import Description

FAKE = str(Path(__file__).with_name("fake_registry.py"))
WAIT_S = 10.0

Make = Callable[..., CommandTarget]
Respond = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]
Serve = Callable[[Respond], str]


def fake(*options: str, **changes: Any) -> Description:
    command = ("{python}", "-I", "-S", FAKE, "{port}", *options)
    return replace(Description("fake", command, limit_s=WAIT_S), **changes)


def body(url: str) -> str:
    with urllib.request.urlopen(f"{url}/v2/", timeout=WAIT_S) as answer:
        text: str = answer.read().decode()
        return text


def eventually(check: Callable[[], bool]) -> bool:
    """Whether something becomes true within `WAIT_S`."""
    limit = time.monotonic() + WAIT_S
    while not check():
        if time.monotonic() > limit:
            return False
        time.sleep(0.002)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes targets, and closes them."""
    made: list[CommandTarget] = []

    def one(*options: str, **changes: Any) -> CommandTarget:
        made.append(CommandTarget(fake(*options, **changes)))
        return made[-1]

    yield one
    for target in made:
        target.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves HTTP on the loopback interface, in this process; gives the URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = respond(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No test may leave a running child of its own behind."""
    before = _children()
    yield
    assert eventually(lambda: not [pid for pid in _children() - before if "fake_registry" in _command(pid)])


def _children() -> set[int]:
    try:
        text = Path(f"/proc/{os.getpid()}/task/{threading.main_thread().native_id}/children").read_text()
    except OSError:
        return set()
    return {int(word) for word in text.split()}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
