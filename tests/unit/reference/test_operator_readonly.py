"""A registry that is only read, also from where nothing can be written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_impl.drivers.base import Driver
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.drivers.readonly import ReadOnly, ReadOnlyDriver

from .conftest import PROJECT, Server
from .images import error_codes, push_blob, push_image, sha

FAST = ("--unsafe-no-fsync", "--stop-grace", "0")


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and content, every folder with its time."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


@pytest.fixture
def location(tmp_path: Path) -> str:
    """Fill a store; returns where an upload of it is."""
    server = Server("--root", str(tmp_path), *FAST)
    push_image(server.client, "a/b", "t", b"layer")
    upload: str = server.client.post("/v2/a/b/blobs/uploads/").headers["location"]
    server.client.patch(upload, content=b"abc")
    assert server.stop() == 0
    return upload


@pytest.fixture(params=["as it is", "mounted read-only"])
def root(request: pytest.FixtureRequest, tmp_path: Path, location: str) -> Iterator[Path]:
    if request.param == "as it is":
        yield tmp_path
        return
    mounted = tmp_path.with_name(f"{tmp_path.name}-mounted")
    mounted.mkdir()
    done = subprocess.run(["mount", "--bind", "-o", "ro", str(tmp_path), str(mounted)], capture_output=True)
    if done.returncode:
        pytest.skip("may not mount")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_what_is_there_is_served_and_nothing_changes(root: Path, location: str) -> None:
    before = state(root)
    server = Server("--root", str(root), "--read-only", *FAST)
    client = server.client
    manifest = client.get("/v2/a/b/manifests/t")
    assert manifest.status_code == 200
    assert client.head(f"/v2/a/b/manifests/{sha(manifest.content)}").status_code == 200
    assert client.get(f"/v2/a/b/blobs/{sha(b'layer')}").content == b"layer"
    assert client.head(f"/v2/a/b/blobs/{sha(b'layer')}").status_code == 200
    assert client.get("/v2/a/b/tags/list").json()["tags"] == ["t"]
    assert client.get("/v2/_catalog").json()["repositories"] == ["a/b"]
    assert client.get(f"/v2/a/b/referrers/{sha(manifest.content)}").json()["manifests"] == []
    assert client.get(location).headers["range"] == "0-2"
    assert client.get("/readyz").status_code == 200
    assert client.get("/v2/a/b/manifests/none").status_code == 404
    digest = sha(b"x")
    for method, path in [
        ("POST", "/v2/a/b/blobs/uploads/"),
        ("POST", f"/v2/a/b/blobs/uploads/?digest={digest}"),
        ("POST", f"/v2/c/blobs/uploads/?mount={sha(b'layer')}&from=a/b"),
        ("PATCH", location),
        ("PUT", f"{location}?digest={digest}"),
        ("DELETE", location),
        ("PUT", "/v2/a/b/manifests/new"),
        ("DELETE", "/v2/a/b/manifests/t"),
        ("DELETE", f"/v2/a/b/blobs/{sha(b'layer')}"),
    ]:
        answer = client.request(method, path, content=b"x")
        assert (answer.status_code, error_codes(answer)) == (405, ["UNSUPPORTED"]), (method, path)
        assert answer.json()["errors"][0]["message"] == "this registry is read-only"
        assert method not in answer.headers["allow"]
    assert server.stop() == 0
    assert state(root) == before


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_impl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=PROJECT)


def test_a_collector_refuses(root: Path) -> None:
    before = state(root)
    done = run("collect", "--root", str(root), "--set", "storage.read_only=true")
    assert done.returncode == 2
    assert done.stderr == (
        "reference_impl: storage.read_only: a collector writes (option --set storage.read_only)\n"
    )
    assert state(root) == before


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    done = run("serve", "--root", str(tmp_path / "absent"), "--read-only", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == f"reference_impl: cannot read {tmp_path}/absent: No such file or directory\n"
    assert not (tmp_path / "absent").exists()


def test_the_driver_refuses_every_change() -> None:
    inner = MemoryDriver()
    inner.write("a/b", b"x")
    driver: Driver = ReadOnlyDriver(inner)
    for change in (
        lambda: driver.write("a/b", b"y"),
        lambda: driver.write_all([("a/b", b"y")]),
        lambda: driver.create("a/c"),
        lambda: driver.settle("a/b"),
        driver.settle_all,
        lambda: driver.append("a/b"),
        lambda: driver.make_folder("c"),
        lambda: driver.move("a/b", "a/c"),
        lambda: driver.link("a/b", "a/c"),
        lambda: driver.link_all([("a/b", "a/c")]),
        lambda: driver.delete("a/b"),
        lambda: driver.discard("a/b"),
        lambda: driver.remove_empty("a"),
        lambda: driver.clear_leftovers(0),
    ):
        with pytest.raises(ReadOnly):
            change()
    touched_ns = driver.stat("a/b").mtime_ns
    driver.touch("a/b", touched_ns)
    with driver.lock("a/lock"), driver.lock("a/lock"):
        assert driver.stat("a/b").mtime_ns == touched_ns
    assert [path for path, _ in driver.walk("a")] == ["a/b"]
    assert (driver.read("a/b"), driver.list("a")) == (b"x", ["b"])


def test_what_a_read_only_registry_says_of_what_it_cannot_do(tmp_path: Path) -> None:
    server = Server("--root", str(tmp_path), "--read-only", *FAST)
    answer = server.client.request("MOVE", "/v2/a/manifests/t")
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
        405,
        "the operation is unsupported",
    )
    assert server.client.get("/v2/_catalog").json() == {"repositories": []}
    assert server.stop() == 0


def test_pushes_work_again_without_it(tmp_path: Path, location: str) -> None:
    server = Server("--root", str(tmp_path), *FAST)
    assert server.client.put(location, params={"digest": sha(b"abc")}).status_code == 201
    assert push_blob(server.client, "c", b"more")
    assert server.stop() == 0
