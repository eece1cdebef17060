"""skopeo against the reference registry: multi-arch copies both ways, lists, inspection, deletion."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from reference_impl.registry import documents

from .layouts import Descriptor, Layout, archive, blobs
from .programs import run
from .registries import Reference

pytestmark = pytest.mark.peer("skopeo")

PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


def skopeo(*args: str) -> bytes:
    return run("skopeo", "--insecure-policy", *args)


def copy(source: str, target: str, *options: str) -> None:
    skopeo("copy", "--preserve-digests", *PLAIN, *options, source, target)


def at(registry: Reference, name: str) -> str:
    return f"docker://{registry.place}/{name}"


def written(folder: Path, text: str) -> tuple[Layout, Descriptor]:
    """A layout with one multi-arch index, named ``t``."""
    layout = Layout(folder)
    top = layout.multi_arch(text)
    layout.name("t", top)
    return layout, top


def test_an_index_goes_in_and_comes_back(reference: Reference, tmp_path: Path) -> None:
    layout, _ = written(tmp_path / "in", "sea trials ")
    copy(f"oci:{layout.folder}:t", at(reference, "team/image:t"), "--all")
    copy(at(reference, "team/image:t"), f"oci:{tmp_path / 'out'}:t", "--all")
    assert len(blobs(layout.folder)) == 8
    assert blobs(tmp_path / "out") == blobs(layout.folder)


def test_an_index_goes_from_one_registry_to_another(
    reference: Reference, other_reference: Reference, tmp_path: Path
) -> None:
    layout, top = written(tmp_path / "in", "from one to another ")
    source, target = at(reference, "from/here:t"), at(other_reference, "to/there/it/goes:t")
    copy(f"oci:{layout.folder}:t", source, "--all")
    copy(source, target, "--all")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", target)
    assert raw == blobs(layout.folder)[top["digest"]]
    copy(target, f"oci:{tmp_path / 'out'}:t", "--all")
    assert blobs(tmp_path / "out") == blobs(layout.folder)


def test_tags_are_listed_and_images_inspected(reference: Reference, tmp_path: Path) -> None:
    layout, top = written(tmp_path / "in", "listed ")
    for tag in ("b", "a", "a-1"):
        copy(f"oci:{layout.folder}:t", at(reference, f"listed:{tag}"), "--all")
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", at(reference, "listed")))
    assert listed["Tags"] == ["a", "a-1", "b"]
    seen = json.loads(skopeo("--override-arch", "arm64", "inspect", "--tls-verify=false",
                             at(reference, "listed:a")))  # fmt: skip
    assert seen["Architecture"] == "arm64"
    assert sorted(seen["RepoTags"]) == ["a", "a-1", "b"]
    assert set(seen["Layers"]) < set(blobs(layout.folder))
    assert top["digest"] not in seen["Layers"]


def test_a_deleted_image_is_gone_under_all_its_tags(reference: Reference, tmp_path: Path) -> None:
    layout, top = written(tmp_path / "in", "deleted ")
    layout.name("single", layout.image({"etc/else": b"something else"}))
    for source, tag in (("t", "one"), ("t", "two"), ("single", "stays")):
        copy(f"oci:{layout.folder}:{source}", at(reference, f"deleted:{tag}"), "--all")
    skopeo("delete", "--tls-verify=false", at(reference, "deleted:one"))
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", at(reference, "deleted")))
    assert listed["Tags"] == ["stays"]
    assert reference.client.get(f"/v2/deleted/manifests/{top['digest']}").status_code == 404
    copy(at(reference, "deleted:stays"), f"oci:{tmp_path / 'out'}:t")


def test_what_skopeo_compresses_and_converts_on_the_way(reference: Reference, tmp_path: Path) -> None:
    """It streams such layers, with no length known beforehand."""
    layout = Layout(tmp_path / "in")
    big = {"big": bytes(range(256)) * 20_000}
    layout.name("t", layout.image(big, {"small": b"1"}, compressed=False))
    place = at(reference, "converted:t")
    skopeo("copy", *PLAIN, "--format", "v2s2", f"oci:{layout.folder}:t", place)
    skopeo("copy", *PLAIN, place, f"dir:{tmp_path / 'out'}")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["mediaType"] == documents.DOCKER_IMAGE
    pulled = [tmp_path / "out" / layer["digest"].partition(":")[2] for layer in manifest["layers"]]
    assert gzip.decompress(pulled[0].read_bytes()) == archive(big)
