"""Content for the tests, and short ways to push it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx

from reference_impl.registry import documents, names
from reference_impl.registry.digests import Digest
from reference_impl.registry.store import Registry

IMAGE = documents.OCI_IMAGE
INDEX = documents.OCI_INDEX


def sha(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(
    data: bytes, media_type: str = "application/octet-stream", algorithm: str = "sha256"
) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha(data, algorithm), "size": len(data)}


def image(config: bytes, *layers: bytes, **more: Any) -> bytes:
    fields = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer) for layer in layers],
    }
    return json.dumps(fields | more).encode()


def index(*children: bytes, media_type: str = IMAGE, **more: Any) -> bytes:
    fields = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(child, media_type) for child in children],
    }
    return json.dumps(fields | more).encode()


def push_blob(client: httpx.Client, repo: str, data: bytes, algorithm: str = "sha256") -> str:
    digest = sha(data, algorithm)
    answer = client.post(f"/v2/{repo}/blobs/uploads/", params={"digest": digest}, content=data)
    assert answer.status_code == 201, answer.text
    return digest


def put_manifest(
    client: httpx.Client, repo: str, reference: str, body: bytes, media_type: str = IMAGE
) -> httpx.Response:
    headers = {"Content-Type": media_type}
    return client.put(f"/v2/{repo}/manifests/{reference}", content=body, headers=headers)


def push_image(client: httpx.Client, repo: str, tag: str, *layers: bytes, **more: Any) -> bytes:
    for data in (b"{}", *layers):
        push_blob(client, repo, data)
    body = image(b"{}", *layers, **more)
    assert put_manifest(client, repo, tag, body).status_code == 201
    return body


def store_blob(registry: Registry, repo: str, data: bytes, algorithm: str = "sha256") -> Digest:
    """Push without HTTP."""
    upload = registry.sessions.unnamed(repo)
    upload.write(data)
    return upload.commit(names.digest(sha(data, algorithm))).digest


def store_manifest(
    registry: Registry, repo: str, reference: str, body: bytes, media_type: str = ""
) -> Digest:
    return registry.manifests.put(repo, names.reference(reference), body, media_type).digest


def store_image(registry: Registry, repo: str, tag: str | None, *layers: bytes, **more: Any) -> bytes:
    for data in (b"{}", *layers):
        store_blob(registry, repo, data)
    body = image(b"{}", *layers, **more)
    store_manifest(registry, repo, tag or sha(body), body)
    return body


def error_codes(answer: httpx.Response) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]
