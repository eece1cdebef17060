"""Where things are follows from names alone: below the root, and never where something else is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_impl.api.app import build
from reference_impl.drivers.base import checked
from reference_impl.drivers.filesystem import FilesystemDriver
from reference_impl.registry import layout, names
from reference_impl.registry.digests import ENCODED_CHARS, Digest
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry, filesystem_driver

from .test_names import ask

NAME_MAX_BYTES = 255
"""Of one component of a path, on all usual file systems."""
PATH_MAX_BYTES = 4096
RESERVED = [
    "_layers",
    "_manifests",
    "_uploads",
    "_ociref",
    "blobs",
    "repositories",
    "data",
    "link",
    "current",
]

# -- texts that a client might send, most of them nearly right --------------------------------

_PIECES = st.sampled_from(
    [
        *(
            *RESERVED,
            "a",
            "b",
            "sha256",
            "sha512",
            "index",
            "tags",
            "revisions",
            "..",
            ".",
            "",
            "/",
            "-",
            "__",
        ),
        *("\0", "\n", "%2e", "\\", "ä", "A", ":", "a" * 64, "0" * 128, "t" * 100, " ", "~", "\udc80"),
    ]
)
TEXTS = (
    st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=8).flatmap(
        lambda parts: st.sampled_from(["", "/", ":", "-"]).map(lambda between: between.join(parts))
    )
    | st.text()
    | st.from_regex(r"[a-z0-9._/-]{1,30}", fullmatch=True)
)
_COMPONENTS = st.from_regex(r"[a-z0-9]{1,3}(?:(?:[._]|__|-{1,2})[a-z0-9]{1,3}){0,2}", fullmatch=True)
REPOSITORIES = st.lists(
    _COMPONENTS | st.sampled_from(["a", "data", "link", "tags"]), min_size=1, max_size=4
).map("/".join)
TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,10}", fullmatch=True) | st.sampled_from(RESERVED)
DIGESTS = st.sampled_from(sorted(ENCODED_CHARS)).flatmap(
    lambda algorithm: st.integers(0, 16 ** ENCODED_CHARS[algorithm] - 1).map(
        lambda number: Digest(algorithm, f"{number:0{ENCODED_CHARS[algorithm]}x}")
    )
)
SESSIONS = st.uuids().map(str)
VALID: dict[str, st.SearchStrategy[Any]] = {
    "name": REPOSITORIES,
    "digest": DIGESTS,
    "tag": TAGS,
    "session": SESSIONS,
    "algorithm": st.sampled_from(sorted(ENCODED_CHARS)),
    "collection": st.uuids().map(lambda one: one.hex),
}
CHECKS: dict[str, Callable[[str], Any]] = {
    "name": names.repository,
    "digest": names.digest,
    "tag": names.tag,
    "session": names.session,
    "algorithm": names.algorithm,
}
"""By the name that a parameter of the layout's functions has."""
PLACES: dict[str, Callable[..., Any]] = {
    name: function
    for name, function in vars(layout).items()
    if inspect.isfunction(function) and function.__module__ == layout.__name__
}
BELOW = {
    "every_digest_lock": layout.LOCKS,
    "digest_lock": layout.LOCKS,
    "repository_lock": layout.LOCKS,
    "trashed": layout.TRASH,
    "media_type": f"{layout.PRIVATE}/types",
    "blob_folder": layout.BLOBS,
    "blob_data": layout.BLOBS,
}
"""What is not among the repositories."""
TESTED = sorted(PLACES.keys() - {"trashed_path"})  # that one takes a path


def paths(function: Callable[..., Any], values: dict[str, Any]) -> list[str]:
    found = function(**values)
    return found if isinstance(found, list) else [found]


def drawn(data: st.DataObject, function: Callable[..., Any]) -> dict[str, Any]:
    return {name: data.draw(VALID[name]) for name in inspect.signature(function).parameters}


@st.composite
def _spoiled(draw: st.DrawFn, text: str) -> str:
    """A valid text with something hostile in the place of a part of it, or before or behind it."""
    piece = draw(st.sampled_from(["..", "../", "/..", "../..", "/", "_", ".", "\0", "\n", "A", "-"]))
    at = draw(st.integers(0, len(text)))
    over = draw(st.sampled_from([0, len(piece), len(text)]))
    return text[:at] + piece + text[at + over :]


