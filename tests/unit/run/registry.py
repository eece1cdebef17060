"""A small registry for the executor's tests: it keeps what it is given, in memory, in this process."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from harness.history import Promises
from harness.targets.base import Collected, LineGate


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def serve(self) -> None:
        body = self.body()
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        store = self.server.store
        upload = re.fullmatch(r"/v2/(.+)/blobs/uploads/(\d*)", parts.path)
        if upload is None:
            key = re.sub(r"/blobs/|/manifests/", "/", parts.path)
            if self.command == "PUT":
                store[key] = body
                store[f"{parts.path.rpartition('/')[0]}/{digest(body)}".replace("/manifests", "")] = body
                self.answer(201, Location=self.path)
            elif key in store:
                whole = store[key]
                self.answer(200, whole[: max(0, len(whole) - self.server.short_bytes)])
            else:
                self.answer(404)
        elif self.command == "POST":
            number = str(len(self.server.uploads))
            self.server.uploads[number] = b""
            self.answer(202, Location=f"{parts.path}{number}")
        elif upload[2] not in self.server.uploads:
            self.answer(404)
        else:
            number = upload[2]
            self.server.uploads[number] += body
            data = self.server.uploads[number]
            if self.command == "PUT" and "digest" in query:
                store[f"/v2/{upload[1]}/{query['digest'][0]}"] = data
                self.answer(201, Location=f"/v2/{upload[1]}/blobs/{query['digest'][0]}")
            else:
                status = 204 if self.command == "GET" else 202
                self.answer(status, Location=self.path, Range=f"0-{max(0, len(data) - 1)}")

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.short_bytes = 0


class MemoryTarget:
    """The registry above as a target; its collector prints three lines and removes nothing."""

    name = "memory"
    promises = Promises(collection="offline")
    controls: frozenset[str] = frozenset({"collect", "hold"})
    owned = True

    def __init__(self) -> None:
        self.server = Server()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def open(self) -> None: ...
    def fresh(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def running(self) -> bool:
        return True

    def log(self) -> str:
        return ""

    def collect(self, *, untagged: bool, gate: LineGate | None = None) -> Collected:
        lines = ("marking", "3 blobs marked", "done")
        for line in lines:
            if gate is not None:
                gate(line)
        return Collected(0, lines, 0)
