"""What is in the registry before the hostile requests come: for them to hit, and what they must spare."""

from __future__ import annotations

import httpx

from tests.unit.reference.images import (
    IMAGE,
    INDEX,
    descriptor,
    image,
    index,
    push_blob,
    push_image,
    put_manifest,
    sha,
)

REPOSITORIES = ("a", "a/b", "lib/app-1", "x__y/z.w")
"""Open to all that comes."""
KEPT = "canary/kept"
"""Nothing that is generated names it."""

LAYERS = (b"", b"x", b"layer " * 700)
LARGE = bytes(range(256)) * 8192
"""2 MiB, sent in several blocks."""
CONFIG = b"{}"
IMAGE_BODY = image(CONFIG, *LAYERS)
INDEX_BODY = index(IMAGE_BODY)
ATTACHED_BODY = image(CONFIG, subject=descriptor(IMAGE_BODY, IMAGE), artifactType="application/x.canary")
BLOBS = (CONFIG, *LAYERS, LARGE)
MANIFESTS = {"t": (IMAGE_BODY, IMAGE), "current": (INDEX_BODY, INDEX), "_": (ATTACHED_BODY, IMAGE)}
"""By tag."""
DIGESTS = tuple(sha(body) for body in (*BLOBS, IMAGE_BODY, INDEX_BODY, ATTACHED_BODY))
LONG_DIGEST = sha(LAYERS[1], "sha512")

_KEPT_LAYERS = (b"kept 1", b"kept 2" * 1000)


def fill(client: httpx.Client) -> None:
    for repository in REPOSITORIES:
        for body in BLOBS:
            push_blob(client, repository, body)
        push_blob(client, repository, LAYERS[1], "sha512")
        for tag, (body, media_type) in MANIFESTS.items():
            assert put_manifest(client, repository, tag, body, media_type).status_code == 201
    push_image(client, KEPT, "kept", *_KEPT_LAYERS)


def damage(client: httpx.Client) -> list[str]:
    """What is wrong with the repository that had to be spared; nothing if all is well."""
    expected = image(CONFIG, *_KEPT_LAYERS)
    wanted = {f"manifests/{reference}": expected for reference in ("kept", sha(expected))}
    wanted |= {f"blobs/{sha(layer)}": layer for layer in (CONFIG, *_KEPT_LAYERS)}
    wrong = [path for path, body in wanted.items() if client.get(f"/v2/{KEPT}/{path}").content != body]
    listed = client.get(f"/v2/{KEPT}/tags/list").json()
    return wrong if listed == {"name": KEPT, "tags": ["kept"]} else [*wrong, f"tags: {listed}"]
