"""Docker Engine against the reference registry: images built from nothing, pushed, pulled, run, compared."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_impl.registry import documents

from .engine import Engine, cgroups, static_program
from .layouts import archive
from .registries import Reference, collect_by_reference

WRITTEN = ("/etc", "/etc/docker", "/opt", "/root", "/run", "/tmp", "/var/lib", "/var/log")
pytestmark = pytest.mark.peer("docker", "dockerd", "unshare")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as started:
        yield started


def build(engine: Engine, folder: Path, tag: str, *layers: dict[str, bytes], base: str = "scratch") -> str:
    """Build an image with a layer for each set of files; returns its id."""
    folder.mkdir()
    instructions = [f"FROM {base}"]
    for number, files in enumerate(layers):
        for name, data in files.items():
            path = folder / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755)
        instructions.append(f"COPY {number} /")
    (folder / "Dockerfile").write_text("\n".join(instructions))
    engine.docker("build", "--tag", tag, str(folder))
    return identity(engine, tag)


def identity(engine: Engine, tag: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}} {{.RootFS.Layers}}", tag)


def files_of(engine: Engine, tag: str) -> dict[str, bytes]:
    """The files of an image, as a container would see them."""
    container = engine.docker("create", tag, "/none")
    exported = engine.folder / "exported.tar"
    engine.docker("export", "--output", str(exported), container)
    engine.docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported.read_bytes())) as tar:
        files = {one.name: tar.extractfile(one) for one in tar if one.isfile() and one.size}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_an_image_goes_in_and_comes_back_and_runs(
    engine: Engine, reference: Reference, tmp_path: Path
) -> None:
    place = f"{reference.place}/team/program:t"
    program = static_program().read_bytes()
    layers = [
        {"bin/program": program},
        {"etc/text": b"first"},
        {"etc/text": b"last", "etc/big": os.urandom(9 << 20)},
    ]
    built = build(engine, tmp_path / "in", place, *layers)
    engine.docker("push", place)
    engine.docker("rmi", place)
    assert "No such image" in engine.refused("image", "inspect", place)
    engine.docker("pull", place)
    assert identity(engine, place) == built
    assert files_of(engine, place) == {"bin/program": program, **layers[2]}
    said = engine.docker("run", "--rm", "--network", "none", place, "/bin/program", "--version")
    assert said.startswith("ldconfig")


def test_an_imported_archive_goes_in_and_comes_back_by_digest(engine: Engine, reference: Reference) -> None:
    place = f"{reference.place}/imported:t"
    files = {"etc/one": b"1", "etc/empty": b"", "usr/two": b"2" * 70_000}
    engine.docker("import", "-", place, stdin=archive(files))
    imported = identity(engine, place)
    engine.docker("push", place)
    by_digest = engine.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", place)
    engine.docker("rmi", place)
    engine.docker("pull", by_digest)
    assert identity(engine, by_digest) == imported
    assert files_of(engine, by_digest) == {name: data for name, data in files.items() if data}


def test_only_what_is_new_of_a_second_tag_is_sent(
    engine: Engine, reference: Reference, tmp_path: Path
) -> None:
    first, second = f"{reference.place}/shared:1", f"{reference.place}/shared:2"
    build(engine, tmp_path / "1", first, {"etc/base": os.urandom(1 << 20)}, {"etc/more": b"more"})
    built = build(engine, tmp_path / "2", second, {"etc/own": b"own"}, base=first)
    assert engine.docker("push", first).count(": Pushed") == 2
    said = engine.docker("push", second)
    assert (said.count(": Layer already exists"), said.count(": Pushed")) == (2, 1)
    engine.docker("rmi", first, second)
    engine.docker("pull", "--all-tags", f"{reference.place}/shared")
    assert identity(engine, second) == built
    assert len(files_of(engine, first)) == 2


def test_a_push_to_another_repository_mounts(engine: Engine, reference: Reference, tmp_path: Path) -> None:
    source, target = f"{reference.place}/mount/from:t", f"{reference.place}/mount/to/here:t"
    built = build(engine, tmp_path / "in", source, {"etc/a": b"mounted"}, {"etc/b": b"too"})
    engine.docker("push", source)
    engine.docker("tag", source, target)
    assert engine.docker("push", target).count(": Mounted from mount/from") == 2
    engine.docker("rmi", source, target)
    engine.docker("pull", target)
    assert identity(engine, target) == built


def test_a_list_for_several_platforms(engine: Engine, reference: Reference, tmp_path: Path) -> None:
    place = f"{reference.place}/platforms"
    built = build(engine, tmp_path / "own", f"{place}:own", {"etc/a": b"ours"})
    build(engine, tmp_path / "other", f"{place}:other", {"etc/a": b"theirs"})
    for tag in ("own", "other"):
        engine.docker("push", f"{place}:{tag}")
    engine.docker("manifest", "create", "--insecure", f"{place}:all", f"{place}:own", f"{place}:other")
    engine.docker("manifest", "annotate", "--arch", "s390x", f"{place}:all", f"{place}:other")
    engine.docker("manifest", "push", "--insecure", f"{place}:all")
    pushed = reference.client.get("/v2/platforms/manifests/all")
    assert pushed.headers["content-type"] == documents.DOCKER_LIST
    assert len(pushed.json()["manifests"]) == 2
    engine.docker("rmi", f"{place}:own")
    engine.docker("pull", f"{place}:all")
    assert identity(engine, f"{place}:all") == built


def test_what_was_collected_is_pushed_again(engine: Engine, reference: Reference, tmp_path: Path) -> None:
    """The engine remembers where it pushed a layer, and asks for a mount from there."""
    first, second = f"{reference.place}/gone/first:t", f"{reference.place}/gone/second:t"
    built = build(engine, tmp_path / "in", first, {"etc/gone": os.urandom(100_000)})
    engine.docker("push", first)
    digest = reference.client.head("/v2/gone/first/manifests/t").headers["docker-content-digest"]
    layer = reference.client.get("/v2/gone/first/manifests/t").json()["layers"][0]["digest"]
    assert reference.client.delete(f"/v2/gone/first/manifests/{digest}").status_code == 202
    collected = collect_by_reference(reference.root)
    assert collected.returncode == 0, collected.stderr
    assert reference.client.head(f"/v2/gone/first/blobs/{layer}").status_code == 404
    for place in (first, second):
        engine.docker("tag", built.split()[0], place)
        engine.docker("push", place)
    engine.docker("rmi", first, second)
    engine.docker("pull", second)
    assert identity(engine, second) == built


def test_a_tag_that_is_not_there(engine: Engine, reference: Reference) -> None:
    assert "not found" in engine.refused("pull", f"{reference.place}/nowhere:t")


@pytest.mark.parametrize("killed", [False, True])
def test_an_engine_leaves_nothing_behind(killed: bool) -> None:
    before = _surroundings()
    with Engine() as engine:
        program = static_program().read_bytes()
        run = 'ENTRYPOINT ["/program"]'
        engine.docker("import", "--change", run, "-", "image", stdin=archive({"program": program}))
        engine.docker("run", "--network", "none", "image", "--version")
        assert len(engine.processes()) >= 2
        if killed:
            engine.kill()
    assert not engine.folder.exists()
    assert not cgroups(engine.name)
    assert not engine.processes()
    assert engine.name not in Path("/proc/self/mounts").read_text()
    assert _surroundings() == before


def _surroundings() -> list[str]:
    """What of this machine an engine could change, and nobody else does."""
    found = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"interface {name}" for name in os.listdir("/sys/class/net")]
    found += [str(path) for folder in WRITTEN for path in Path(folder).glob("*")]
    found = [one for one in found if re.search("docker|containerd|runc|moby|veth|br-", one)]
    found.append(f"forwarding {Path('/proc/sys/net/ipv4/ip_forward').read_text()}")
    return sorted(found)
