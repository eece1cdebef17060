"""Volumes: what a power cut takes and leaves, full and read-only disks, and that nothing is left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.faults import loop
from harness.faults import volume as volumes
from harness.faults.volume import FILE_SYSTEMS, Volume, available
from harness.targets.base import TargetError
from harness.targets.host import WorkFolder

from .conftest import WAIT_S, alive, need


@pytest.fixture(params=list(FILE_SYSTEMS))
def volume(request: pytest.FixtureRequest) -> Iterator[Volume]:
    need(available(request.param))
    made = Volume(fs=request.param)
    made.open()
    yield made
    place = made.storage.parent
    made.close()
    made.close()
    assert eventually(lambda: not traces(place))


def eventually(check: Callable[[], bool]) -> bool:
    limit = time.monotonic() + WAIT_S
    while not check():
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True


def traces(disk: Path) -> list[str]:
    """What there is of a volume: its mount, its loop device, its folder."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(disk) in line]
    devices = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        # It may be detached right now.
        with suppress(OSError):
            devices += [str(path)] if str(disk.parent) in path.read_text(errors="replace") else []
    return mounts + devices + [str(path) for path in [disk.parent] if path.exists()]


def synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def test_what_was_synced_survives_a_power_cut_and_nothing_else(volume: Volume) -> None:
    kept, deleted, changed, new = (volume.storage / name for name in ("kept", "deleted", "changed", "new"))
    for path in (kept, deleted, changed):
        synced(path, b"old")
    deleted.unlink()
    changed.write_bytes(b"changed")
    new.write_bytes(b"new")
    with kept.open("ab") as file:
        file.write(b", more")
        file.flush()
        volume.cut_power()
        assert volume.dead
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            (volume.storage / "late").write_bytes(b"x")
    volume.remount()
    assert not volume.dead
    found = {path.name: path.read_bytes() for path in volume.storage.iterdir()}
    # A file system may forget that a file was cut to nothing, or remember that; never its new content.
    assert found.pop("changed") in (b"old", b"")
    assert found == {"kept": b"old", "deleted": b"old"}


def test_sync_makes_everything_survive(volume: Volume) -> None:
    (volume.storage / "folder").mkdir()
    (volume.storage / "folder" / "file").write_bytes(b"x" * 100_000)
    volume.sync()
    for _ in range(2):
        volume.cut_power()
        volume.remount()
    assert (volume.storage / "folder" / "file").read_bytes() == b"x" * 100_000


def test_a_wiped_volume_is_empty_also_after_a_power_cut(volume: Volume) -> None:
    place = volume.storage
    synced(volume.storage / "file", b"x")
    volume.cut_power()
    volume.wipe()
    assert not volume.dead
    assert list(volume.storage.iterdir()) == []
    volume.cut_power()
    volume.remount()
    assert list(volume.storage.iterdir()) == []
    assert volume.storage == place


def fill_up(path: Path) -> int:
    """Write until the disk is full; how many bytes that were."""
    written = 0
    try:
        with path.open("wb", 0) as file:
            while True:
                written += file.write(b"y" * 512)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    return written


@pytest.mark.parametrize("leave_bytes", [0, 10_000, 1 << 20])
def test_a_full_disk_has_as_much_room_as_it_says(volume: Volume, leave_bytes: int) -> None:
    synced(volume.storage / "before", b"x" * 4096)
    volume.fill(leave_bytes)
    written = fill_up(volume.storage / "f")
    # A few blocks are needed to keep books of the file itself; xfs has some in reserve.
    assert leave_bytes - 65_536 <= written <= leave_bytes + 4096
    assert (volume.storage / "before").read_bytes() == b"x" * 4096
    volume.heal()
    (volume.storage / "after").write_bytes(b"z" * (4 << 20))


def test_a_read_only_disk_serves_and_refuses(volume: Volume) -> None:
    synced(volume.storage / "before", b"x")
    volume.read_only(True)
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (volume.storage / "new").write_bytes(b"y")
    assert (volume.storage / "before").read_bytes() == b"x"
    volume.heal()
    (volume.storage / "new").write_bytes(b"y")


def test_a_busy_disk_is_said_to_be_by_whom(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "BUSY_LIMIT_S", 0.05)
    me = Path("/proc/self/comm").read_text().strip()
    with (volume.storage / "file").open("wb"):
        for refused in (volume.remount, lambda: volume.read_only(True)):
            with pytest.raises(TargetError, match="busy, it is in use by") as caught:
                refused()
            assert f"{me} (process {os.getpid()})" in str(caught.value)
            assert "\n" not in str(caught.value)
    volume.remount()


def test_unmounting_waits_for_files_that_are_about_to_close(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = (volume.storage / "file").open("wb")
    unmount = loop.unmount

    def closing(folder: Path, flags: int = 0) -> None:
        try:
            unmount(folder, flags)
        finally:
            file.close()

    monkeypatch.setattr(loop, "unmount", closing)
    volume.cut_power()
    volume.remount()
    assert file.closed


def test_volumes_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(TargetError, match="'ntfs': it is one of ext4, xfs"):
        Volume(fs="ntfs")
    with pytest.raises(TargetError, match="xfs needs 314572800 bytes"):
        Volume(1000, "xfs")
    volume = Volume()
    with pytest.raises(TargetError, match="is not open"):
        volume.cut_power()
    volume.close()


def test_a_failing_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    need(available())
    folders: list[Path] = []

    def remembered() -> WorkFolder:
        folder = WorkFolder()
        folders.append(folder.path)
        return folder

    monkeypatch.setattr(volumes, "WorkFolder", remembered)
    broken = volumes.FileSystem("ext4", ("mkfs.no-such",), "apt-get install it", 8 << 20, 8 << 20)
    monkeypatch.setitem(FILE_SYSTEMS, "ext4", broken)
    with pytest.raises(TargetError, match=r"there is no 'mkfs.no-such' here; apt-get install it"):
        Volume().open()
    (folder,) = folders
    assert not folder.exists()


HARNESS = """
import sys, subprocess
from harness.faults.volume import Volume
from harness.targets.process import Child
import os, pathlib
volume = Volume()
volume.open()
child = Child(["sleep", "1000"], {"PATH": os.environ["PATH"]}, volume.storage, 1, 2)
print(volume.storage.parent, child.pid, flush=True)
if sys.argv[1] == "cut": volume.cut_power()
print(flush=True)
input()
"""


@pytest.mark.parametrize("power", ["on", "cut"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_harness_dies(number: int, power: str) -> None:
    need(available())
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS, power],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert harness.stdout is not None
    disk, pid = harness.stdout.readline().split()
    harness.stdout.readline()
    assert len(traces(Path(disk))) == 3
    harness.send_signal(number)
    harness.communicate()
    assert eventually(lambda: not traces(Path(disk)))
    assert eventually(lambda: not alive(int(pid)))


def test_without_root_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    available.cache_clear()
    try:
        assert available() == "volumes need root, for loop devices and mounts"
        monkeypatch.setattr(sys, "platform", "darwin")
        available.cache_clear()
        assert available() == "volumes need Linux, this is darwin"
    finally:
        available.cache_clear()
