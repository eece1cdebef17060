"""The collector's command: what it prints, where it stands still, how it ends."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reference_impl.collect.command import Pause, pause
from reference_impl.collect.events import STEPS, Event, line
from reference_impl.collect.progress import Progress
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout
from reference_impl.registry.digests import digest_of
from reference_impl.registry.store import Registry, filesystem_driver

from .collecting import REPO, Store, collected, files, is_stored, is_there, lines_of, tear
from .conftest import PROJECT
from .images import store_blob, store_image


def _command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "reference_impl", "collect", "--root", str(root), *arguments]


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(root, *arguments), capture_output=True, text=True, cwd=PROJECT, timeout=60)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Registry(filesystem_driver(str(tmp_path / "store"), fsync=False)))


def test_lines_and_what_it_came_to(store: Store, tmp_path: Path) -> None:
    done = _run(tmp_path / "store")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "other"
    for data in store.garbage:
        assert f"blob eligible for deletion: {digest_of(data)}" in lines
    assert lines[-1].startswith("3 blobs (27 bytes), 0 manifests, 3 links and 0 uploads removed;")


def test_json_is_one_object(store: Store, tmp_path: Path) -> None:
    done = _run(tmp_path / "store", "--json", "--delete-untagged")
    told = json.loads(done.stdout)
    assert (told["blobs_purged"], told["manifests_removed"], told["dry_run"]) == (5, 1, False)


def test_json_lines_are_the_events(store: Store, tmp_path: Path) -> None:
    done = _run(tmp_path / "store", "--json-lines")
    events = [json.loads(text) for text in done.stdout.splitlines()]
    assert events[-1]["summary"]["blobs_purged"] == 3
    steps = [event["step"] for event in events[:-1]]
    assert (steps[0], steps[-1]) == ("locked", "swept")
    assert set(steps) <= set(STEPS)
    counted = next(event for event in events if event.get("step") == "counted")
    assert counted["eligible"] == 3
    purged = {event["name"] for event in events if event.get("step") == "purged"}
    assert purged == {str(digest_of(data)) for data in store.garbage}
    assert sum(event["size_bytes"] for event in events if event.get("step") == "purged") == 27


def test_quiet_has_no_line_for_each_blob(store: Store, tmp_path: Path) -> None:
    done = _run(tmp_path / "store", "--quiet", "--progress")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "3 blobs" in lines[0]
    told = done.stderr.splitlines()
    assert any(text.startswith("looking: ") for text in told)
    assert any("2 of 2 repositories" in text for text in told)
    assert any(text.startswith("condemning: 3 of 3 blobs") for text in told)


@pytest.mark.parametrize("delete_untagged", [False, True])
def test_a_dry_run_changes_nothing_and_says_what_would_go(store: Store, delete_untagged: bool) -> None:
    registry = store.registry
    registry.sessions.create(REPO)
    policy: dict[str, Any] = {"delete_untagged": delete_untagged, "session_age_s": -1000.0}
    before = dict(files(registry.driver))
    said = lines_of(registry, dry_run=True, **policy)
    assert dict(files(registry.driver)) == before
    would = collected(registry, dry_run=True, **policy)
    assert dict(files(registry.driver)) == before
    did_say = lines_of(registry, **policy)
    assert said == did_say
    gone = before.items() - dict(files(registry.driver)).items()
    assert would.blobs_eligible == sum(path.startswith(layout.BLOBS) for path, _ in gone)
    assert would.bytes_eligible == sum(size for path, size in gone if path.startswith(layout.BLOBS))
    assert would.links_eligible == sum("/_layers/" in path for path, _ in gone)
    assert would.manifests_eligible == sum("/revisions/" in path for path, _ in gone) == int(delete_untagged)
    assert would.uploads_eligible == 1
    untold = ("removed", "purged", "restored", "spared")
    assert not any(value for name, value in asdict(would).items() if name.rpartition("_")[2] in untold)


def test_a_dry_run_in_words(store: Store, tmp_path: Path) -> None:
    done = _run(tmp_path / "store", "--dry-run", "--delete-untagged")
    assert done.stdout.splitlines()[-1] == (
        "a dry run: 5 blobs (437 bytes), 1 manifests, 4 links and 0 uploads (0 bytes) would be removed"
    )


def test_exit_codes(tmp_path: Path) -> None:
    root = tmp_path / "store"
    registry = Registry(filesystem_driver(str(root), fsync=False))
    body = store_image(registry, REPO, "t", b"layer")
    store_blob(registry, "other", b"garbage")
    with registry.driver.lock(layout.COLLECTOR_LOCK):
        busy = _run(root)
    assert (busy.returncode, busy.stdout) == (3, "")
    assert busy.stderr == "reference_impl: collect: another collector is at work\n"
    tear(registry.driver, layout.blob_data(digest_of(body)))
    broken = _run(root)
    assert broken.returncode == 2
    assert f"unreadable: {REPO}: manifest {digest_of(body)}: the content does not match" in broken.stdout
    assert not is_stored(registry, b"garbage")


def test_nobody_reads(store: Store, tmp_path: Path) -> None:
    """It stops at its first word that nobody hears, before it removes anything."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        _command(tmp_path / "store"), stdout=write_end, stderr=subprocess.PIPE, cwd=PROJECT, timeout=60
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")
    assert all(is_stored(store.registry, data) for data in store.garbage)


