"""oras against the reference registry: artifacts, attachments through the referrers API, deep copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .layouts import Layout, blobs
from .programs import lines, refused, run
from .registries import Reference

pytestmark = pytest.mark.peer("oras")

SBOM, SIGNATURE = "application/vnd.example.sbom", "application/vnd.example.signature"


def oras(*args: str, cwd: Path | None = None) -> bytes:
    return run("oras", *args, "--plain-http", cwd=cwd)


def told(*args: str, cwd: Path | None = None) -> Any:
    return json.loads(oras(*args, "--format", "json", cwd=cwd))


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with files in it."""

    def make(folder: str, **texts: str) -> Path:
        (tmp_path / folder).mkdir()
        for name, text in texts.items():
            (tmp_path / folder / name).write_text(text)
        return tmp_path / folder

    return make


def push(place: str, folder: Path, *options: str) -> str:
    """Push a folder's files; returns the manifest's digest."""
    names = sorted(path.name for path in folder.iterdir())
    return str(told("push", place, *options, *names, cwd=folder)["digest"])


def attach(place: str, folder: Path, kind: str) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return str(told("attach", "--artifact-type", kind, place, *names, cwd=folder)["digest"])


def referrers(place: str, *options: str) -> dict[str, str]:
    """Digest and artifact type of what is attached, by the referrers API and nothing else."""
    found = told("discover", "--distribution-spec", "v1.1-referrers-api", "--depth", "1", *options, place)
    return {one["digest"]: one["artifactType"] for one in found["referrers"]}


def test_files_go_in_and_come_back(reference: Reference, files: Callable[..., Path], tmp_path: Path) -> None:
    place = f"{reference.place}/files:t"
    folder = files("in", chart="a chart", empty="", values="x" * 100_000)
    digest = push(place, folder, "--artifact-type", "application/vnd.example.chart")
    oras("pull", place, "--output", str(tmp_path / "out"))
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_text() for path in folder.iterdir()
    }
    assert oras("resolve", place).decode().strip() == digest
    fields = json.loads(oras("manifest", "fetch", f"{reference.place}/files@{digest}"))
    assert fields["artifactType"] == "application/vnd.example.chart"
    layers = {layer["annotations"]["org.opencontainers.image.title"]: layer for layer in fields["layers"]}
    blob = f"{reference.place}/files@{layers['chart']['digest']}"
    assert oras("blob", "fetch", "--output", "-", blob) == b"a chart"


def test_attachments_are_discovered(reference: Reference, files: Callable[..., Path]) -> None:
    place = f"{reference.place}/attached:t"
    push(place, files("in", thing="a thing"))
    assert referrers(place) == {}
    sbom = attach(place, files("sbom", sbom="parts"), SBOM)
    signature = attach(place, files("signature", signature="seal"), SIGNATURE)
    assert referrers(place) == {sbom: SBOM, signature: SIGNATURE}
    assert referrers(place, "--artifact-type", SBOM) == {sbom: SBOM}
    # An attachment can have attachments.
    above = attach(f"{reference.place}/attached@{sbom}", files("above", seal="of the sbom"), SIGNATURE)
    assert referrers(f"{reference.place}/attached@{sbom}") == {above: SIGNATURE}
    # The client took the API, and not its fallback, which is a tag for each subject.
    assert lines("oras", "repo", "tags", "--plain-http", f"{reference.place}/attached") == ["t"]
    oras("manifest", "delete", "--force", f"{reference.place}/attached@{signature}")
    assert referrers(place) == {sbom: SBOM}


def test_a_deep_copy_takes_attachments_along(
    reference: Reference, other_reference: Reference, files: Callable[..., Path], tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    top = layout.multi_arch("deep ")
    layout.name("t", top)
    source, target = f"{reference.place}/deep:t", f"{other_reference.place}/copied/deep:t"
    run("oras", "cp", "--from-oci-layout", "--to-plain-http", f"{layout.folder}:t", source)
    sbom = attach(source, files("sbom", sbom="parts"), SBOM)
    seal = attach(f"{reference.place}/deep@{sbom}", files("seal", seal="of the sbom"), SIGNATURE)
    run("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", source, target)
    assert referrers(target) == {sbom: SBOM}
    assert referrers(f"{other_reference.place}/copied/deep@{sbom}") == {seal: SIGNATURE}
    assert oras("resolve", target).decode().strip() == top["digest"]
    out = tmp_path / "out"
    run("oras", "cp", "--from-plain-http", "--to-oci-layout", target, f"{out}:t")
    assert blobs(out) == blobs(layout.folder)
    oras("pull", f"{other_reference.place}/copied/deep@{sbom}", "--output", str(tmp_path / "parts"))
    assert (tmp_path / "parts" / "sbom").read_text() == "parts"


def test_a_copy_within_a_registry_mounts(reference: Reference, files: Callable[..., Path]) -> None:
    source, target = f"{reference.place}/mount/from:t", f"{reference.place}/mount/to:t"
    digest = push(source, files("in", part="of it"))
    said = run("oras", "cp", "--from-plain-http", "--to-plain-http", source, target).decode()
    assert "Mounted" in said
    assert oras("resolve", target).decode().strip() == digest


def test_lists_and_tags(reference: Reference, files: Callable[..., Path]) -> None:
    folder = files("in", thing="listed")
    push(f"{reference.place}/lists/inner:a", folder)
    digest = push(f"{reference.place}/lists:a", folder)  # another one, a second later
    oras("tag", f"{reference.place}/lists:a", "b", "B")
    assert lines("oras", "repo", "tags", "--plain-http", f"{reference.place}/lists") == ["B", "a", "b"]
    assert lines("oras", "repo", "ls", "--plain-http", f"{reference.place}/lists/") == ["inner"]
    assert {"lists", "lists/inner"} <= set(lines("oras", "repo", "ls", "--plain-http", reference.place))
    oras("manifest", "index", "create", f"{reference.place}/lists:all", "a", "b")
    index = json.loads(oras("manifest", "fetch", f"{reference.place}/lists:all"))
    assert {child["digest"] for child in index["manifests"]} == {digest}


def test_what_is_deleted_is_gone(reference: Reference, files: Callable[..., Path]) -> None:
    repository = f"{reference.place}/deleted"
    push(f"{repository}:t", files("in", thing="to be deleted"))
    stays = push(f"{repository}:stays", files("more", thing="to stay"))
    oras("manifest", "delete", "--force", f"{repository}:t")
    assert "not found" in refused("oras", "resolve", "--plain-http", f"{repository}:t")
    assert lines("oras", "repo", "tags", "--plain-http", repository) == ["stays"]
    blob = json.loads(oras("blob", "push", "--descriptor", repository, str(files("b", b="blob") / "b")))
    oras("blob", "delete", "--force", f"{repository}@{blob['digest']}")
    refused("oras", "blob", "fetch", "--descriptor", "--plain-http", f"{repository}@{blob['digest']}")
    assert oras("resolve", f"{repository}:stays").decode().strip() == stays
