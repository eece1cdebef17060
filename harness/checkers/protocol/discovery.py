"""Checks on tag lists and referrers: the form of the lists, and what they say of each entry.

Claims: the documents have their form; a filter that was applied is named; a referrer's type and annotations
are those of its manifest. Misses: completeness, order and duplicates over pages (listing). Cost: linear in
the entries of a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.checkers.protocol.answer import Answer, Flaw
from harness.checkers.protocol.known import Known
from harness.plan.content import OCI_INDEX


def tag_list(answer: Answer, known: Known) -> Iterator[Flaw]:
    if answer.status == 200 and answer.text is not None:
        name = known.history.symbols.repo(str(answer.about.get("repo", "")))
        yield from tag_list_form(answer, name)


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def tag_list_form(answer: Answer, name: str) -> Iterator[Flaw]:
    """``{"name": <name>, "tags": [<tag>, …]}``."""
    document = answer.json
    if not isinstance(document, dict):
        text = f"it is {(answer.text or '')[:100]!r}"
        yield Flaw(66, "form", "must", "a tag list is no JSON object", text)
        return
    tags = document.get("tags")
    # An empty list as null is P7's to mention.
    if document.get("tags", ()) is not None and not _strings(tags):
        title = "the tags of a tag list are no list of strings"
        yield Flaw(66, "tags", "must", title, f"`tags` is {json.dumps(tags)[:100]}")
    if document.get("name") != name:
        title = "a tag list does not name its repository"
        yield Flaw(66, "name", "must", title, f"`name` is {document.get('name')!r}, not {name!r}")


def next_link(answer: Answer, known: Known) -> Iterator[Flaw]:
    """Link, where there is one, leads to the next page: RFC 8288, ``rel="next"``."""
    if answer.status != 200 or "link" not in answer.headers or answer.links_next():
        return
    row = 69 if answer.call == "tags.list" else 79
    title = f'Link of {answer.call} has no link with rel="next"'
    yield Flaw(row, "link", "must", title, f"Link: {answer.headers['link'][:200]}")


def referrers(answer: Answer, known: Known) -> Iterator[Flaw]:
    able = known.history.abilities.can("referrers")
    if answer.status == 404 and able:
        repo = str(answer.about.get("repo", ""))
        if known.present("repo", repo, "", answer.exchange):
            title = "referrers answers 404, though it is supported and the repository is there"
            yield Flaw(72, "absent", "must", title, "status 404")
        return
    if answer.status != 200 or not able:
        return
    yield from index_form(answer)
    for entry in descriptors(answer):
        name = known.named.get(str(entry.get("digest")))
        if name is not None:
            yield from _entry(entry, known.history.symbols.manifest_document(name))
    wanted = answer.about.get("type")
    if isinstance(wanted, str):
        yield from filtered(answer, wanted, known)


def index_form(answer: Answer) -> Iterator[Flaw]:
    """An image index, typed as one."""
    if answer.media_type != OCI_INDEX:
        text = f"it is {answer.headers.get('content-type')!r}"
        yield Flaw(74, "type", "must", "referrers are not typed as an image index", text)
    if answer.text is None:
        return
    document = answer.json
    whole = (
        isinstance(document, dict)
        and document.get("schemaVersion") == 2
        and isinstance(document.get("manifests"), list)
        and document.get("mediaType", OCI_INDEX) == OCI_INDEX
        and all(_is_descriptor(entry) for entry in document["manifests"])
    )
    if not whole:
        yield Flaw(74, "form", "must", "referrers are no image index", f"it is {answer.text[:200]!r}")


def _is_descriptor(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("digest"), str)
        and isinstance(entry.get("mediaType"), str)
        and isinstance(entry.get("size"), int)
    )


def descriptors(answer: Answer) -> list[dict[str, Any]]:
    document = answer.json
    found = document.get("manifests") if isinstance(document, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def filtered(answer: Answer, wanted: str, known: Known) -> Iterator[Flaw]:
    """A filter that is said to be applied is; one that the target is known to apply is said to be."""
    applied = "artifactType" in answer.values("oci-filters-applied")
    if not applied:
        if known.history.abilities.can("referrers-filter"):
            title = "a filter of referrers is not named in OCI-Filters-Applied"
            yield Flaw(80, "missing", "should", title, f"asked for {wanted}")
        return
    others = {str(entry.get("artifactType")) for entry in descriptors(answer)} - {wanted}
    if others:
        title = "referrers of other types are listed though the filter is said to be applied"
        yield Flaw(80, "unfiltered", "must", title, f"asked for {wanted}, listed {sorted(others)}")


def _entry(entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[Flaw]:
    """One referrer beside the manifest that it stands for."""
    config = manifest.get("config")
    wanted = manifest.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    seen = entry.get("artifactType") or None
    if seen != wanted:
        title = "a referrer's artifactType is not that of its manifest"
        yield Flaw(76, "type", "must", title, f"{entry.get('digest')}: {seen!r} instead of {wanted!r}")
    notes = manifest.get("annotations")
    said = entry.get("annotations")
    said = said if isinstance(said, dict) else {}
    if isinstance(notes, dict):
        left = sorted(key for key, value in notes.items() if said.get(key) != value)
        if left:
            title = "a referrer does not have its manifest's annotations"
            yield Flaw(
                77, "annotations", "must", title, f"{entry.get('digest')}: missing or other: {left[:5]}"
            )


CHECKS = {
    "tags.list": (tag_list, next_link),
    "referrers.list": (referrers, next_link),
}
ROWS_CITED = frozenset({66, 69, 72, 74, 76, 77, 79, 80})
