"""What is measured of a registry, over one raw connection or several, all from outside."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .raw import RawClient, path_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TYPED = f"Content-Type: {MANIFEST}\r\n"
ACCEPT = f"Accept: {MANIFEST}\r\n"
PIECE_BYTES = 1 << 20
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done in one round."""

    large_mib: int = 256
    chunk_mib: int = 16
    pushes: int = 300
    reads: int = 2000
    moves: int = 300
    images_per_client: int = 12


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# -- single steps ---------------------------------------------------------------------------


def push(client: RawClient, repo: str, data: bytes) -> str:
    """POST, then PUT with the whole body, as most clients push small blobs."""
    name = digest(data)
    location = path_of(client.send("POST", f"/v2/{repo}/blobs/uploads/", expect=202).location)
    client.send("PUT", with_digest(location, name), data, expect=201)
    return name


def with_digest(location: str, name: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={name}"


def image(config: bytes, *layers: bytes) -> bytes:
    fields = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest(one), "size": len(one)} for one in layers],
    }
    return json.dumps(fields).encode()


def put(client: RawClient, repo: str, reference: str, body: bytes) -> None:
    client.send("PUT", f"/v2/{repo}/manifests/{reference}", body, TYPED, expect=201)


# -- measures: each returns a figure, and takes the address of a registry and a scale ----------


def large_push(place: str, scale: Scale) -> float:
    """MiB per second of a blob of ``large_mib`` in PATCHes of ``chunk_mib``, its digest known before."""
    body = _Large(scale.large_mib)
    client = RawClient(place)
    begun_s = time.perf_counter()
    _push_large(client, "bench/large", body, scale.chunk_mib)
    took_s = time.perf_counter() - begun_s
    client.close()
    return scale.large_mib / took_s


def streamed_push(place: str, scale: Scale) -> float:
    """MiB per second of the same in one PATCH of unknown length, as Docker pushes."""
    body = _Large(scale.large_mib)
    client = RawClient(place)
    begun_s = time.perf_counter()
    location = path_of(client.send("POST", "/v2/bench/large/blobs/uploads/", expect=202).location)
    answer = client.stream("PATCH", location, body.pieces(0, body.size_bytes), expect=202)
    client.send("PUT", with_digest(path_of(answer.location), body.digest), expect=201)
    took_s = time.perf_counter() - begun_s
    client.close()
    return scale.large_mib / took_s


def large_pull(place: str, scale: Scale) -> float:
    """MiB per second of pulling it, from the page cache."""
    body = _Large(scale.large_mib, seed=1)
    client = RawClient(place)
    path = f"/v2/bench/large/blobs/{body.digest}"
    if client.send("HEAD", path).status != 200:
        _push_large(client, "bench/large", body, scale.chunk_mib)
    begun_s = time.perf_counter()
    answer = client.send("GET", path, expect=200)
    took_s = time.perf_counter() - begun_s
    client.close()
    assert answer.body_bytes == body.size_bytes
    return scale.large_mib / took_s


def small_pushes(place: str, scale: Scale) -> float:
    """Blobs of 1 KiB per second, by POST and PUT, one client."""
    blobs = [os.urandom(1024) for _ in range(scale.pushes)]
    client = RawClient(place)
    push(client, "bench/small", os.urandom(1024))
    begun_s = time.perf_counter()
    for data in blobs:
        push(client, "bench/small", data)
    took_s = time.perf_counter() - begun_s
    client.close()
    return len(blobs) / took_s


def _small_image(client: RawClient, repo: str, *tags: str, seed: int = 0) -> bytes:
    drawn = random.Random(seed)
    config, layer = drawn.randbytes(1024), drawn.randbytes(4096)
    push(client, repo, config)
    push(client, repo, layer)
    body = image(config, layer)
    for tag in tags:
        put(client, repo, tag, body)
    return body


def manifest_reads(place: str, scale: Scale) -> float:
    """GETs of one manifest by its tag per second, one client."""
    client = RawClient(place)
    _small_image(client, "bench/reads", "t")
    path = "/v2/bench/reads/manifests/t"
    for _ in range(50):
        client.send("GET", path, b"", ACCEPT, expect=200)
    begun_s = time.perf_counter()
    for _ in range(scale.reads):
        client.send("GET", path, b"", ACCEPT, expect=200)
    took_s = time.perf_counter() - begun_s
    client.close()
    return scale.reads / took_s


