"""What is written in a manifest: its type, what it refers to, and what it is attached to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import names
from .errors import Refusal

SIZE_MAX_BYTES = 4 << 20
LARGE_BYTES = 256 << 10
"""Of larger ones only one is read at a time: a list of empty objects is forty times as large in memory."""

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_TYPES = frozenset({OCI_IMAGE, DOCKER_IMAGE})
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = IMAGE_TYPES | INDEX_TYPES | {OCI_ARTIFACT}

REQUIRED_FIELDS = {
    OCI_IMAGE: ("config", "layers"),
    DOCKER_IMAGE: ("config", "layers"),
    OCI_INDEX: ("manifests",),
    DOCKER_LIST: ("manifests",),
}
FORBIDDEN_FIELDS = {
    OCI_IMAGE: ("manifests", "fsLayers"),
    DOCKER_IMAGE: ("manifests", "fsLayers"),
    OCI_INDEX: ("config", "layers", "fsLayers"),
    DOCKER_LIST: ("config", "layers", "fsLayers"),
}
"""A document that can be read as two types at once is refused, whatever its label says."""

UNSPECIFIC_CONTENT_TYPES = frozenset(
    {"", "application/json", "application/octet-stream", "application/x-www-form-urlencoded"}
)

_FOREIGN_LAYER_PREFIXES = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)
_reading_large = threading.Lock()


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest's meaning.  ``blobs`` and ``children`` are digests as text, in their order."""

    media_type: str
    derived_type: str
    artifact_type: str | None
    subject: str | None
    blobs: tuple[str, ...]
    children: tuple[str, ...]
    annotations: dict[str, str] = field(default_factory=dict)


def parse(body: bytes, content_type: str) -> Document:
    """Read a manifest that someone pushes (row 60).  Raises MANIFEST_INVALID.

    ``content_type`` is that of the request, without parameters (row 55).
    """
    with _reading(body):
        try:
            return _parse(body, content_type)
        except Refusal as refusal:
            # Its traceback would keep all that was read of the document.
            raise refusal.with_traceback(None) from None


def _parse(body: bytes, content_type: str) -> Document:
    fields = _load(body)
    declared = fields.get("mediaType")
    for text in (declared or None, content_type or None):
        if text is not None and not (isinstance(text, str) and names.is_media_type(text)):
            raise _invalid("the media type is not one")
    derived = derive_type(fields)
    if content_type in UNSPECIFIC_CONTENT_TYPES:
        media_type = derived
    elif declared and declared != content_type:
        raise _invalid(f"mediaType is {declared}, but Content-Type is {content_type}")
    else:
        media_type = content_type
    _check_fields(fields, media_type)
    subject = fields.get("subject")
    return Document(
        media_type=media_type,
        derived_type=derived,
        artifact_type=_artifact_type(fields, media_type),
        subject=None if subject is None else _checked_digest(subject, "subject"),
        blobs=tuple(_blobs(fields)),
        children=tuple(_checked_digest(one, "manifests") for one in _list(fields, "manifests")),
        annotations=_annotations(fields),
    )


def stored_type(body: bytes) -> str:
    """Return the type that a stored manifest's JSON tells.  Raises MANIFEST_INVALID."""
    with _reading(body):
        return derive_type(_load(body))


def _reading(body: bytes) -> contextlib.AbstractContextManager[Any]:
    return _reading_large if len(body) > LARGE_BYTES else contextlib.nullcontext()


def derive_type(fields: dict[str, Any]) -> str:
    """Return the type that a manifest's JSON tells; the same way as Distribution does."""
    declared = fields.get("mediaType")
    if isinstance(declared, str) and names.is_media_type(declared):
        return declared
    return OCI_INDEX if "manifests" in fields else OCI_IMAGE


def load(body: bytes) -> dict[str, Any]:
    """Read a stored manifest's JSON object.  Raises MANIFEST_INVALID."""
    return _load(body)


