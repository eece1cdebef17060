"""Where things are, below ``<root>/docker/registry/v2``: CNCF Distribution's layout.

Our own private files are in one folder that Distribution never looks into.
"""

from __future__ import annotations

from hashlib import sha256

from .digests import Digest

ROOT = "docker/registry/v2"
BLOBS = "blobs"
REPOSITORIES = "repositories"
PRIVATE = "_ociref"
SCRATCH = f"{PRIVATE}/tmp"
TRASH = f"{PRIVATE}/trash"
LOCKS = f"{PRIVATE}/locks"
COLLECTOR_LOCK = f"{LOCKS}/collector"


def blob_folder(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}"


def blob_data(digest: Digest) -> str:
    return f"{blob_folder(digest)}/data"


def repository(name: str) -> str:
    return f"{REPOSITORIES}/{name}"


def layers(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_layers"


def layer_folder(name: str, digest: Digest) -> str:
    return f"{layers(name)}/{digest.algorithm}/{digest.encoded}"


def layer_link(name: str, digest: Digest) -> str:
    return f"{layer_folder(name, digest)}/link"


def manifests(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests"


def revisions(name: str) -> str:
    return f"{manifests(name)}/revisions"


def revision_folder(name: str, digest: Digest) -> str:
    return f"{revisions(name)}/{digest.algorithm}/{digest.encoded}"


def revision_link(name: str, digest: Digest) -> str:
    return f"{revision_folder(name, digest)}/link"


def tags(name: str) -> str:
    return f"{manifests(name)}/tags"


def tag_folder(name: str, tag: str) -> str:
    return f"{tags(name)}/{tag}"


def tag_current_link(name: str, tag: str) -> str:
    return f"{tag_folder(name, tag)}/current/link"


def tag_index_link(name: str, tag: str, digest: Digest) -> str:
    return f"{tag_folder(name, tag)}/index/{digest.algorithm}/{digest.encoded}/link"


def uploads(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_uploads"


def session_folder(name: str, session: str) -> str:
    return f"{uploads(name)}/{session}"


def session_data(name: str, session: str) -> str:
    return f"{session_folder(name, session)}/data"


def session_started_at(name: str, session: str) -> str:
    return f"{session_folder(name, session)}/startedat"


def session_owner(name: str, session: str) -> str:
    """Who opened it, as text; absent if nobody in particular did.  Ours: Distribution ignores it."""
    return f"{session_folder(name, session)}/owner"


def session_hash_states(name: str, session: str) -> str:
    """Where Distribution keeps how far it has hashed; every session of it has this folder, none of ours."""
    return f"{session_folder(name, session)}/hashstates"


def media_type(name: str, digest: Digest) -> str:
    """The type a manifest was pushed with, kept only where its JSON does not tell."""
    return f"{PRIVATE}/types/{name}/_types/{digest.algorithm}/{digest.encoded}"


def digest_lock(digest: Digest) -> str:
    """One of 256 locks per algorithm: shared by those who publish, exclusive to who condemns."""
    return f"{LOCKS}/digest/{digest.algorithm}-{digest.encoded[:2]}"


def every_digest_lock(algorithm: str) -> list[str]:
    return [f"{LOCKS}/digest/{algorithm}-{shard:02x}" for shard in range(256)]


def repository_lock(name: str) -> str:
    return f"{LOCKS}/repository/{sha256(name.encode()).hexdigest()[:2]}"


def trashed(collection: str, digest: Digest) -> str:
    """Where a collection sets content aside: all of it in one folder, so that one sync does for many."""
    return f"{TRASH}/{collection}/{digest.algorithm}/{digest.encoded}"


def trashed_path(collection: str, path: str) -> str:
    """Where a collection sets anything else aside: under its own path."""
    return f"{TRASH}/{collection}/{path}"
