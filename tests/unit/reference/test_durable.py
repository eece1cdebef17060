"""What the file system driver syncs, and what it takes for durable."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reference_impl.drivers.filesystem import FilesystemDriver
from reference_impl.drivers.posix import STEPS, Posix


class Noted(Posix):
    """Remembers what is synced, as paths relative to a folder."""

    def __init__(self, top: Path) -> None:
        super().__init__(fsync=True)
        self.synced: list[str] = []
        self._top = top

    def sync(self, fd: int) -> None:
        self._note(os.readlink(f"/proc/self/fd/{fd}"))

    def sync_folder(self, full: str) -> None:
        self._note(full)

    def _note(self, full: str) -> None:
        path = os.path.relpath(full, self._top)
        if not path.startswith(".."):
            self.synced.append(path if not path.startswith("scratch/") else "scratch/‹name›")

    def take(self) -> list[str]:
        taken, self.synced = self.synced, []
        return taken


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    return Noted(tmp_path)


@pytest.fixture
def open_driver(noted: Noted, tmp_path: Path) -> Callable[[], FilesystemDriver]:
    """Each is another process, as far as drivers are concerned."""
    return lambda: FilesystemDriver(str(tmp_path), scratch="scratch", posix=noted)


def test_every_step_is_named() -> None:
    methods = {name for name, value in vars(Posix).items() if callable(value) and not name.startswith("_")}
    assert methods == STEPS.keys()


def test_a_new_file_is_durable_up_to_the_root(
    noted: Noted, open_driver: Callable[[], FilesystemDriver]
) -> None:
    driver = open_driver()
    driver.write("a/b/c", b"1")
    assert noted.take() == ["scratch/‹name›", "a/b", "a", "."]
    driver.write("a/b/d", b"2")
    assert noted.take() == ["scratch/‹name›", "a/b", "a"]
    driver.write("a/b/d", b"3")  # by now the folder is worth remembering
    assert noted.take() == ["scratch/‹name›", "a/b"]


def test_a_folder_that_another_process_made_again_is_not_trusted(
    noted: Noted, open_driver: Callable[[], FilesystemDriver], tmp_path: Path
) -> None:
    driver = open_driver()
    for _ in range(3):
        driver.write("a/b/c", b"1")
    noted.take()
    (tmp_path / "a/b/c").unlink()
    (tmp_path / "a/b").rmdir()
    (tmp_path / "a/b").mkdir()
    driver.write("a/b/c", b"1")
    assert noted.take() == ["scratch/‹name›", "a/b", "a"]


def test_what_is_settled_is_not_synced_again(
    noted: Noted, open_driver: Callable[[], FilesystemDriver]
) -> None:
    driver = open_driver()
    driver.write("a/b", b"1")
    noted.take()
    driver.settle("a/b")
    driver.touch("a/b")
    driver.settle("a/b")
    assert noted.take() == []
    open_driver().settle("a/b")
    assert noted.take()[0] == "a/b"


def test_a_file_that_another_process_put_there_is_settled(
    noted: Noted, open_driver: Callable[[], FilesystemDriver]
) -> None:
    driver = open_driver()
    driver.write("a/b", b"1")
    open_driver().write("a/b", b"1", durable=False)
    noted.take()
    driver.touch("a/b")
    driver.settle("a/b")
    assert noted.take()[0] == "a/b"


def test_what_is_appended_and_moved_is_settled(
    noted: Noted, open_driver: Callable[[], FilesystemDriver]
) -> None:
    driver = open_driver()
    driver.create("up/data")
    appender = driver.append("up/data")
    appender.write(b"1")
    appender.sync()
    appender.close()
    driver.move("up/data", "blob/data")
    assert noted.take() == ["up/data", "blob", "."]
    driver.settle("blob/data")
    assert noted.take() == []
    driver.create("up/data")
    driver.append("up/data").close()
    driver.move("up/data", "other/data")  # nobody synced its content
    noted.take()
    driver.settle("other/data")
    assert noted.take()[0] == "other/data"


def test_removals(noted: Noted, open_driver: Callable[[], FilesystemDriver], tmp_path: Path) -> None:
    driver = open_driver()
    for path in ("a/b", "a/c", "d/e/f"):
        driver.write(path, b"")
    noted.take()
    driver.delete("a/b")
    assert noted.take() == ["a"]
    driver.discard("a/c")
    driver.discard("d/e")
    assert noted.take() == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["d", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_without_sync(tmp_path: Path) -> None:
    driver = FilesystemDriver(str(tmp_path), scratch="scratch", posix=Unsyncable(fsync=False))
    driver.make_folder("f/g")
    driver.write("a/b", b"1")
    driver.settle("a/b")
    driver.delete("a/b")
    driver.settle_all()


class Unsyncable(Posix):
    def sync(self, fd: int) -> None:
        assert not self.fsync

    def sync_folder(self, full: str) -> None:
        raise AssertionError(full)


def test_descriptors_of_trusted_folders_are_bounded_and_given_back(tmp_path: Path) -> None:
    def open_ones() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_ones()
    driver = FilesystemDriver(str(tmp_path), scratch="scratch", posix=Noted(tmp_path))
    for number in range(300):
        driver.make_folder(f"f/{number}")
    assert 200 < open_ones() - before <= 256
    del driver
    assert open_ones() == before
