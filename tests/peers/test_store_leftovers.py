"""What CNCF Distribution leaves behind when it is killed: the reference serves what is whole, is never at a
loss for an answer, and everything is healed by pushing it again."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from harness.targets.host import WorkFolder
from reference_impl.collect.check import Check
from reference_impl.collect.kinds import KINDS
from reference_impl.registry.store import filesystem_driver

from ..unit.reference.images import sha
from .contents import ACCEPT, Contents, Filler, begin, compare, fill, finish, send, session_of
from .registries import Distribution, Reference, collect_by_reference
from .stores import path_of, paths

pytestmark = pytest.mark.peer("docker-registry")

SALT = "before the crash"
UPLOADS = "half/sent"
KILLS = 30
FILLS = 6
KILL_AFTER_MAX_S = 0.25
UNREADABLE = 2
"""A collection's exit code when it removed no blob, as it could not read everything."""

LAYER_LINKS = "repositories/**/_layers/*/*/link"
REVISION_LINKS = "repositories/**/_manifests/revisions/*/*/link"
TAGS = "repositories/**/_manifests/tags/*"
CURRENT_LINKS = f"{TAGS}/current/link"
INDEX_LINKS = f"{TAGS}/index/*/*/link"
CONTENT = "blobs/*/*/*/data"
SESSIONS = "repositories/**/_uploads/*"

Damage = Callable[[Path], None]


def emptied(path: Path) -> None:
    """Opened in place and cut to nothing: a kill came before the write."""
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    """The length is on disk and the bytes are not: a power cut came before the sync."""
    path.write_bytes(bytes(path.stat().st_size))


