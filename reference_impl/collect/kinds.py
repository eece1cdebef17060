"""What can be wrong with a store: a table of kinds, how bad each is, and what heals it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "note", "unreadable"]
"""*error*: something that clients were promised is broken.  *note*: it costs space, or somebody is at work.
*unreadable*: nothing can be said."""


@dataclass(frozen=True, slots=True)
class Kind:
    severity: Severity
    means: str
    heals: str


KINDS: dict[str, Kind] = {
    "blob.wrong_bytes": Kind(
        "error", "what is stored does not hash to its digest", "push it again: that replaces what is stored"
    ),
    "layer.torn": Kind("error", "a link to a blob is empty, or is no digest", "push the blob again"),
    "layer.foreign": Kind(
        "error", "a link to a blob leads to other content than its name says", "push the blob again"
    ),
    "manifest.torn": Kind("error", "a link to a manifest is empty, or is no digest", "push it again"),
    "manifest.foreign": Kind(
        "error", "a link to a manifest leads to other content than its name says", "push the manifest again"
    ),
    "manifest.missing": Kind("error", "a manifest's bytes are not there", "push it again, or delete it"),
    "manifest.not_json": Kind("error", "a manifest is not a JSON object", "delete it"),
    "manifest.incomplete": Kind(
        "error",
        "something that a manifest refers to is not in its repository",
        "push what is missing, or delete the manifest",
    ),
    "tag.torn": Kind(
        "error", "a tag's link is empty, or is no digest", "push what it shall point to, or delete it"
    ),
    "tag.dangling": Kind(
        "error", "a tag points to a manifest that is not there", "push the manifest again, or delete the tag"
    ),
    "tag.ghost": Kind(
        "error", "a tag that points to nothing: its push was never finished", "push it again, or delete it"
    ),
    "layer.dangling": Kind("note", "a link to a blob that is gone", "collect removes it"),
    "blob.orphan": Kind("note", "content that no manifest refers to", "collect removes it"),
    "manifest.unusual": Kind(
        "note", "a manifest that would not be accepted now, so its references are not checked", "-"
    ),
    "session.open": Kind("note", "an upload is not finished", "collect removes it when it is old enough"),
    "session.no_start": Kind(
        "note",
        "an upload without startedat: nobody can go on with it",
        "collect removes it when it is old enough",
    ),
    "session.bad_start": Kind(
        "note", "an upload whose startedat is no time", "collect removes it when it is old enough"
    ),
    "trash": Kind("note", "set aside by a collector that has not ended", "collect restores or removes it"),
    "leftover": Kind("note", "a temporary file", "collect removes it when it is old enough"),
    "unknown": Kind("note", "nobody knows what this is", "look at it; nothing here ever touches it"),
    "unreadable": Kind("unreadable", "this cannot be read", "see to the disk, or the permissions"),
}
