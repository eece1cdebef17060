"""skopeo pushes to the reference registry and pulls from it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.targets import Target, load_target

pytestmark = pytest.mark.peer("skopeo")


@pytest.fixture
def target() -> Iterator[Target]:
    opened = load_target("reference")
    opened.open()
    yield opened
    opened.close()


def layout(folder: Path, text: str) -> None:
    """An OCI image layout with one image."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    layer = text.encode() * 1000
    config = {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(layer, "application/vnd.oci.image.layer.v1.tar")],
    }
    top = put(json.dumps(manifest).encode(), str(manifest["mediaType"]))
    index = {
        "schemaVersion": 2,
        "manifests": [{**top, "annotations": {"org.opencontainers.image.ref.name": "t"}}],
    }
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def skopeo(*args: str) -> None:
    ran = subprocess.run(["skopeo", "--insecure-policy", *args], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_an_image_goes_in_and_comes_back(target: Target, tmp_path: Path) -> None:
    layout(tmp_path / "in", "sea trials ")
    place = f"docker://{target.url.removeprefix('http://')}/team/image:t"
    skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{tmp_path / 'in'}:t", place)
    skopeo("copy", "--preserve-digests", "--src-tls-verify=false", place, f"oci:{tmp_path / 'out'}:t")
    names = {path.name for path in (tmp_path / "in" / "blobs" / "sha256").iterdir()}
    assert names == {path.name for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}
