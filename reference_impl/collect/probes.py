"""Looking at one thing of a store at a time: is it as it should be just now?

Each returns what is wrong, nothing if all is well or if the thing is gone.  Raises DriverError, OSError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..drivers.base import Driver, NotFound
from ..registry import documents, layout, links, names
from ..registry.digests import CANONICAL, Digest, digest_of, hasher
from ..registry.errors import Refusal
from .survey import exists

_HASH_BLOCK_BYTES = 1 << 20
_STARTED_AT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """``kind`` is a key of `kinds.KINDS`, ``where`` a path; ``detail`` says more where there is more."""

    kind: str
    where: str
    detail: str = ""


def blob(driver: Driver, digest: Digest) -> list[Finding]:
    """Hash content."""
    path = layout.blob_data(digest)
    try:
        reader = driver.open(path)
    except NotFound:
        return []
    one, offset = hasher(digest.algorithm), 0
    try:
        while block := reader.read_at(offset, _HASH_BLOCK_BYTES):
            offset += len(block)
            one.update(block)
    finally:
        reader.close()
    if one.hexdigest() == digest.encoded:
        return []
    return [Finding("blob.wrong_bytes", path, f"{offset} bytes")]


def layer(driver: Driver, repository: str, name: Digest) -> list[Finding]:
    path = layout.layer_link(repository, name)
    target, wrong = _link(driver, "layer", path, name)
    if target is None or exists(driver, layout.blob_data(target)):
        return wrong
    return [*wrong, Finding("layer.dangling", path)]


def manifest(driver: Driver, repository: str, name: Digest) -> list[Finding]:
    """A manifest under one of its names, with all that it refers to."""
    path = layout.revision_link(repository, name)
    target, wrong = _link(driver, "manifest", path, name)
    if target is None:
        return wrong
    data = layout.blob_data(target)
    try:
        body = driver.read(data)
    except NotFound:
        return wrong or [Finding("manifest.missing", path)]
    if digest_of(body) != target:
        return [*wrong, Finding("blob.wrong_bytes", data, f"{len(body)} bytes")]
    try:
        documents.load(body)
    except Refusal:
        return [*wrong, Finding("manifest.not_json", path)]
    try:
        document = documents.parse(body, "")
    except Refusal as refusal:
        return [*wrong, Finding("manifest.unusual", path, str(refusal.detail.get("reason", "")))]
    missing = [text for text in document.blobs if not _has(driver, repository, text, child=False)]
    missing += [text for text in document.children if not _has(driver, repository, text, child=True)]
    if missing and exists(driver, path):
        more = f" and {len(missing) - _NAMED_MAX} more" if len(missing) > _NAMED_MAX else ""
        wrong.append(Finding("manifest.incomplete", path, ", ".join(missing[:_NAMED_MAX]) + more))
    return wrong


def tag(driver: Driver, repository: str, tag: str) -> list[Finding]:
    path = layout.tag_current_link(repository, tag)
    target = links.read_link(driver, path)
    if target is not None:
        if _leads_to_content(driver, layout.revision_link(repository, target), target):
            return []
        return [Finding("tag.dangling", path, str(target))]
    if exists(driver, path):
        return [Finding("tag.torn", path)]
    if exists(driver, layout.tag_folder(repository, tag)):
        return [Finding("tag.ghost", layout.tag_folder(repository, tag))]
    return []


def session(driver: Driver, repository: str, session: str) -> list[Finding]:
    folder = layout.session_folder(repository, session)
    if not exists(driver, folder):
        return []
    try:
        started_at = driver.read(layout.session_started_at(repository, session))
    except NotFound:
        return [Finding("session.no_start", folder)]
    if _STARTED_AT.fullmatch(started_at) is None:
        return [Finding("session.bad_start", folder, repr(started_at[:40]))]
    return [Finding("session.open", folder)]


def _link(driver: Driver, noun: str, path: str, name: Digest) -> tuple[Digest | None, list[Finding]]:
    """Follow the link that stands for a name; a canonical name can only mean itself, torn or not."""
    try:
        text = driver.read(path)
    except NotFound:
        return None, []
    meant = name if name.algorithm == CANONICAL else None
    try:
        target = names.digest(text.decode("ascii").strip())
    except (UnicodeDecodeError, Refusal):
        return meant, [Finding(f"{noun}.torn", path, f"{len(text)} bytes")]
    if target.algorithm != CANONICAL or meant not in (None, target):
        return meant, [Finding(f"{noun}.foreign", path, str(target))]
    return target, []


def _has(driver: Driver, repository: str, text: str, *, child: bool) -> bool:
    """Whether a repository has what one of its manifests refers to; what we cannot have is not asked for."""
    try:
        name = names.digest(text)
    except Refusal:
        return True
    paths = [layout.layer_link(repository, name)] + [layout.revision_link(repository, name)] * child
    return any(_leads_to_content(driver, path, name) for path in paths)


def _leads_to_content(driver: Driver, link: str, name: Digest) -> bool:
    target = links.read_digest_link(driver, link, name)
    return target is not None and exists(driver, layout.blob_data(target))
