"""OCI image layouts with real images in them: layers that are archives, configs that name them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from reference_impl.registry import documents

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

Descriptor = dict[str, Any]


def archive(files: dict[str, bytes]) -> bytes:
    """An uncompressed layer, always the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class Layout:
    """Writes a layout to ``folder``; each method returns the descriptor of what it added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: list[Descriptor] = []
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        encoded = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / "sha256" / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(data), **more}

    def image(
        self, *layers: dict[str, bytes], architecture: str = "amd64", compressed: bool = True
    ) -> Descriptor:
        archives = [archive(files) for files in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in archives],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": documents.OCI_IMAGE,
            "config": self.add(json.dumps(config).encode(), CONFIG),
            "layers": [
                self.add(gzip.compress(data, mtime=0), LAYER + "+gzip")
                if compressed
                else self.add(data, LAYER)
                for data in archives
            ],
        }
        platform = {"architecture": architecture, "os": "linux"}
        return self.add(json.dumps(manifest).encode(), documents.OCI_IMAGE, platform=platform)

    def index(self, *children: Descriptor) -> Descriptor:
        fields = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": list(children)}
        return self.add(json.dumps(fields).encode(), documents.OCI_INDEX)

    def multi_arch(self, text: str) -> Descriptor:
        """An index of two images that share a layer."""
        shared = {"etc/shared": text.encode() * 1000}
        return self.index(
            *(
                self.image(shared, {"etc/own": f"{text} {name}".encode()}, architecture=name)
                for name in ("amd64", "arm64")
            )
        )

    def name(self, reference: str, top: Descriptor) -> None:
        """Give ``top`` a name in the layout's index."""
        annotations = {"org.opencontainers.image.ref.name": reference}
        self._named.append({**top, "annotations": annotations})
        index = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": self._named}
        (self.folder / "index.json").write_text(json.dumps(index))


def blobs(folder: Path) -> dict[str, bytes]:
    """Everything in a layout, by digest."""
    found = {}
    for path in (folder / "blobs").glob("*/*"):
        found[f"{path.parent.name}:{path.name}"] = path.read_bytes()
    return found