def references(fields: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield every digest that a stored manifest has anywhere, and whether it may be a manifest's.

    Generous on purpose: any text that is a digest counts, so that what a collector must keep is found
    also in types unknown to us, and in Docker's schema 1.  Only the subject is left out: an attached
    manifest does not keep alive what it is attached to.
    """
    left: list[tuple[Any, bool]] = [(fields, False)]
    while left:
        value, in_manifests = left.pop()
        if isinstance(value, str):
            if names.is_digest_syntax(value):
                yield value, False
        elif isinstance(value, list):
            left += [(below, in_manifests) for below in reversed(value)]
        elif isinstance(value, dict):
            text = value.get("digest")
            if isinstance(text, str) and names.is_digest_syntax(text):
                media_type = value.get("mediaType")
                yield text, in_manifests or (isinstance(media_type, str) and media_type in MANIFEST_TYPES)
            left += [
                (below, key == "manifests")
                for key, below in reversed(value.items())
                if not (key == "digest" and isinstance(below, str))
                and not (key == "subject" and value is fields)
            ]


def subject(fields: dict[str, Any]) -> str | None:
    """Return the digest of what a stored manifest is attached to, as text, if it has one."""
    found = fields.get("subject")
    text = found.get("digest") if isinstance(found, dict) else None
    return text if isinstance(text, str) and names.is_digest_syntax(text) else None


def _load(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(fields, dict):
        raise _invalid("not a JSON object")
    return fields


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _check_fields(fields: dict[str, Any], media_type: str) -> None:
    if media_type in REQUIRED_FIELDS and fields.get("schemaVersion") != 2:
        raise _invalid("schemaVersion is not 2")
    for name in REQUIRED_FIELDS.get(media_type, ()):
        if name not in fields:
            raise _invalid(f"{name} is missing")
    for name in FORBIDDEN_FIELDS.get(media_type, ()):
        if name in fields:
            raise _invalid(f"{name} does not belong into {media_type}")
    artifact_type = fields.get("artifactType")
    if artifact_type is not None and not isinstance(artifact_type, str):
        raise _invalid("artifactType is not a string")


def _blobs(fields: dict[str, Any]) -> Iterator[str]:
    config = fields.get("config")
    if config is not None:
        yield _checked_digest(config, "config")
    for name in ("layers", "blobs"):
        for layer in _list(fields, name):
            digest = _checked_digest(layer, name)
            if not _is_foreign(layer):
                yield digest


def _is_foreign(layer: dict[str, Any]) -> bool:
    media_type = layer.get("mediaType")
    return isinstance(media_type, str) and media_type.startswith(_FOREIGN_LAYER_PREFIXES)


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    found = fields.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _invalid(f"{name} is not a list")
    return found


def _checked_digest(descriptor: Any, where: str) -> str:
    if not isinstance(descriptor, dict):
        raise _invalid(f"{where}: a descriptor is not an object")
    digest, size_bytes = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(digest, str) or not names.is_digest_syntax(digest):
        raise _invalid(f"{where}: a descriptor has no valid digest")
    if not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0:
        raise _invalid(f"{where}: a descriptor has no valid size")
    media_type = descriptor.get("mediaType")
    if media_type is not None and not isinstance(media_type, str):
        raise _invalid(f"{where}: a descriptor's mediaType is not a string")
    return digest


def _artifact_type(fields: dict[str, Any], media_type: str) -> str | None:
    """Row 76: the manifest's own; else an image's config type; else none."""
    declared = fields.get("artifactType")
    if isinstance(declared, str) and declared:
        return declared
    config = fields.get("config")
    if media_type not in INDEX_TYPES and isinstance(config, dict):
        config_type = config.get("mediaType")
        return config_type if isinstance(config_type, str) and config_type else None
    return None


def _annotations(fields: dict[str, Any]) -> dict[str, str]:
    found = fields.get("annotations")
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise _invalid("annotations are not a map of strings")
    return found


def _invalid(message: str) -> Refusal:
    return Refusal("MANIFEST_INVALID", {"reason": message})
