"""Checking a store: everything that can be wrong is found and named, and nothing that is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reference_impl.collect.check import Check, Report, as_json, in_words
from reference_impl.collect.kinds import KINDS
from reference_impl.drivers.base import Driver, Unavailable
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout
from reference_impl.registry.digests import digest_of
from reference_impl.registry.store import Registry, filesystem_driver

from .collecting import REPO, Crash, Store, collected, crash_at, json_manifest, tear, write_foreign_manifest
from .conftest import PROJECT
from .images import IMAGE, descriptor, image, index, sha, store_blob, store_image, store_manifest


def _kinds(report: Report, *, but: tuple[str, ...] = ()) -> list[str]:
    return [one.kind for one in report.findings if one.kind not in but]


def _check(registry: Registry, **options: Any) -> Report:
    return Check(registry.driver, **options).run()


def test_a_good_store_is_clean(registry: Registry) -> None:
    store = Store(registry)
    report = _check(registry)
    assert set(_kinds(report)) == {"blob.orphan"}
    assert {one.where for one in report.findings} == {
        layout.blob_data(digest_of(data)) for data in store.garbage
    }
    assert report.counts["repositories"] == 2
    assert report.counts["tags"] == 3
    assert report.counts["manifests"] == len(store.kept) + 1
    collected(registry, delete_untagged=True)
    assert _kinds(_check(registry)) == []


def test_nothing_at_all(registry: Registry) -> None:
    report = _check(registry)
    assert (report.findings, dict(report.counts)) == ([], {})


LAYER = b"layer"


def _layer_link(registry: Registry) -> str:
    return layout.layer_link(REPO, digest_of(LAYER))


def _flip(registry: Registry, body: bytes) -> None:
    path = layout.blob_data(digest_of(LAYER))
    registry.driver.write(path, b"LAYER")


def _alias(registry: Registry, body: bytes) -> None:
    name = store_manifest(registry, REPO, sha(body, "sha512"), body)
    registry.driver.write(layout.revision_link(REPO, name), str(name).encode())


def _session(text: bytes | None) -> Callable[[Registry, bytes], None]:
    def damage(registry: Registry, body: bytes) -> None:
        session = registry.sessions.create(REPO)
        path = layout.session_started_at(REPO, session)
        if text is None:
            registry.driver.delete(path)
        else:
            registry.driver.write(path, text)

    return damage


def _write(path: str, data: bytes = b"x") -> Callable[[Registry, bytes], None]:
    return lambda registry, body: registry.driver.write(path, data)


def _delete(path_of: Callable[[bytes], str]) -> Callable[[Registry, bytes], None]:
    return lambda registry, body: registry.driver.delete(path_of(body))


def _tear(path_of: Callable[[bytes], str]) -> Callable[[Registry, bytes], None]:
    return lambda registry, body: tear(registry.driver, path_of(body))


def _revision(body: bytes) -> str:
    return layout.revision_link(REPO, digest_of(body))


def _body(body: bytes) -> str:
    return layout.blob_data(digest_of(body))


DAMAGE: list[tuple[str, Callable[[Registry, bytes], None], list[str]]] = [
    ("wrong bytes", _flip, ["blob.wrong_bytes"]),
    ("bytes cut off", _tear(lambda body: layout.blob_data(digest_of(LAYER))), ["blob.wrong_bytes"]),
    ("a manifest's bytes", _tear(_body), ["blob.wrong_bytes"]),
    (
        "an empty layer link",
        _tear(lambda body: layout.layer_link(REPO, digest_of(LAYER))),
        ["layer.torn", "manifest.incomplete"],
    ),
    (
        "a layer link elsewhere",
        lambda registry, body: registry.driver.write(_layer_link(registry), sha(b"x").encode()),
        ["layer.foreign", "manifest.incomplete"],
    ),
    (
        "no layer link",
        lambda registry, body: registry.content.delete(REPO, digest_of(LAYER)),
        ["manifest.incomplete"],
    ),
    (
        "no layer data",
        _delete(lambda body: layout.blob_data(digest_of(LAYER))),
        ["layer.dangling", "manifest.incomplete"],
    ),
    ("an empty manifest link", _tear(_revision), ["manifest.torn", "tag.dangling"]),
    ("a sha512 link to itself", _alias, ["manifest.foreign"]),
    ("no manifest data", _delete(_body), ["manifest.missing", "tag.dangling"]),
    ("no manifest link", _delete(_revision), ["tag.dangling"]),
    ("an empty tag link", _tear(lambda body: layout.tag_current_link(REPO, "t")), ["tag.torn"]),
    ("no tag link", _delete(lambda body: f"{layout.tag_folder(REPO, 't')}/current"), ["tag.ghost"]),
    (
        "not JSON",
        lambda registry, body: (write_foreign_manifest(registry, REPO, b"no JSON"), None)[1],
        ["manifest.not_json"],
    ),
    (
        "Docker's schema 1",
        lambda registry, body: (write_foreign_manifest(registry, REPO, b'{"schemaVersion": 1}'), None)[1],
        ["manifest.unusual"],
    ),
    ("an upload", lambda registry, body: (registry.sessions.create(REPO), None)[1], ["session.open"]),
    ("an upload without startedat", _session(None), ["session.no_start"]),
    ("an upload with an empty startedat", _session(b""), ["session.bad_start"]),
    ("an upload with an odd startedat", _session(b"yesterday"), ["session.bad_start"]),
    ("a file in the trash", _write(f"{layout.TRASH}/1-x/sha256/{'0' * 64}"), ["trash"]),
    ("a temporary file", _write(f"{layout.SCRATCH}/x"), ["leftover"]),
    ("a strange file among blobs", _write("blobs/sha256/ab/x"), ["unknown"]),
    ("a strange file in a repository", _write(f"{layout.layers(REPO)}/sha256/{'a' * 64}/other"), ["unknown"]),
    ("a strange file of our own", _write(f"{layout.PRIVATE}/x"), ["unknown"]),
    ("a strange file beside", _write("x/y"), ["unknown"]),
]  # fmt: skip


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(("damage", "kinds"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
@pytest.mark.parametrize("kind", ["filesystem", "memory"])
def test_damage_is_named(
    kind: str, damage: Callable[[Registry, bytes], None], kinds: list[str], quick: bool, tmp_path: Path
) -> None:
    registry = Registry(_driver(kind, tmp_path))
    body = store_image(registry, REPO, "t", LAYER)
    damage(registry, body)
    found = sorted(set(_kinds(_check(registry, quick=quick), but=("blob.orphan",))))
    if quick and damage is _flip:
        assert found == []
    else:
        assert found == kinds


def _driver(kind: str, folder: Path) -> Driver:
    return MemoryDriver() if kind == "memory" else filesystem_driver(str(folder), fsync=False)


def test_the_table_has_what_is_found_and_nothing_else() -> None:
    found = {kind for _, _, kinds in DAMAGE for kind in kinds}
    assert found | {"blob.orphan", "unreadable"} == set(KINDS)


def test_what_heals_it_heals_it(registry: Registry) -> None:
    """Pushing again replaces wrong bytes and mends every link."""
    body = store_image(registry, REPO, "t", LAYER)
    store_blob(registry, REPO, b"named", "sha512")
    for path in (
        layout.blob_data(digest_of(LAYER)),
        layout.layer_link(REPO, digest_of(LAYER)),
        layout.blob_data(digest_of(body)),
        layout.revision_link(REPO, digest_of(body)),
        layout.tag_current_link(REPO, "t"),
    ):
        tear(registry.driver, path)
    assert _check(registry).number("error") >= 5
    store_image(registry, REPO, "t", LAYER)
    assert _check(registry).number("error") == 0


def test_good_stores_that_look_odd(registry: Registry) -> None:
    """Foreign layers, unknown algorithms, an empty index, a subject that is not there, the empty blob."""
    store_blob(registry, REPO, b"")
    store_blob(registry, REPO, b"{}", "sha512")
    foreign = {
        **descriptor(b"nowhere"),
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
    body = image(b"{}", subject=descriptor(b"not there"))
    fields = json.loads(body)
    fields["layers"] = [foreign, descriptor(b""), descriptor(b"{}", algorithm="sha512")]
    store_manifest(registry, REPO, "t", json.dumps(fields).encode())
    child = image(b"{}")
    store_manifest(registry, REPO, sha(child, "sha512"), child)
    store_manifest(registry, REPO, "i", json_manifest(manifests=[descriptor(child, IMAGE, "sha512")]))
    store_manifest(registry, REPO, "empty", index())
    assert _kinds(_check(registry)) == []


def test_what_a_killed_collector_left(registry: Registry) -> None:
    store = Store(registry)
    with pytest.raises(Crash):
        collected(registry, crash_at("condemned", 2), delete_untagged=True)
    report = _check(registry)
    assert report.number("error") == 0
    assert "trash" in _kinds(report)
    collected(registry, delete_untagged=True)
    assert _kinds(_check(registry)) == []
    store.assert_kept()


class _Changing(MemoryDriver):
    """A server at work: what was torn or missing a moment ago is whole now."""

    def __init__(self) -> None:
        super().__init__()
        self.late: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        if path in self.late:
            self.write(path, self.late.pop(path))
            return b""
        return super().read(path)


def test_what_is_right_when_looked_at_again_is_not_told() -> None:
    driver = _Changing()
    registry = Registry(driver)
    body = store_image(registry, REPO, "t", LAYER)
    for path in (
        layout.layer_link(REPO, digest_of(LAYER)),
        layout.revision_link(REPO, digest_of(body)),
        layout.tag_current_link(REPO, "t"),
    ):
        driver.late[path] = driver.read(path)
    assert _kinds(_check(registry)) == []
    assert driver.late == {}


class _Unreadable(MemoryDriver):
    error: Exception = OSError(5, "Input/output error")
    bad = ""

    def _judge(self, path: str) -> None:
        if self.bad and path.startswith(self.bad):
            raise self.error

    def read(self, path: str) -> bytes:
        self._judge(path)
        return super().read(path)

    def open(self, path: str) -> Any:
        self._judge(path)
        return super().open(path)

    def list(self, path: str) -> list[str]:
        self._judge(path)
        return super().list(path)


@pytest.mark.parametrize(
    "of", [layout.layer_link, layout.revision_link, lambda repo, one: layout.blob_data(one)]
)
def test_what_cannot_be_read_does_not_hide_the_rest(of: Callable[[str, Any], str]) -> None:
    driver = _Unreadable()
    registry = Registry(driver)
    body = store_image(registry, REPO, "t", LAYER)
    other = store_image(registry, "other", "t", b"other layer")
    tear(driver, layout.revision_link("other", digest_of(other)))
    driver.bad = of(REPO, digest_of(body if of is layout.revision_link else LAYER))
    report = _check(registry)
    assert any(one.kind == "unreadable" and one.where == driver.bad for one in report.findings)
    assert "manifest.torn" in _kinds(report)


def test_a_backend_that_does_not_answer_ends_it() -> None:
    driver = _Unreadable()
    registry = Registry(driver)
    store_image(registry, REPO, "t", LAYER)
    driver.bad, driver.error = layout.layers(REPO), Unavailable("gone")
    report = _check(registry)
    assert _kinds(report, but=("blob.orphan",)) == ["unreadable"]
    assert "gone" in report.findings[-1].detail


def test_threads_hash_everything(registry: Registry) -> None:
    for number in range(40):
        store_blob(registry, REPO, str(number).encode())
    for number in (3, 33):
        registry.driver.write(layout.blob_data(digest_of(str(number).encode())), b"wrong")
    told: list[tuple[int, int]] = []
    for threads in (1, 7):
        report = Check(registry.driver, threads=threads, tell=lambda *how_far: told.append(how_far)).run()
        assert _kinds(report, but=("blob.orphan",)) == ["blob.wrong_bytes"] * 2
    assert told == [(40, 40), (40, 40)]


def test_words_and_json() -> None:
    registry = Registry(MemoryDriver())
    body = store_image(registry, REPO, "t", LAYER)
    tear(registry.driver, layout.tag_current_link(REPO, "t"))
    for number in range(30):
        store_blob(registry, REPO, str(number).encode())
    report = _check(registry)
    words = list(in_words(report))
    assert words[0].startswith("error: tag.torn (1): ")
    assert words[1] == f"  {layout.tag_current_link(REPO, 't')}"
    assert "  and 10 more" in words
    assert words[-1] == "1 errors, 30 notes, 0 unreadable"
    told = json.loads(as_json(report))
    assert told["kinds"]["blob.orphan"]["number"] == 30
    assert len(told["findings"]) == 31
    assert told["counts"]["blobs"] == 33
    assert digest_of(body)


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_impl", "check", "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60)


def test_the_command(tmp_path: Path) -> None:
    root = tmp_path / "store"
    registry = Registry(filesystem_driver(str(root), fsync=False))
    store_image(registry, REPO, "t", LAYER)
    clean = _run(root)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.splitlines()[-1] == "0 errors, 0 notes, 0 unreadable"
    registry.driver.write(layout.blob_data(digest_of(LAYER)), b"LAYER")
    assert _run(root, "--quick").returncode == 0
    wrong = _run(root, "--json")
    assert wrong.returncode == 1
    assert [one["kind"] for one in json.loads(wrong.stdout)["findings"]] == ["blob.wrong_bytes"]
    assert _run(tmp_path / "nowhere").returncode != 0