@st.composite
def _near(draw: st.DrawFn, kind: str, value: Any) -> Any:
    """A valid value that is nearly the same: what two places could be confused over."""
    text = str(value)
    others = [text.swapcase(), text.replace("/", "-"), text.replace("/", ""), text.replace("-", "_")]
    others += [text[:-1], text + "0", f"{text}/{text}", text.rpartition("/")[2]]
    if kind == "digest":
        others.append(str(Digest("sha512", value.encoded * 2)) if value.algorithm == "sha256" else text)
    chosen = draw(st.sampled_from(others))
    try:
        return CHECKS[kind](chosen)
    except (Refusal, KeyError):
        return value


def test_every_place_is_tested() -> None:
    assert len(TESTED) >= 20
    assert {name for place in TESTED for name in inspect.signature(PLACES[place]).parameters} <= VALID.keys()


@pytest.mark.parametrize("place", TESTED)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_text_passes_leads_below(place: str, data: st.DataObject) -> None:
    """Below the folder of its kind; for a repository's things, below that repository's."""
    function = PLACES[place]
    values: dict[str, Any] = {}
    for name in inspect.signature(function).parameters:
        value = data.draw(VALID[name])
        if name in CHECKS:
            text = data.draw(TEXTS | _spoiled(str(value)), label=name)
            try:
                value = CHECKS[name](text)
            except Refusal:
                value = CHECKS[name](str(value))
        values[name] = value
    folder = BELOW.get(place) or layout.repository(values["name"])
    for path in paths(function, values):
        assert checked(path) == path
        assert path.startswith(f"{folder}/") or path == layout.repository(values.get("name", ""))
        assert all(len(part.encode()) <= NAME_MAX_BYTES for part in path.split("/"))


