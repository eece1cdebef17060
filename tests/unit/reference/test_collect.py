"""Collection: what goes, what stays, and that pushes beside it are safe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reference_impl.collect.events import Event, line
from reference_impl.collect.run import Policy, Summary, collect
from reference_impl.collect.sweep import note, set_aside, trash
from reference_impl.drivers.base import Busy, Driver, NotFound
from reference_impl.registry import layout, names
from reference_impl.registry.digests import digest_of
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .conftest import PROJECT
from .images import IMAGE, INDEX, descriptor, index, sha, store_blob, store_image, store_manifest

REPO = "team/app"


def _collect(
    registry: Registry, emit: Callable[[str], None] | None = None, **policy: float | bool
) -> Summary:
    def tell(event: Event) -> None:
        text = line(event)
        if emit is not None and text is not None:
            emit(text)

    return collect(registry, Policy(**policy), tell)  # type: ignore[arg-type]


def _is_stored(registry: Registry, data: bytes) -> bool:
    try:
        registry.driver.stat(layout.blob_data(digest_of(data)))
    except NotFound:
        return False
    return True


def _assert_pullable(registry: Registry, repo: str, body: bytes, *layers: bytes) -> None:
    manifest = registry.manifests.get(repo, digest_of(body))
    assert manifest.body == body
    for layer in layers:
        registry.content.open(repo, digest_of(layer))[1].close()


def test_lines(registry: Registry) -> None:
    store_image(registry, REPO, "t", b"kept")
    garbage = store_blob(registry, REPO, b"garbage")
    lines: list[str] = []
    summary = _collect(registry, lines.append)
    assert lines[0] == REPO
    assert lines[1].startswith(f"{REPO}: marking manifest sha256:")
    assert f"{REPO}: marking blob {sha(b'kept')}" in lines
    assert "3 blobs marked, 1 blobs and 0 manifests eligible for deletion" in lines
    assert f"blob eligible for deletion: {garbage}" in lines
    assert (summary.blobs_purged, summary.bytes_purged) == (1, 7)
    assert not _is_stored(registry, b"garbage")
    with pytest.raises(Refusal, match="BLOB_UNKNOWN"):
        registry.content.find(REPO, garbage)
    with pytest.raises(NotFound):
        registry.driver.stat(layout.layer_folder(REPO, garbage))
    assert _collect(registry).blobs_purged == 0


def test_never_used(registry: Registry) -> None:
    assert _collect(registry) == Summary()


def test_shared_blob_stays_for_the_other_repository(registry: Registry) -> None:
    store_image(registry, REPO, "t", b"shared")
    body = store_image(registry, "other", "t", b"shared")
    registry.manifests.delete("other", digest_of(body))
    _collect(registry)
    assert _is_stored(registry, b"shared")
    registry.manifests.delete(REPO, digest_of(body))
    _collect(registry)
    assert not _is_stored(registry, b"shared")


@pytest.mark.parametrize("delete_untagged", [False, True])
def test_what_an_index_leads_to_stays(registry: Registry, delete_untagged: bool) -> None:
    child = store_image(registry, REPO, None, b"layer")
    inner = index(child)
    store_manifest(registry, REPO, sha(inner), inner)
    outer = index(inner, media_type=INDEX)
    store_manifest(registry, REPO, "t", outer)
    signature = store_image(registry, REPO, None, b"signature", subject=descriptor(child))
    assert _collect(registry, delete_untagged=delete_untagged).blobs_purged == 0
    _assert_pullable(registry, REPO, child, b"layer")
    _assert_pullable(registry, REPO, inner)
    _assert_pullable(registry, REPO, signature, b"signature")


def test_index_only_repository_and_empty_index(registry: Registry) -> None:
    body = index()
    store_manifest(registry, REPO, "t", body)
    _collect(registry, delete_untagged=True)
    _assert_pullable(registry, REPO, body)


def test_sha512_names_stay(registry: Registry) -> None:
    store_blob(registry, REPO, b"{}", "sha512")
    fields = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(b"{}", algorithm="sha512"),
        "layers": [],
    }
    body = json.dumps(fields).encode()
    store_manifest(registry, REPO, sha(body, "sha512"), body)
    parent = json.dumps({"schemaVersion": 2, "manifests": [descriptor(body, IMAGE, "sha512")]}).encode()
    store_manifest(registry, REPO, "t", parent)
    for delete_untagged in (False, True):
        _collect(registry, delete_untagged=delete_untagged)
        registry.content.find(REPO, names.digest(sha(b"{}", "sha512")))
        assert registry.manifests.get(REPO, names.digest(sha(body, "sha512"))).body == body


def test_untagged_go_only_if_asked(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    signature = store_image(registry, REPO, None, b"signature", subject=descriptor(body))
    registry.manifests.delete_tag(REPO, "t")
    assert _collect(registry).blobs_purged == 0
    _assert_pullable(registry, REPO, body, b"layer")
    summary = _collect(registry, delete_untagged=True, dry_run=True)
    assert (summary.manifests_eligible, summary.blobs_eligible, summary.blobs_purged) == (2, 5, 0)
    _assert_pullable(registry, REPO, signature, b"signature")
    assert _collect(registry, delete_untagged=True, grace_s=1000).manifests_eligible == 0
    summary = _collect(registry, delete_untagged=True)
    assert (summary.manifests_eligible, summary.blobs_purged) == (2, 5)
    with pytest.raises(Refusal, match="MANIFEST_UNKNOWN"):
        registry.manifests.get(REPO, digest_of(body))


def test_grace(registry: Registry) -> None:
    store_blob(registry, REPO, b"fresh")
    assert _collect(registry, grace_s=1000).blobs_eligible == 0
    assert _is_stored(registry, b"fresh")


def test_abandoned_uploads(registry: Registry) -> None:
    session = registry.sessions.create(REPO)
    busy = registry.sessions.create(REPO)
    writer = registry.sessions.resume(REPO, busy)
    assert _collect(registry).uploads_removed == 0
    assert _collect(registry, session_age_s=-1000.0).uploads_removed == 1
    with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
        registry.sessions.size(REPO, session)
    writer.write(b"x")
    assert writer.keep() == 1


@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_unreadable_manifest_stops_the_sweep(registry: Registry, damage: str) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    store_blob(registry, REPO, b"garbage")
    path = layout.blob_data(digest_of(body))
    registry.driver.delete(path)
    if damage == "torn":
        registry.driver.write(path, b"")
    summary = _collect(registry)
    assert summary.problems
    assert _is_stored(registry, b"layer")
    assert _is_stored(registry, b"garbage")
    store_manifest(registry, REPO, "t", body)
    assert _collect(registry).blobs_purged == 1
    _assert_pullable(registry, REPO, body, b"layer")


def test_torn_links_are_no_obstacle(registry: Registry) -> None:
    body = store_image(registry, REPO, "t", b"layer")
    registry.driver.write(layout.revision_link(REPO, digest_of(body)), b"")
    registry.driver.write(layout.layer_link(REPO, digest_of(b"layer")), b"")
    summary = _collect(registry)
    assert (summary.problems, summary.blobs_purged) == ([], 0)
    store_blob(registry, REPO, b"layer")
    store_manifest(registry, REPO, "t", body)
    _assert_pullable(registry, REPO, body, b"layer")


def _during(line_start: str, action: Callable[[], object]) -> Callable[[str], None]:
    """Run an action once, when the collector is at a certain line."""
    left = [action]

    def emit(line: str) -> None:
        if left and line.startswith(line_start):
            left.pop()()

    return emit


LINES = [REPO, f"{REPO}: marking manifest", "zz", "3 blobs marked", "blob eligible for deletion"]


@pytest.mark.parametrize("at", LINES)
def test_manifest_pushed_while_collecting(registry: Registry, at: str) -> None:
    """Whichever step the collector is at: either the push is refused, or all of it stays."""
    store_image(registry, REPO, "old", b"old layer")
    store_image(registry, "zz", "old", b"old layer")
    store_blob(registry, REPO, b"new layer")
    outcome: list[bytes] = []
    emit = _during(at, lambda: outcome.append(_store_image_again(registry)))
    _collect(registry, emit)
    _assert_pullable(registry, REPO, outcome[0], b"{}", b"new layer")
    _collect(registry)
    _assert_pullable(registry, REPO, outcome[0], b"{}", b"new layer")


def _store_image_again(registry: Registry) -> bytes:
    """Push a manifest whose blobs are there already: the hardest case for a collector."""
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(b"{}"),
            "layers": [descriptor(b"new layer")],
        }
    ).encode()
    store_manifest(registry, REPO, "new", body)
    return body


@pytest.mark.parametrize("kind", ["look", "mount", "push"])
def test_lease_spares(registry: Registry, kind: str) -> None:
    digest = store_blob(registry, REPO, b"wanted")
    actions: dict[str, Callable[[], object]] = {
        "look": lambda: registry.content.find(REPO, digest),
        "mount": lambda: registry.mounts.mount("other", digest, REPO),
        "push": lambda: store_blob(registry, "other", b"wanted"),
    }
    summary = _collect(registry, _during("blob eligible", actions[kind]))
    assert (summary.blobs_spared, summary.blobs_purged) == (1, 0)
    assert _is_stored(registry, b"wanted")


def test_publisher_at_work_is_waited_for(registry: Registry) -> None:
    """A push that leased its blobs before the collector began is seen by the mark."""
    store_blob(registry, REPO, b"{}")
    store_blob(registry, REPO, b"new layer")
    inside, go_on = threading.Event(), threading.Event()
    write = registry.driver.write

    def slow_write(path: str, data: bytes) -> None:
        inside.set()
        assert go_on.wait(10)
        write(path, data)

    other = Registry(_Overridden(registry.driver, slow_write))  # type: ignore[arg-type]
    pushing = threading.Thread(target=_store_image_again, args=(other,))
    pushing.start()
    assert inside.wait(10)
    lines: list[str] = []
    collecting = threading.Thread(target=lambda: _collect(registry, lines.append))
    collecting.start()
    go_on.set()
    pushing.join(10)
    collecting.join(10)
    assert any("marking manifest" in line for line in lines)
    assert _is_stored(registry, b"new layer")


class _Overridden:
    """A driver with another ``write``."""

    def __init__(self, driver: Driver, write: Callable[[str, bytes], None]) -> None:
        self._driver = driver
        self.write = write

    def __getattr__(self, name: str) -> object:
        return getattr(self._driver, name)


@pytest.mark.parametrize("referenced", [False, True])
def test_collector_killed_after_condemning(registry: Registry, referenced: bool) -> None:
    """What a killed collector set aside is restored if something refers to it, else purged."""
    if referenced:
        store_image(registry, REPO, "t", b"layer")
    else:
        store_blob(registry, REPO, b"layer")
    digest = digest_of(b"layer")
    found = [one for one in note(registry.driver, lambda count: None) if one.digest == digest]
    set_aside(registry.driver, "killed", found)
    registry.driver.discard(layout.blob_data(digest))
    assert not _is_stored(registry, b"layer")
    _collect(registry)
    assert _is_stored(registry, b"layer") == referenced
    assert list(trash(registry.driver)) == []


def test_one_collector_at_a_time(registry: Registry) -> None:
    store_blob(registry, REPO, b"x")

    def second() -> None:
        with pytest.raises(Busy):
            _collect(registry)

    _collect(registry, _during(REPO, second))


def test_command_line(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reference_impl", "collect", "--root", str(tmp_path / "store")]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=PROJECT)

    never = run()
    assert (never.returncode, never.stdout) == (
        0,
        "0 blobs marked, 0 blobs and 0 manifests eligible for deletion\n",
    )
    from reference_impl.registry.store import filesystem_driver

    store_blob(Registry(filesystem_driver(str(tmp_path / "store"))), REPO, b"garbage")
    done = run("--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1])["blobs_purged"] == 1
