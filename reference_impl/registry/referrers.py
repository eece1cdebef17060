"""Referrers: which manifests of a repository are attached to a subject.

The list is worked out from the manifests that are there, so it is exact also after a crash.  Only
what a manifest says is remembered, under its digest; never whether it exists.  It may say much: neither
what is remembered nor what is on its way to a client grows with all that anyone attaches.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import documents
from .digests import Digest
from .errors import Refusal
from .manifests import Manifests

REMEMBERED_BYTES = 16 << 20
_ENTRY_BYTES = 600
_TEXT_BYTES = 150
"""What objects cost in memory, beside their characters; about."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What one manifest says: its subject, and the descriptor that lists it (rows 75 to 77)."""

    subject: str
    artifact_type: str | None
    media_type: str
    size_bytes: int
    annotations: dict[str, str]

    @property
    def cost_bytes(self) -> int:
        texts = [self.subject, self.artifact_type or "", *self.annotations, *self.annotations.values()]
        return sum(_TEXT_BYTES + len(text) for text in texts)

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
        self._remembered_bytes = 0

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield the descriptors of the attached manifests whose digest comes ``after``, by digest (rows 72
        to 82)."""
        names = {
            str(digest): (canonical, digest)
            for canonical, digest in self._manifests.every(repository).items()
        }
        for name in sorted(one for one in names if one > after):
            canonical, digest = names[name]
            attachment = self._attachment(repository, digest, canonical)
            if attachment is None or attachment.subject != str(subject):
                continue
            if artifact_type is None or attachment.artifact_type == artifact_type:
                yield attachment.descriptor(digest)

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
            if key not in self._remembered:
                self._remembered_bytes += _cost_bytes(attachment)
            self._remembered[key] = attachment
            while self._remembered_bytes > REMEMBERED_BYTES:
                _, oldest = self._remembered.popitem(last=False)
                self._remembered_bytes -= _cost_bytes(oldest)
        return attachment


def _cost_bytes(attachment: Attachment | None) -> int:
    return _ENTRY_BYTES + (attachment.cost_bytes if attachment is not None else 0)


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
