"""The server as a process: restarts, crashes, two writers of one store, refusals to start."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from .conftest import PROJECT, Server, half_patch
from .images import image, push_blob, push_image, put_manifest, sha

FAST = ("--unsafe-no-fsync",)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_impl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=PROJECT)


def test_session_survives_a_kill(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path))
    body = push_image(server.client, "a", "t", b"layer")
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    assert server.client.patch(location, content=b"abc").status_code == 202
    half = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    sock = half_patch(server, half, b"x" * 4097, 10_000)
    server.kill()
    sock.close()
    server.start()
    client = server.client
    assert client.get(location).headers["range"] == "0-2"
    assert client.put(location, params={"digest": sha(b"abcd")}, content=b"d").status_code == 201
    assert client.get(half).headers["range"] == "0-4096"
    rest = client.patch(half, content=b"y", headers={"Content-Range": "4097-4097"})
    assert rest.headers["range"] == "0-4097"
    assert client.get("/v2/a/manifests/t").content == body
    assert server.stop() == 0


def test_stop_does_not_wait_for_a_body_for_ever(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--stop-grace", "0.1", *FAST)
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    sock = half_patch(server, location, b"abc", 6)
    assert server.stop() == 0
    sock.close()


def test_layout_is_that_of_distribution(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), *FAST)
    body = push_image(server.client, "a/b", "t", b"layer")
    digest512 = push_blob(server.client, "a/b", b"long", "sha512")
    server.stop()
    root = tmp_path / "docker/registry/v2"
    digest, layer, long = (one.removeprefix("sha256:") for one in (sha(body), sha(b"layer"), sha(b"long")))
    repository = root / "repositories/a/b"
    links = {
        f"_layers/sha256/{layer}/link": layer,
        f"_layers/sha512/{digest512.removeprefix('sha512:')}/link": long,
        f"_layers/sha256/{long}/link": long,
        f"_manifests/revisions/sha256/{digest}/link": digest,
        "_manifests/tags/t/current/link": digest,
        f"_manifests/tags/t/index/sha256/{digest}/link": digest,
    }
    for path, target in links.items():
        assert (repository / path).read_bytes() == b"sha256:" + target.encode()
    assert (root / f"blobs/sha256/{digest[:2]}/{digest}/data").read_bytes() == body
    assert list((root / "_ociref/tmp").iterdir()) == []
    assert not list(repository.glob("_uploads/*"))


def test_refusals_to_start(tmp_path: Path) -> None:
    server = Server("--driver", "memory")
    taken = _run("serve", "--driver", "memory", "--port", str(server.port))
    server.stop()
    (tmp_path / "file").write_text("")
    nowhere = _run("serve", "--root", str(tmp_path / "file"), "--port", "0")
    rootless = _run("serve", "--port", "0")
    for refused in (taken, nowhere, rootless):
        assert refused.returncode != 0
        assert refused.stdout == ""
        assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("rounds", [12])
def test_collecting_beside_pushes(tmp_path: Path, rounds: int) -> None:
    """What was accepted stays whole, however often the collector runs; pushes may be refused."""
    server = Server("--root", str(tmp_path), *FAST)
    accepted: list[tuple[str, bytes, list[bytes]]] = []
    done = threading.Event()
    failures: list[str] = []

    def push(lane: int) -> None:
        with httpx.Client(base_url=server.url) as client:
            number = 0
            while not done.is_set():
                number += 1
                repo = f"r{lane}"
                layers = [b"shared %d" % (number % 3), b"own %d %d" % (lane, number)]
                for data in (b"{}", *layers):
                    if client.head(f"/v2/{repo}/blobs/{sha(data)}").status_code == 404:
                        push_blob(client, repo, data)
                body = image(b"{}", *layers)
                answer = put_manifest(client, repo, f"t{number}", body)
                if answer.status_code == 201:
                    accepted.append((repo, body, layers))
                    if number % 2:
                        client.delete(f"/v2/{repo}/manifests/{sha(body)}")
                        accepted.remove((repo, body, layers))
                elif answer.status_code != 404:
                    failures.append(answer.text)

    threads = [threading.Thread(target=push, args=(lane,)) for lane in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        collected = _run("collect", "--root", str(tmp_path), *FAST)
        assert (collected.returncode, collected.stderr) == (0, "")
    done.set()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert accepted
    for repo, body, layers in accepted:
        assert server.client.get(f"/v2/{repo}/manifests/{sha(body)}").content == body
        for layer in layers:
            assert server.client.get(f"/v2/{repo}/blobs/{sha(layer)}").content == layer
    assert server.stop() == 0