def manifest_reads_by_many(place: str, scale: Scale) -> float:
    """The same by eight clients at once."""

    def read(number: int) -> Callable[[], int]:
        client = RawClient(place)
        if number == 0:
            _small_image(client, "bench/reads", "t")

        def work() -> int:
            for _ in range(scale.reads // 4):
                client.send("GET", "/v2/bench/reads/manifests/t", b"", ACCEPT, expect=200)
            client.close()
            return scale.reads // 4

        return work

    return _at_once(read)


def tag_moves(place: str, scale: Scale) -> float:
    """PUTs per second that move one tag between two manifests that are there, one client."""
    client = RawClient(place)
    bodies = [_small_image(client, "bench/moves", f"t{seed}", seed=seed) for seed in range(2)]
    put(client, "bench/moves", "t", bodies[0])
    begun_s = time.perf_counter()
    for number in range(scale.moves):
        put(client, "bench/moves", "t", bodies[(number + 1) % 2])
    took_s = time.perf_counter() - begun_s
    client.close()
    return scale.moves / took_s


def eight_clients(place: str, scale: Scale) -> float:
    """Images per second of eight clients, each of which pushes one of two small layers and pulls it again."""

    def begin(number: int) -> Callable[[], int]:
        client = RawClient(place)
        repo = f"bench/client-{number}"

        def work() -> int:
            for _ in range(scale.images_per_client):
                _push_and_pull(client, repo)
            client.close()
            return scale.images_per_client

        return work

    return _at_once(begin)


def _push_and_pull(client: RawClient, repo: str) -> None:
    parts = [os.urandom(size) for size in (1024, 4096, 65536)]
    for data in parts:
        push(client, repo, data)
    put(client, repo, "latest", image(*parts))
    client.send("GET", f"/v2/{repo}/manifests/latest", b"", ACCEPT, expect=200)
    for data in parts:
        client.send("GET", f"/v2/{repo}/blobs/{digest(data)}", expect=200)


def push_gib(place: str) -> float:
    """Seconds to push 1 GiB in PATCHes; what is of interest is the memory it takes the registry."""
    begun_s = time.perf_counter()
    client = RawClient(place)
    _push_large(client, "bench/huge", _Large(1024), 64)
    client.close()
    return time.perf_counter() - begun_s


# -- bodies and clients -------------------------------------------------------------------------


class _Large:
    """A body of so many MiB, new each time unless seeded, that needs no memory."""

    def __init__(self, mib: int, seed: int | None = None) -> None:
        self.size_bytes = mib << 20
        self._first = os.urandom(16) if seed is None else random.Random(seed).randbytes(16)
        self._block = random.Random(7).randbytes(PIECE_BYTES)
        whole = hashlib.sha256()
        for piece in self.pieces(0, self.size_bytes):
            whole.update(piece)
        self.digest = f"sha256:{whole.hexdigest()}"

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        for offset in range(start, end, PIECE_BYTES):
            yield self._first + self._block[16:] if offset == 0 else self._block


def _push_large(client: RawClient, repo: str, body: _Large, chunk_mib: int) -> None:
    location = path_of(client.send("POST", f"/v2/{repo}/blobs/uploads/", expect=202).location)
    for start in range(0, body.size_bytes, chunk_mib << 20):
        end = min(start + (chunk_mib << 20), body.size_bytes)
        answer = client.send_pieces("PATCH", location, start, end, body.pieces(start, end), expect=202)
        location = path_of(answer.location)
    client.send("PUT", with_digest(location, body.digest), expect=201)


def _at_once(begin: Callable[[int], Callable[[], int]]) -> float:
    """How much the clients got done per second, each in a process of its own, all started together."""
    fork = multiprocessing.get_context("fork")
    gate, done = fork.Barrier(CLIENTS + 1), fork.SimpleQueue()

    def run(number: int) -> None:
        count = 0
        try:
            work = begin(number)
            gate.wait(60)
            count = work()
        finally:
            done.put(count)

    processes = [fork.Process(target=run, args=(number,)) for number in range(CLIENTS)]
    for process in processes:
        process.start()
    gate.wait(60)
    begun_s = time.perf_counter()
    counts: list[int] = [done.get() for _ in processes]
    took_s = time.perf_counter() - begun_s
    for process in processes:
        process.join()
    assert all(counts), "a client failed"
    return sum(counts) / took_s
