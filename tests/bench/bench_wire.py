"""What the wire client costs: ``python -m tests.bench.bench_wire [--rounds 40] [--requests 100]
[--mib 1024]``.

Small requests: one server process answers a prepared answer at once; wire, httpx, the wire client
as httpx's transport, and a bare blocking socket that sends a prepared request and reads take turns,
round by round, in one process, so that what the machine does meanwhile hits all of them. Printed
are medians over the rounds, and ratios of medians. Large bodies: a child process pushes and pulls
so many MiB; printed are MiB/s and by how much its peak of resident memory (ru_maxrss) grew over
that of a few small requests."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import h11
import httpx

from harness.wire import Client, Request, WireTransport, bytes_source

DIGEST = "sha256:" + "0" * 64
PATH = f"/v2/library/alpine/manifests/{DIGEST}"
SMALL = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 2\r\n"
    b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
    b"Docker-Content-Digest: " + DIGEST.encode() + b"\r\n\r\n{}"
)
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Zeros:
    """A body that is made while it is sent."""

    size_bytes: int

    def chunks(self) -> Iterator[bytes]:
        piece = bytes(PIECE_BYTES)
        for _ in range(self.size_bytes // PIECE_BYTES):
            yield piece


def _serve(sock: socket.socket) -> None:
    """Answers ``SMALL`` at once; a path ``/pull/N`` with N bytes; a PUT after its whole body."""
    while True:
        peer, _ = sock.accept()
        threading.Thread(target=_talk, args=(peer,), daemon=True).start()


def _talk(peer: socket.socket) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    zeros = bytes(PIECE_BYTES)
    with peer:
        while data := peer.recv(65536):
            if data.startswith(b"GET /pull/"):
                left = int(data[10:].split(b" ", 1)[0])
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
                while left:
                    peer.sendall(zeros[:left])
                    left -= min(left, PIECE_BYTES)
                continue
            if data.startswith(b"PUT /push"):
                head, _, body = data.partition(b"\r\n\r\n")
                left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
                buffer = bytearray(PIECE_BYTES)
                while left:
                    left -= peer.recv_into(buffer, min(left, PIECE_BYTES))
            peer.sendall(SMALL)


@contextmanager
def server() -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(sock,), daemon=True)
        process.start()
        try:
            yield sock.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def small_requests(rounds: int, requests: int) -> dict[str, float]:
    """Microseconds per request, by name."""
    with server() as port:
        base = f"http://127.0.0.1:{port}"
        wire = Client(base)
        over_wire = httpx.Client(transport=WireTransport(Client(base)))
        plain = httpx.Client()
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fields = f"Host: 127.0.0.1:{port}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        head = f"GET {PATH} HTTP/1.1\r\n{fields}\r\n".encode()
        accept = (("Accept", "*/*"),)

        def by_raw() -> None:
            raw.sendall(head)
            raw.recv(65536)

        def by_wire() -> None:
            assert wire.send(Request("GET", PATH, accept)).complete

        def by_httpx() -> None:
            assert plain.get(base + PATH).content

        def by_transport() -> None:
            assert over_wire.get(base + PATH).content

        ways: dict[str, Callable[[], None]] = {
            "raw": by_raw,
            "wire": by_wire,
            "httpx": by_httpx,
            "httpx over wire": by_transport,
            "h11 alone": h11_alone,
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                begun = time.perf_counter()
                for _ in range(requests):
                    way()
                if turn:
                    taken[name].append((time.perf_counter() - begun) / requests * 1e6)
        for client in (wire, over_wire, plain, raw):
            client.close()
    return {name: statistics.median(values) for name, values in taken.items()}


def h11_alone() -> None:
    """What h11 costs when it does everything, on a fresh connection object, without any I/O."""
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "127.0.0.1:5000"), ("Accept", "*/*"), ("User-Agent", "bench")]
    connection.send(h11.Request(method="GET", target=PATH, headers=headers))
    connection.send(h11.EndOfMessage())
    connection.receive_data(SMALL)
    while type(connection.next_event()) is not h11.EndOfMessage:
        pass


def large_bodies(port: int, mib: int) -> None:
    """In the child: push and pull, print MiB/s and the growth of the peak."""
    client = Client(f"http://127.0.0.1:{port}")
    for _ in range(20):
        assert client.send(Request("PUT", "/small", body=bytes_source(b"x" * 4096))).complete
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size_bytes = mib << 20
    result: dict[str, float] = {}
    for name, request in (
        ("push", Request("PUT", "/push", body=Zeros(size_bytes))),
        ("pull", Request("GET", f"/pull/{size_bytes}")),
        ("pull unhashed", Request("GET", f"/pull/{size_bytes}", digests=())),
    ):
        begun = time.perf_counter()
        answer = client.send(request)
        result[f"{name} MiB/s"] = mib / (time.perf_counter() - begun)
        assert answer.complete, answer
        assert (answer.sent_bytes if request.body else answer.size_bytes) == size_bytes
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    result["peak grew by MiB"] = grown_kib / 1024
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--large", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large:
        large_bodies(options.large, options.mib)
        return
    costs = small_requests(options.rounds, options.requests)
    for name, cost_us in costs.items():
        print(f"{name:16} {cost_us:7.1f} us per request")
    print(f"wire / raw       {costs['wire'] / costs['raw']:7.2f}")
    print(f"wire / httpx     {costs['wire'] / costs['httpx']:7.2f}")
    print(f"transport / httpx{costs['httpx over wire'] / costs['httpx']:7.2f}")
    if options.mib:
        with server() as port:
            command = [
                sys.executable,
                "-m",
                "tests.bench.bench_wire",
                "--large",
                str(port),
                "--mib",
                str(options.mib),
            ]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for name, value in json.loads(said).items():
            print(f"{name:16} {value:7.1f}")


if __name__ == "__main__":
    main()
