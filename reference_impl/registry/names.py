"""The grammar of everything a client may name.  Nothing else turns client text into a path."""

from __future__ import annotations

import re
import uuid

from .digests import ENCODED_CHARS, Digest
from .errors import Refusal

REPOSITORY_MAX_CHARS = 255
TAG_MAX_CHARS = 128
DIGEST_MAX_CHARS = 512
"""Of algorithms unknown to us; the grammar has no end, but digests are sent back in headers."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,{TAG_MAX_CHARS - 1}}}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_NUMBER = re.compile(r"[0-9]{1,18}")


def repository(text: str) -> str:
    """Check a repository's name (rows 4 and 5).  Raises NAME_INVALID."""
    if not is_repository(text):
        raise Refusal("NAME_INVALID", {"name": text[: REPOSITORY_MAX_CHARS + 1]})
    return text


def is_repository(text: str) -> bool:
    return len(text) <= REPOSITORY_MAX_CHARS and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def tag(text: str) -> str:
    """Check a tag (row 6).  Raises TAG_INVALID."""
    if not is_tag(text):
        raise Refusal("TAG_INVALID", {"tag": text[: TAG_MAX_CHARS + 1]})
    return text


def is_digest_syntax(text: str) -> bool:
    """Whether this is a digest by the grammar, of an algorithm known to us or not."""
    if len(text) > DIGEST_MAX_CHARS or not _DIGEST.fullmatch(text):
        return False
    algorithm, _, encoded = text.partition(":")
    length = ENCODED_CHARS.get(algorithm)
    return length is None or (len(encoded) == length and bool(_HEXADECIMAL.fullmatch(encoded)))


def digest(text: str) -> Digest:
    """Check a digest of a supported algorithm (rows 7 and 35).  Raises DIGEST_INVALID."""
    if is_digest_syntax(text):
        algorithm, _, encoded = text.partition(":")
        if algorithm in ENCODED_CHARS:
            return Digest(algorithm, encoded)
    raise Refusal("DIGEST_INVALID", {"digest": text[:300]})


def reference(text: str) -> Digest | str:
    """A digest if it has a colon, otherwise a tag (row 7).  Raises DIGEST_INVALID, TAG_INVALID."""
    return digest(text) if ":" in text else tag(text)


def algorithm(text: str) -> str:
    """Check the name of a digest algorithm (row 36).  Raises DIGEST_INVALID."""
    if text not in ENCODED_CHARS:
        raise Refusal("DIGEST_INVALID", {"algorithm": text[:100]})
    return text


def session(text: str) -> str:
    """Check an upload session's id.  Raises BLOB_UPLOAD_UNKNOWN, as for any other absent one."""
    if not _SESSION.fullmatch(text):
        raise Refusal("BLOB_UPLOAD_UNKNOWN", {"session": text[:100]})
    return text


def new_session() -> str:
    return str(uuid.uuid4())


def page_size(text: str) -> int:
    """Check the ``n`` of a listing.  Raises PAGE_SIZE_INVALID."""
    if not _NUMBER.fullmatch(text):
        raise Refusal("PAGE_SIZE_INVALID", {"n": text[:100]})
    return int(text)


def is_media_type(text: str) -> bool:
    """Whether this is a media type without parameters, safe to send back in a header."""
    return _MEDIA_TYPE.fullmatch(text) is not None
