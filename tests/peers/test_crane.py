"""crane against the reference registry: push, pull, copy, append, delete, lists, validation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reference_impl.registry import documents

from .layouts import Layout, archive, blobs
from .programs import lines, refused, run
from .registries import Reference

pytestmark = pytest.mark.peer("crane")


def crane(*args: str) -> str:
    return run("crane", *args).decode().strip()


def push(registry: Reference, folder: Path, name: str, *texts: str) -> str:
    """Push an image with a layer for each text; returns its digest."""
    layout = Layout(folder)
    layers = [{f"etc/{number}": text.encode() * 500} for number, text in enumerate(texts)]
    top = layout.image(*layers)
    layout.name("t", top)
    crane("push", str(folder), f"{registry.place}/{name}")
    return str(top["digest"])


def test_an_image_goes_in_and_comes_back(reference: Reference, tmp_path: Path) -> None:
    place = f"{reference.place}/team/image:t"
    digest = push(reference, tmp_path / "in", "team/image:t", "one", "two")
    assert crane("digest", place) == digest
    crane("validate", "--remote", place)
    crane("pull", "--format", "oci", place, str(tmp_path / "out"))
    assert blobs(tmp_path / "out") == blobs(tmp_path / "in")
    assert run("crane", "manifest", place) == blobs(tmp_path / "in")[digest]
    fields = json.loads(run("crane", "manifest", place))
    config = fields["config"]["digest"]
    assert run("crane", "config", place) == blobs(tmp_path / "in")[config]
    assert run("crane", "blob", f"{reference.place}/team/image@{config}") == blobs(tmp_path / "in")[config]


def test_a_docker_archive_goes_in_and_comes_back(reference: Reference, tmp_path: Path) -> None:
    """crane's other format; what it pushes from there are Docker's media types."""
    digest = push(reference, tmp_path / "in", "archive:t", "one", "two")
    crane("pull", f"{reference.place}/archive:t", str(tmp_path / "image.tar"))
    crane("push", str(tmp_path / "image.tar"), f"{reference.place}/archive/again:t")
    again = json.loads(run("crane", "manifest", f"{reference.place}/archive/again:t"))
    assert again["mediaType"] == documents.DOCKER_IMAGE
    first = json.loads(run("crane", "manifest", f"{reference.place}/archive@{digest}"))
    assert [layer["digest"] for layer in again["layers"]] == [layer["digest"] for layer in first["layers"]]
    crane("validate", "--remote", f"{reference.place}/archive/again:t")


def test_an_index_is_put_together_and_copied(
    reference: Reference, other_reference: Reference, tmp_path: Path
) -> None:
    children = {push(reference, tmp_path / name, f"index:{name}", "shared", name) for name in ("one", "two")}
    place = f"{reference.place}/index:all"
    crane("index", "append", "-m", f"{reference.place}/index:one", "-m", f"{reference.place}/index:two",
          "-t", place)  # fmt: skip
    fields = json.loads(run("crane", "manifest", place))
    assert fields["mediaType"] == documents.OCI_INDEX
    assert {child["digest"] for child in fields["manifests"]} == children
    crane("validate", "--remote", place)
    target = f"{other_reference.place}/copied/index:all"
    crane("copy", place, target)
    assert crane("digest", target) == crane("digest", place)
    assert run("crane", "manifest", target) == run("crane", "manifest", place)
    crane("validate", "--remote", target)
    for child in children:
        crane("validate", "--remote", f"{other_reference.place}/copied/index@{child}")


def test_an_index_of_a_layout_goes_in_whole(reference: Reference, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "in")
    for name in ("amd64", "arm64", "s390x"):
        layout.name(name, layout.image({"shared": b"s" * 999}, {"own": name.encode()}, architecture=name))
    place = f"{reference.place}/whole:t"
    crane("push", "--index", str(layout.folder), place)
    crane("validate", "--remote", place)
    crane("pull", "--format", "oci", "--platform", "linux/s390x", place, str(tmp_path / "out"))
    pulled = blobs(tmp_path / "out")
    assert pulled == {digest: data for digest, data in blobs(layout.folder).items() if digest in pulled}
    assert len(pulled) == 4


def test_a_copy_within_a_registry_mounts(reference: Reference, tmp_path: Path) -> None:
    digest = push(reference, tmp_path / "in", "mount/from:t", "one", "two")
    source, target = f"{reference.place}/mount/from:t", f"{reference.place}/mount/to/here:t"
    said = run("crane", "copy", source, target, also_errors=True).decode()
    assert said.count("mounted blob") == 3, said
    assert crane("digest", target) == digest
    crane("validate", "--remote", target)


def test_layers_are_appended_and_flattened(reference: Reference, tmp_path: Path) -> None:
    """What crane makes itself, and so streams with no length known beforehand."""
    push(reference, tmp_path / "in", "made:base", "one")
    files = {"added/file": b"added"}
    (tmp_path / "layer.tar").write_bytes(archive(files))
    place = f"{reference.place}/made"
    crane("append", "-b", f"{place}:base", "-f", str(tmp_path / "layer.tar"), "-t", f"{place}:more")
    crane("flatten", f"{place}:more", "-t", f"{place}:flat")
    crane("mutate", f"{place}:flat", "--label", "a=b", "-t", f"{place}:labelled")
    assert json.loads(crane("config", f"{place}:labelled"))["config"]["Labels"] == {"a": "b"}
    crane("validate", "--remote", f"{place}:labelled")
    assert len(json.loads(crane("manifest", f"{place}:flat"))["layers"]) == 1
    assert b"added" in run("crane", "export", f"{place}:labelled", "-")
    crane("rebase", f"{place}:more", "--old_base", f"{place}:base", "--new_base", f"{place}:base",
          "-t", f"{place}:rebased")  # fmt: skip
    crane("validate", "--remote", f"{place}:rebased")


def test_lists(reference: Reference, tmp_path: Path) -> None:
    for number, name in enumerate(("lists:b", "lists:a", "lists:0", "lists/inner:t")):
        push(reference, tmp_path / str(number), name, "listed")
    crane("tag", f"{reference.place}/lists:a", "c")
    assert lines("crane", "ls", f"{reference.place}/lists") == ["0", "a", "b", "c"]
    catalog = lines("crane", "catalog", reference.place)
    assert catalog == sorted(catalog)
    assert {"lists", "lists/inner"} <= set(catalog)


def test_what_is_deleted_is_gone(reference: Reference, tmp_path: Path) -> None:
    place = f"{reference.place}/deleted"
    digest = push(reference, tmp_path / "in", "deleted:a", "to be deleted")
    crane("tag", f"{place}:a", "b")
    crane("delete", f"{place}:a")
    assert lines("crane", "ls", place) == ["b"]
    assert crane("digest", f"{place}:b") == digest
    crane("delete", f"{place}@{digest}")
    assert lines("crane", "ls", place) == []
    assert "MANIFEST_UNKNOWN" in refused("crane", "manifest", f"{place}@{digest}")