LONGEST: dict[str, list[Any]] = {
    "name": ["a" * 255, "/".join("a" * 128), "a" + "-" * 253 + "a", "a/" * 126 + "aaa"],
    "digest": [Digest("sha512", "f" * 128)],
    "tag": ["t" * 128],
    "session": ["ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "algorithm": ["sha512"],
    "collection": ["f" * 32],
}


@pytest.mark.parametrize("place", TESTED)
def test_the_longest_names_fit(place: str) -> None:
    parameters = inspect.signature(PLACES[place]).parameters
    for repository in LONGEST["name"]:
        names.repository(repository)
        values = {name: repository if name == "name" else LONGEST[name][0] for name in parameters}
        for path in paths(PLACES[place], values):
            there = f"{'/var/lib/a-rather-long-folder-for-registries' * 4}/{layout.ROOT}/"
            assert len((there + layout.trashed_path("f" * 32, path)).encode()) < PATH_MAX_BYTES
            assert all(len(part.encode()) <= NAME_MAX_BYTES for part in path.split("/"))


def test_longer_names_are_refused() -> None:
    for repository in ("a" * 256, "a/" * 127 + "aa", "a" * 5000, "a/" * 5000 + "a"):
        assert not names.is_repository(repository)
    assert not names.is_tag("t" * 129)


# -- nothing is where something else is --------------------------------------------------------

FILES = ["layer_link", "revision_link", "tag_current_link", "tag_index_link", "media_type", "blob_data"]
FILES += ["session_data", "session_started_at", "session_owner"]


@given(data=st.data())
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_two_files_are_one(data: st.DataObject) -> None:
    """And none of them is a folder on the way to another."""
    one = data.draw(st.sampled_from(FILES))
    other = data.draw(st.just(one) | st.sampled_from(FILES))
    first, second = drawn(data, PLACES[one]), drawn(data, PLACES[other])
    for shared in sorted(first.keys() & second.keys()):
        second[shared] = data.draw(st.just(first[shared]) | _near(shared, first[shared]))
    if "name" in first and "name" in second and data.draw(st.booleans()):
        # A repository called like the way to something of another one.
        parts = PLACES[one](**first).split("/")
        begin = data.draw(st.integers(0, len(parts) - 1))
        end = data.draw(st.just(len(parts)) | st.integers(begin + 1, len(parts)))
        below = "/".join([first["name"], *parts[begin:end]])
        if names.is_repository(below):
            second["name"] = below
    ours, theirs = PLACES[one](**first), PLACES[other](**second)
    assert (ours == theirs) == (one == other and first == second)
    assert not theirs.startswith(f"{ours}/")
    assert not ours.startswith(f"{theirs}/")


OWN_FOLDERS = ["layers", "manifests", "uploads"]


@given(one=REPOSITORIES, other=REPOSITORIES, data=st.data())
@settings(max_examples=500, deadline=None)
def test_repositories_hold_nothing_of_each_other(one: str, other: str, data: st.DataObject) -> None:
    """``a/b`` is below ``a``; its things are not below any folder of ``a``'s things."""
    if data.draw(st.booleans()):
        other = f"{one}/{other}"
    ours = PLACES[data.draw(st.sampled_from(OWN_FOLDERS))](one)
    place = data.draw(
        st.sampled_from([place for place in TESTED if place not in BELOW and place != "repository"])
    )
    values = drawn(data, PLACES[place]) | {"name": other}
    for theirs in paths(PLACES[place], values):
        assert one == other or not f"{theirs}/".startswith(f"{ours}/")


@pytest.mark.parametrize("place", TESTED)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_names_lead_to_places_of_their_own(place: str, data: st.DataObject) -> None:
    """Two sets of valid names never share a place, but for locks, which are fewer on purpose."""
    if "lock" in place:
        return
    first = drawn(data, PLACES[place])
    second = {name: data.draw(st.just(value) | _near(name, value)) for name, value in first.items()}
    assert (paths(PLACES[place], first) == paths(PLACES[place], second)) == (first == second)


@pytest.mark.parametrize("reserved", [one for one in RESERVED if one.startswith("_")])
def test_what_the_layout_adds_is_no_name(reserved: str) -> None:
    for text in (reserved, f"a/{reserved}", f"{reserved}/a", f"a/{reserved}/b"):
        assert not names.is_repository(text)


@pytest.mark.parametrize("tag", ["current", "index", "link", "sha256", "_manifests", "tags"])
def test_tags_called_like_folders(tag: str) -> None:
    """Such a tag is one like any other, since all of a tag is below its own folder."""
    digest = Digest("sha256", "a" * 64)
    assert names.tag(tag) == tag
    for place in (layout.tag_current_link("a", tag), layout.tag_index_link("a", tag, digest)):
        assert place.startswith(f"{layout.tag_folder('a', tag)}/")
        assert not place.startswith(f"{layout.tag_folder('a', 'other')}/")


def test_the_longest_names_can_be_stored(tmp_path: Any) -> None:
    driver = FilesystemDriver(str(tmp_path), scratch=layout.SCRATCH, fsync=False)
    for repository in LONGEST["name"]:
        paths_of_all = [
            layout.tag_index_link(repository, "t" * 128, Digest("sha512", "f" * 128)),
            layout.revision_link(repository, Digest("sha512", "f" * 128)),
            layout.media_type(repository, Digest("sha512", "f" * 128)),
            layout.session_data(repository, LONGEST["session"][0]),
        ]
        for path in paths_of_all:
            driver.write(path, b"x")
            assert driver.read(path) == b"x"
            driver.write(layout.trashed_path("f" * 32, path), b"x")


def test_names_that_the_storage_cannot_hold(tmp_path: Any) -> None:
    """A root far down leaves less room: whoever sends a long name is told so, and others are served."""
    room_bytes = len(layout.session_started_at("a", LONGEST["session"][0])) + 100
    left = PATH_MAX_BYTES - len(f"{tmp_path}/{layout.ROOT}/") - room_bytes
    root = "/".join([str(tmp_path), *["d" * 200] * (left // 201), "d" * (left % 201)]).rstrip("/")
    app = build(Registry(filesystem_driver(root, fsync=False)))
    assert ask(app, "POST", "/v2/a/blobs/uploads/") == 202
    long = "a/" * 127 + "a"
    for method, path in (
        ("POST", f"/v2/{long}/blobs/uploads/"),
        ("GET", f"/v2/{long}/manifests/t"),
        ("GET", f"/v2/{long}/tags/list"),
        ("HEAD", f"/v2/{long}/blobs/sha512:{'f' * 128}"),
    ):
        assert ask(app, method, path) == 400