def half_written(path: Path) -> None:
    """Only of manifests: other content is complete before it gets its name."""
    data = path.read_bytes()
    if b'"schemaVersion"' in data:
        path.write_bytes(data[: len(data) // 2])


def never_written(path: Path) -> None:
    """A kill came after its folder was made."""
    path.unlink()


def removed(path: Path) -> None:
    """With its folder."""
    shutil.rmtree(path.parent)


def temporary_left(path: Path) -> None:
    """As later versions write: a temporary file beside it that was not renamed yet."""
    path.with_name(f"{path.name}.5a0c3f2e-6a8b-4f3e-9d8e-0a1b2c3d4e5f.tmp").write_bytes(b"")


def line_ended(path: Path) -> None:
    """As after a repair by hand."""
    path.write_bytes(path.read_bytes() + b"\n")


def hashed_ahead(path: Path) -> None:
    """The state of the hash is on disk, the bytes that it covers are not."""
    states = path.parent / "hashstates" / "sha256"
    states.mkdir(parents=True, exist_ok=True)
    (states / "1000000").write_bytes(b"sha\x03" + bytes(104))


@dataclass(frozen=True)
class State:
    """What became of all files of a kind, and what a check calls that (nothing where it does no harm)."""

    pattern: str
    damage: Damage
    finding: str | None


STATES = {
    f"{name} {damage.__name__.replace('_', ' ')}": State(pattern, damage, finding)
    for name, pattern, damages in (
        (
            "layer links",
            LAYER_LINKS,
            {
                emptied: "layer.torn",
                zeroed: "layer.torn",
                never_written: "manifest.incomplete",
                temporary_left: "unknown",
                line_ended: None,
            },
        ),
        (
            "revision links",
            REVISION_LINKS,
            {
                emptied: "manifest.torn",
                zeroed: "manifest.torn",
                never_written: "tag.dangling",
                removed: "tag.dangling",
                line_ended: None,
            },
        ),
        (
            "tags",
            CURRENT_LINKS,
            {
                emptied: "tag.torn",
                zeroed: "tag.torn",
                never_written: "tag.ghost",
                removed: "tag.ghost",
                temporary_left: "unknown",
                line_ended: None,
            },
        ),
        ("tag folders", f"{TAGS}/current", {removed: None}),
        ("tag histories", INDEX_LINKS, {emptied: None, never_written: None}),
        (
            "content",
            CONTENT,
            {
                emptied: "blob.wrong_bytes",
                half_written: "blob.wrong_bytes",
                never_written: "manifest.missing",
                removed: "manifest.missing",
            },
        ),
        (
            "session starts",
            f"{SESSIONS}/startedat",
            {
                emptied: "session.bad_start",
                zeroed: "session.bad_start",
                never_written: "session.no_start",
                temporary_left: "unknown",
            },
        ),
        ("session data", f"{SESSIONS}/data", {emptied: None, never_written: None, hashed_ahead: None}),
    )
    for damage, finding in damages.items()
}
"""Where a crash of Distribution, of any version, can leave a store."""
FORGETFUL = {"revision links never written", "revision links removed"}
"""States in which no manifest is there any more, and so none that keeps a blob."""


@dataclass
class Store:
    """One that Distribution wrote and left in order, with open uploads in ``UPLOADS``."""

    root: Path
    contents: Contents
    uploads: list[str]


@pytest.fixture(scope="module")
def whole() -> Iterator[Store]:
    folder = WorkFolder()
    served = Distribution(folder.path / "store", folder.path / "log")
    with served:
        contents = fill(Filler(served.client), SALT)
        uploads = [session_of(begin(served.client, UPLOADS)) for _ in range(5)]
        uploads += [session_of(send(served.client, begin(served.client, UPLOADS), b"half")) for _ in range(5)]
    yield Store(served.root, contents, uploads)
    folder.close()


@pytest.mark.parametrize("state", [*STATES])
def test_a_crash_of_distribution_is_healed_by_pushing_again(
    ours: Reference, whole: Store, state: str
) -> None:
    shutil.copytree(whole.root, ours.root)
    damaged = list(path_of(ours.root, "").glob(STATES[state].pattern))
    assert damaged
    for path in damaged:
        STATES[state].damage(path)
    found = set(check(ours)) - {"blob.orphan", "session.open"}
    assert STATES[state].finding in found if STATES[state].finding else not found
    ours.start()
    served = ask_for_everything(ours)
    collect(ours, 0, UNREADABLE)
    lost = {path.rpartition("/")[2] for path in served - served_paths(ours)}
    unnamed = {sha(data) for data in whole.contents.unnamed()}
    assert lost <= unnamed or state in FORGETFUL
    assert fill(Filler(ours.client, looks=True), SALT) == whole.contents
    compare(ours.client, whole.contents)
    assert "error" not in check(ours).values()
    go_on_with_uploads(ours, whole.uploads)


def ask_for_everything(ours: Reference) -> set[str]:
    """Ask for all that has a trace on disk, and for mounts of it; returns the paths that were served."""
    served = served_paths(ours)
    for path in paths(ours.root):
        looked = ours.client.head(path, headers={"Accept": ACCEPT})
        assert (looked.status_code < 300) == (path in served), f"{path}: {looked.status_code}"
        name, _, digest = path.removeprefix("/v2/").partition("/blobs/sha")
        if digest:
            query = {"mount": f"sha{digest}", "from": name}
            answer = ours.client.post(f"/v2/{name}/blobs/uploads/", params=query)
            assert answer.status_code == (201 if path in served else 202)
            if answer.status_code == 202:
                assert ours.client.delete(answer.headers["location"]).status_code == 204
    return served


def served_paths(ours: Reference) -> set[str]:
    answers = {path: ours.client.get(path, headers={"Accept": ACCEPT}) for path in paths(ours.root)}
    for path, answer in answers.items():
        assert answer.status_code in (200, 204, 404), f"{path}: {answer.status_code} {answer.text}"
    return {path for path, answer in answers.items() if answer.status_code < 300}


def collect(ours: Reference, *codes: int) -> None:
    collected = collect_by_reference(ours.root)
    assert collected.returncode in codes, collected.stdout + collected.stderr


def check(ours: Reference) -> dict[str, str]:
    """The kinds of what a check finds, each with its severity."""
    report = Check(filesystem_driver(str(ours.root))).run()
    return {one.kind: KINDS[one.kind].severity for one in report.findings}


def go_on_with_uploads(ours: Reference, uploads: list[str]) -> None:
    """Whatever an upload has: its status tells, and it can be ended with just that."""
    for upload in uploads:
        location = f"/v2/{UPLOADS}/blobs/uploads/{upload}"
        status = ours.client.get(location)
        if status.status_code == 404:
            for method in ("PATCH", "PUT", "DELETE"):
                answer = ours.client.request(method, location, params={"digest": sha(b"")})
                assert answer.status_code == 404, answer.text
            continue
        assert status.status_code == 204
        sofar = b"half"[: int(status.headers.get("range", "0--1").removeprefix("0-")) + 1]
        finish(ours.client, send(ours.client, location, b"more"), sha(sofar + b"more"))


def test_distribution_killed_again_and_again(ours: Reference, theirs: Distribution) -> None:
    """Real kills, anywhere in pushes, mounts, moves and deletions, also of what an earlier kill left."""
    folder = WorkFolder(disk=True)  # where a sync takes its time, more is half done when the kill comes
    chance = random.Random(0)
    with contextlib.closing(Distribution(folder.path / "store", folder.path / "log")) as killed:
        for number in range(KILLS):
            pushing = threading.Thread(target=_push_until_killed, args=(killed.start(), number % FILLS))
            pushing.start()
            time.sleep(chance.uniform(0, KILL_AFTER_MAX_S))
            killed.kill()
            pushing.join()
    shutil.copytree(killed.root, ours.root)
    folder.close()
    assert list(path_of(ours.root, "").glob(SESSIONS)), "no kill hit anything"
    ours.start()
    ask_for_everything(ours)
    collect(ours, 0, UNREADABLE)
    whole = Contents()
    for number in range(FILLS):
        healed = fill(Filler(ours.client, below=f"k{number}/", looks=True), f"{SALT} {number}")
        whole.repositories.update(healed.repositories)
        whole.gone |= healed.gone
    compare(ours.client, whole)
    assert "error" not in check(ours).values()
    ours.stop()
    theirs.start()
    compare(theirs.client, whole)


def _push_until_killed(theirs: Distribution, number: int) -> None:
    try:
        with httpx.Client(base_url=theirs.client.base_url, timeout=20) as client:
            while True:
                fill(Filler(client, below=f"k{number}/"), f"{SALT} {number}")
    except (httpx.HTTPError, AssertionError):
        return
