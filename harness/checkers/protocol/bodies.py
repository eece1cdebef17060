"""Bodies of the table's requests, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.plan.content import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST

FOUR_MB = 4_000_000
TOO_LARGE_BYTES = 12 << 20
DEPTH = 20_000
"""Nested arrays in the manifest that parsers without a limit do not survive."""


@dataclass(frozen=True, slots=True)
class Stuff:
    """What bodies are made of: ``mark`` is unique to the operation, ``unknown`` and ``unknown2`` are digests
    of content that nobody pushed, ``a`` is the operation's argument."""

    mark: str
    unknown: str
    unknown2: str
    a: str = ""


def _dump(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _index(stuff: Stuff, **more: object) -> dict[str, object]:
    """An index without children: the smallest manifest that needs nothing else in its repository."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
        "annotations": {"seatrial.request": stuff.mark},
        **more,
    }


def _image(stuff: Stuff, **more: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": stuff.unknown, "size": 7},
        "layers": [{"mediaType": OCI_LAYER, "digest": stuff.unknown2, "size": 9}],
        "annotations": {"seatrial.request": stuff.mark},
        **more,
    }


def _padded(stuff: Stuff, size_bytes: int) -> bytes:
    bare = _dump(_index(stuff, annotations={"seatrial.request": stuff.mark, "seatrial.pad": ""}))
    pad = "x" * (size_bytes - len(bare))
    return _dump(_index(stuff, annotations={"seatrial.request": stuff.mark, "seatrial.pad": pad}))


def _with_config(stuff: Stuff, config: object) -> bytes:
    return _dump(_image(stuff, config=config))


def _without(document: dict[str, object], name: str) -> bytes:
    return _dump({key: value for key, value in document.items() if key != name})


MALFORMED: Mapping[str, Callable[[Stuff], bytes]] = {
    "not-json": lambda stuff: b"this is no manifest: " + stuff.mark.encode(),
    "empty": lambda stuff: b"",
    "array": lambda stuff: b"[]",
    "string": lambda stuff: b'"manifest"',
    "null": lambda stuff: b"null",
    "number": lambda stuff: b"12345678901234567890",
    "truncated": lambda stuff: _dump(_image(stuff))[:-20],
    "not-utf8": lambda stuff: b'{"schemaVersion": 2, "mediaType": "\xff\xfe"}',
    "nested": lambda stuff: b"[" * DEPTH + b"]" * DEPTH,
    "missing-config": lambda stuff: _without(_image(stuff), "config"),
    "config-string": lambda stuff: _with_config(stuff, "config"),
    "layers-object": lambda stuff: _dump(_image(stuff, layers={})),
    "bad-digest": lambda stuff: _with_config(
        stuff, {"mediaType": OCI_CONFIG, "digest": "sha256:xyz", "size": 2}
    ),
    "empty-digest": lambda stuff: _with_config(stuff, {"mediaType": OCI_CONFIG, "digest": "", "size": 2}),
    "digest-number": lambda stuff: _with_config(stuff, {"mediaType": OCI_CONFIG, "digest": 1, "size": 2}),
}
"""Nothing that could be an image manifest."""

ODD: Mapping[str, Callable[[Stuff], bytes]] = {
    "schema-1": lambda stuff: _dump(_image(stuff, schemaVersion=1)),
    "schema-text": lambda stuff: _dump(_image(stuff, schemaVersion="2")),
    "schema-missing": lambda stuff: _without(_image(stuff), "schemaVersion"),
    "negative-size": lambda stuff: _with_config(
        stuff, {"mediaType": OCI_CONFIG, "digest": stuff.unknown, "size": -1}
    ),
    "huge-size": lambda stuff: _with_config(
        stuff, {"mediaType": OCI_CONFIG, "digest": stuff.unknown, "size": 10**30}
    ),
    "size-text": lambda stuff: _with_config(
        stuff, {"mediaType": OCI_CONFIG, "digest": stuff.unknown, "size": "2"}
    ),
    "null-layers": lambda stuff: _dump(_image(stuff, layers=None)),
    "null-annotation": lambda stuff: _dump(_image(stuff, annotations={"key": None})),
    "subject-text": lambda stuff: _dump(_image(stuff, subject="sha256:")),
    "subject-bad-digest": lambda stuff: _dump(
        _image(stuff, subject={"mediaType": OCI_MANIFEST, "digest": "sha256:../x", "size": 2})
    ),
    "nested-annotation": lambda stuff: (
        _dump(_image(stuff))[:-1] + b', "x": ' + b'{"x":' * 2000 + b"1" + b"}" * 2001
    ),
}
"""Wrong by the image specification, but some registries keep what they do not understand."""

DEEP: Mapping[str, Callable[[Stuff], bytes]] = {
    "arrays": lambda stuff: b"[" * DEPTH + b"]" * DEPTH,
    "objects": lambda stuff: b'{"x":' * DEPTH + b"1" + b"}" * DEPTH,
    "in-layers": lambda stuff: (
        _dump(_image(stuff))[:-1] + b', "layers": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"
    ),
    "in-subject": lambda stuff: (
        _dump(_image(stuff))[:-1] + b', "subject": ' + b'{"x":' * DEPTH + b"1" + b"}" * DEPTH + b"}"
    ),
}
"""Nested to a depth at which a parser, or whoever walks through what it read, may run out of stack."""

BODIES: Mapping[str, Callable[[Stuff], bytes]] = {
    "word": lambda stuff: b"seatrial " + stuff.mark.encode(),
    "nothing": lambda stuff: b"",
    "ten bytes": lambda stuff: b"0123456789",
    "index": lambda stuff: _dump(_index(stuff)),
    "index with subject": lambda stuff: _dump(_index(stuff, subject=subject(stuff))),
    "index of the unknown": lambda stuff: _dump(
        _index(stuff, manifests=[{"mediaType": OCI_MANIFEST, "digest": stuff.unknown, "size": 7}])
    ),
    "image of the unknown": lambda stuff: _dump(_image(stuff)),
    "four megabytes": lambda stuff: _padded(stuff, FOUR_MB),
    "too large": lambda stuff: _padded(stuff, TOO_LARGE_BYTES),
    "malformed": lambda stuff: MALFORMED.get(stuff.a, MALFORMED["not-json"])(stuff),
    "deep": lambda stuff: DEEP.get(stuff.a, DEEP["arrays"])(stuff),
    "odd": lambda stuff: ODD.get(stuff.a, ODD["schema-1"])(stuff),
}
SELF_CONTAINED = frozenset({"index", "index with subject", "four megabytes", "too large"})
"""Valid manifests that name nothing that would have to be in the repository."""


def subject(stuff: Stuff) -> dict[str, object]:
    """The descriptor of a manifest that nobody pushed."""
    return {"mediaType": OCI_MANIFEST, "digest": stuff.unknown, "size": 123}
