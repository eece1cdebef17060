"""Referrers: which manifests of a repository are attached to a subject.

The list is worked out from the manifests that are there, so it is exact also after a crash.  Only
what a manifest says is remembered, under its digest; never whether it exists.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from . import documents
from .digests import Digest
from .errors import Refusal
from .manifests import Manifests

_REMEMBERED_MAX = 20000


@dataclass(frozen=True, slots=True)
class Attachment:
    """What one manifest says: its subject, and the descriptor that lists it (rows 75 to 77)."""

    subject: str
    artifact_type: str | None
    media_type: str
    size_bytes: int
    annotations: dict[str, str]

    def descriptor(self, digest: Digest) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(digest),
            "size": self.size_bytes,
        }
        if self.artifact_type:
            fields["artifactType"] = self.artifact_type
        if self.annotations:
            fields["annotations"] = self.annotations
        return fields


class Referrers:
    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests
        self._guard = threading.Lock()
        self._remembered: OrderedDict[tuple[str, Digest], Attachment | None] = OrderedDict()

    def of(self, repository: str, subject: Digest, artifact_type: str | None = None) -> list[dict[str, Any]]:
        """Return the descriptors of all attached manifests, by digest (rows 72 to 82)."""
        found = []
        for canonical, digest in self._manifests.every(repository).items():
            attachment = self._attachment(repository, digest, canonical)
            if attachment is None or attachment.subject != str(subject):
                continue
            if artifact_type is None or attachment.artifact_type == artifact_type:
                found.append(attachment.descriptor(digest))
        return sorted(found, key=lambda descriptor: str(descriptor["digest"]))

    def _attachment(self, repository: str, digest: Digest, canonical: Digest) -> Attachment | None:
        key = (repository, canonical)
        with self._guard:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        manifest = self._manifests.read(repository, digest)
        if manifest is None:
            return None
        attachment = _read(manifest.body, manifest.media_type)
        with self._guard:
            self._remembered[key] = attachment
            while len(self._remembered) > _REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return attachment


def _read(body: bytes, media_type: str) -> Attachment | None:
    try:
        document = documents.parse(body, media_type)
    except Refusal:  # adopted from another writer: not one of ours, so attached to nothing
        return None
    if document.subject is None:
        return None
    return Attachment(
        subject=document.subject,
        artifact_type=document.artifact_type,
        media_type=media_type,
        size_bytes=len(body),
        annotations=document.annotations,
    )
