"""What is interrupted: one operation for each scene, and what has to be there before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .client import Client, image, index

REPO, OTHER = "team/app", "other"
LAYER, CONFIG = b"layer" * 300, b'{"architecture": 1}'
OLD, NEW = b"old" * 400, b"new" * 500


@dataclass(frozen=True, slots=True)
class Scene:
    """``run`` can be done again after a crash in the middle of it. Where it ``collects``, links to what is
    garbage may lead nowhere for a while."""

    name: str
    prepare: Callable[[Client], object]
    run: Callable[[Client], object]
    collects: bool = False


def _nothing(client: Client) -> None:
    pass


def _one_image(client: Client) -> None:
    client.push_image(REPO, b"{}", [OLD], "stays")


def _two_images(client: Client) -> None:
    client.push_image(REPO, b"{}", [OLD], "stays", "t")
    client.push_image(REPO, b"{}", [NEW], "new")


def _one_blob_in_two(client: Client) -> None:
    _one_image(client)
    client.push(REPO, NEW)
    client.push(OTHER, NEW)


def _tagged_twice(client: Client) -> None:
    client.push_image(REPO, b"{}", [OLD], "stays")
    client.push_image(REPO, b"{}", [NEW], "t", "u")


def _push_whole_image(client: Client) -> None:
    client.push_chunked(REPO, LAYER, 500, 1100)
    client.push(REPO, CONFIG)
    client.put(REPO, image(CONFIG, LAYER), "t")


def _push_what_is_absent(client: Client) -> None:
    for data in (LAYER, CONFIG):
        client.push_if_absent(REPO, data)
    client.put(REPO, image(CONFIG, LAYER), "t")


def _push_index(client: Client) -> None:
    child = client.push_image(REPO, b"{}", [OLD])
    client.put(REPO, index(child), "multi")


def _with_other_names(client: Client) -> None:
    client.push(REPO, NEW, "sha512")
    client.put(REPO, image(NEW, NEW), algorithm="sha512")


def _a_session(client: Client) -> None:
    _one_image(client)
    client.patch(client.begin(REPO, LAYER), 700)


def _cancel(client: Client) -> None:
    for key in [key for key in client.facts.allowed if key.kind == "session"]:
        client.cancel(key)


def _garbage(client: Client) -> None:
    """Garbage of every kind, and content in the trash that a killed collector was wrong about."""
    client.push_image(REPO, b"{}", [OLD], "stays")
    client.push_image(REPO, b'{"in": "trash"}', [NEW], "t")
    client.push_image(OTHER, b'{"untagged": 1}', [NEW])
    child = client.push_image(OTHER, b'{"child": 1}', [b"child" * 100])
    client.put(OTHER, index(child), "multi")
    for number in range(2):
        client.push(REPO, b"garbage %d" % number)
    for data in (b'{"in": "trash"}', b"garbage 1"):
        client.lose_in_trash(REPO, data)


def _adopted_garbage(client: Client) -> None:
    client.push_image(REPO, b"{}", [OLD], "stays")
    client.push(REPO, NEW)


def _collect_beside_others(client: Client) -> None:
    client.collect_beside_others(REPO, NEW, image(b"{}", NEW))


SCENES = [
    Scene("chunked push of a first image", _nothing, _push_whole_image),
    Scene("chunked push of an image", _one_image, _push_whole_image),
    Scene("push of what is absent", _one_image, _push_what_is_absent),
    Scene("push of an index", _one_image, _push_index),
    Scene("push by sha512", _one_image, _with_other_names),
    Scene("push with a wrong digest", _one_image, lambda client: client.push_wrong(REPO, NEW)),
    Scene("tag move", _two_images, lambda client: client.put(REPO, image(b"{}", NEW), "t")),
    Scene("manifest delete", _tagged_twice, lambda client: client.delete_manifest(REPO, image(b"{}", NEW))),
    Scene("tag delete", _tagged_twice, lambda client: client.delete_tag(REPO, "t")),
    Scene("blob delete", _one_blob_in_two, lambda client: client.delete_blob(REPO, NEW)),
    Scene("mount", _one_image, lambda client: client.mount(OTHER, OLD, REPO)),
    Scene("session cancel", _a_session, _cancel),
    Scene("collection", _garbage, lambda client: client.collect(), collects=True),
    Scene("collection beside others", _adopted_garbage, _collect_beside_others, collects=True),
    Scene(
        "collection of untagged manifests",
        _garbage,
        lambda client: client.collect(delete_untagged=True),
        collects=True,
    ),
]