class Held:
    """A collector that stands still where it is told to."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            _command(root, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
        )

    def until_paused(self) -> str:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            if text.startswith("paused at "):
                return text.removeprefix("paused at ").strip()
        raise AssertionError("it never stood still")

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode


def test_pauses(store: Store, tmp_path: Path) -> None:
    """At each condemned blob it stands still until a line comes; and goes on by itself when none can."""
    registry = store.registry
    held = Held(tmp_path / "store", "--pause-at", "counted", "--pause-at", "condemned")
    assert held.until_paused() == "counted:1"
    assert sum(is_stored(registry, data) for data in store.garbage) == 3
    for number in (1, 2, 3):
        held.go_on()
        assert held.until_paused() == f"condemned:{number}"
        assert sum(is_stored(registry, data) for data in store.garbage) == 3 - number
        assert is_there(registry.driver, layout.TRASH)
    assert held.end() == 0
    store.assert_kept()


def test_a_push_while_it_stands_still(store: Store, tmp_path: Path) -> None:
    registry = store.registry
    held = Held(tmp_path / "store", "--pause-at", "linked:2")
    assert held.until_paused() == "linked:2"
    for data in store.garbage:
        store_blob(registry, REPO, data)
    held.go_on()
    assert held.end() == 0
    assert all(is_stored(registry, data) for data in store.garbage)


def test_a_control_descriptor(store: Store, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    command = _command(tmp_path / "store", "--pause-at", "marked:1", "--control-fd", str(read_end))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=PROJECT, pass_fds=[read_end], stdin=subprocess.DEVNULL
    )
    os.close(read_end)
    assert process.stdout is not None
    assert "paused at marked:1\n" in iter(process.stdout.readline, "")
    os.write(write_end, b"on\n")
    assert "blobs (27 bytes)" in process.communicate(timeout=60)[0]
    os.close(write_end)


@pytest.mark.parametrize(
    ("text", "wanted"), [("counted", Pause("counted", None)), ("condemned:7", Pause("condemned", 7))]
)
def test_a_pause_is_read(text: str, wanted: Pause) -> None:
    assert pause(text) == wanted


@pytest.mark.parametrize("text", ["", "nowhere", "condemned:", "condemned:0", "condemned:x", ":1"])
def test_a_pause_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no step|no number"):
        pause(text)


def test_an_unknown_step_is_told(tmp_path: Path) -> None:
    done = _run(tmp_path, "--pause-at", "nowhere")
    assert done.returncode not in (0, 1, 2, 3) or "no step" in done.stderr
    assert "there are locked, " in done.stderr.replace("\n", " ")


def test_every_step_is_told_apart() -> None:
    assert len({step.means for step in STEPS.values()}) == len(STEPS)
    said = [line(Event(name, 1, "r", "n")) for name, step in STEPS.items() if step.says]
    assert all(said)


# -- progress --------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(stream: io.StringIO, events: Sequence[Event], seconds: Sequence[float]) -> str:
    times = itertools.chain(seconds, itertools.repeat(seconds[-1]))
    progress = Progress(stream, lambda: next(times))
    for event in events:
        progress.see(event)
    progress.end_phase()
    return stream.getvalue()


EVENTS = [
    Event("repository", 1, "a", total=2),
    Event("manifest", 1, "a", "m"),
    Event("blob", 1, "a", "b"),
    Event("repository", 2, "b", total=2),
]


def test_progress_on_a_terminal_paints_over() -> None:
    shown = _shown(_Terminal(), EVENTS, [0.0, 0.1, 0.2, 0.5])
    painted = shown.split("\r")
    assert painted[1] == "marking: 1 of 2 repositories\x1b[K"
    assert painted[-1] == "marking: 2 of 2 repositories, 1 manifests, 1 blobs, 4/s\x1b[K\n"
    assert len(painted) == 5


def test_progress_elsewhere_is_rare() -> None:
    assert _shown(io.StringIO(), EVENTS, [0.0, 0.1, 0.2, 2.0]).splitlines() == [
        "marking: 1 of 2 repositories",
        "marking: 2 of 2 repositories, 1 manifests, 1 blobs, 1/s",
    ]


def test_progress_has_a_line_for_each_phase() -> None:
    seen: list[Event] = []
    store = Store(Registry(MemoryDriver()))
    collected(store.registry, seen.append)
    shown = _shown(io.StringIO(), seen, [0.0])
    for phase in (
        "looking: ",
        "marking: ",
        "condemning: 3 of 3 blobs",
        "purging: 3 of 3 blobs",
        "unlinking: ",
    ):
        assert phase in shown


def test_one_waits_for_the_other(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "store"
    first = subprocess.Popen(
        _command(root, "--pause-at", "counted"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert first.stdin is not None
    assert first.stdout is not None
    assert any(text.startswith("paused at counted") for text in first.stdout)
    assert _run(root, "--wait", "0.1").returncode == 3
    second = subprocess.Popen(_command(root, "--wait", "30"), stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    first.communicate("\n", timeout=60)
    told, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert told.splitlines()[-1].startswith("0 blobs")
    assert first.returncode == 0
