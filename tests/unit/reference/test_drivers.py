"""What every driver promises."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reference_impl.drivers.base import Busy, Driver, DriverError, Misplaced, NotFound
from reference_impl.drivers.filesystem import FilesystemDriver
from reference_impl.drivers.posix import Posix


def names(driver: Driver, folder: str) -> list[str]:
    """What is in a folder that was not made: it may go when it becomes empty."""
    try:
        return driver.list(folder)
    except NotFound:
        return []


def test_write_replaces_the_whole_file(driver: Driver) -> None:
    driver.write("a/b/c", b"long content")
    driver.write("a/b/c", b"short")
    assert driver.read("a/b/c") == b"short"
    assert driver.stat("a/b/c").size_bytes == 5
    assert driver.list("a/b") == ["c"]


def test_write_that_is_settled_later(driver: Driver) -> None:
    driver.write("a/b", b"old")
    driver.write("a/b", b"new", durable=False)
    assert driver.read("a/b") == b"new"
    driver.settle("a/b")
    assert driver.list("a") == ["b"]


@pytest.mark.parametrize(
    "operation", ["read", "open", "stat", "list", "touch", "append", "delete", "discard", "settle"]
)
def test_absent_is_not_found(driver: Driver, operation: str) -> None:
    driver.write("there", b"")
    for path in ("absent", "absent/below", "there/below"):
        with pytest.raises(NotFound):
            getattr(driver, operation)(path)


def test_move_and_link_of_the_absent(driver: Driver) -> None:
    with pytest.raises(NotFound):
        driver.move("absent", "b")
    with pytest.raises(NotFound):
        driver.link("absent", "b")


def test_an_open_reader_outlives_replacement_and_deletion(driver: Driver) -> None:
    driver.write("a", b"first")
    reader = driver.open("a")
    driver.write("a", b"second")
    driver.delete("a")
    assert reader.size_bytes == 5
    assert reader.read_at(1, 3) == b"irs"
    assert reader.read_at(5, 3) == b""
    reader.close()


def test_append_resumes_and_has_one_writer(driver: Driver) -> None:
    driver.create("a/data")
    first = driver.append("a/data")
    first.write(b"12")
    with pytest.raises(Busy):
        driver.append("a/data")
    first.sync()
    first.close()
    second = driver.append("a/data")
    assert second.size_bytes == 2
    second.write(b"345")
    second.truncate(4)
    second.write(b"x")
    assert second.size_bytes == 5
    second.close()
    second.close()
    assert driver.read("a/data") == b"1234x"


def test_move_replaces_a_file(driver: Driver) -> None:
    driver.write("from/data", b"new")
    driver.write("to/data", b"old")
    driver.move("from/data", "to/data")
    assert driver.read("to/data") == b"new"
    assert names(driver, "from") == []


def test_move_of_a_folder(driver: Driver) -> None:
    driver.write("new/x/link", b"1")
    driver.write("new/y", b"2")
    driver.move("new", "place/tag")
    assert driver.read("place/tag/x/link") == b"1"
    assert driver.list("place/tag") == ["x", "y"]
    with pytest.raises(NotFound):
        driver.stat("new")


def test_link_gives_a_second_name(driver: Driver) -> None:
    driver.write("a", b"1")
    driver.link("a", "b/c")
    driver.link("a", "b/c")
    driver.delete("a")
    assert driver.read("b/c") == b"1"


def test_many_links_at_once(driver: Driver) -> None:
    driver.write("a", b"1")
    driver.write("b", b"2")
    driver.write("t/b", b"old")
    made = driver.link_all([("a", "t/a"), ("absent", "t/absent"), ("b", "t/b"), ("b", "u/b")])
    assert made == {"t/a", "t/b", "u/b"}
    driver.delete("a")
    assert (driver.read("t/a"), driver.read("t/b"), driver.read("u/b")) == (b"1", b"2", b"2")
    assert driver.list("t") == ["a", "b"]


def test_discard(driver: Driver) -> None:
    driver.write("a/b/1", b"")
    driver.write("a/b/2", b"")
    driver.discard("a/b/1")
    assert driver.list("a/b") == ["2"]
    driver.discard("a/b/2")
    assert names(driver, "a") == []
    with pytest.raises(NotFound):
        driver.discard("a/b/2")
    driver.write("a/b/1", b"again")
    assert driver.read("a/b/1") == b"again"


def test_delete_of_a_folder_and_empty_folders(driver: Driver) -> None:
    driver.write("a/b/c", b"")
    driver.remove_empty("a/b")
    assert driver.list("a/b") == ["c"]
    driver.delete("a/b")
    assert names(driver, "a") == []
    driver.remove_empty("a")
    with pytest.raises(NotFound):
        driver.stat("a")
    driver.write("a/b/c", b"again")
    assert driver.read("a/b/c") == b"again"


def test_a_folder_that_was_made_stays_when_it_is_empty(driver: Driver) -> None:
    driver.make_folder("a/b")
    driver.write("a/b/c", b"")
    driver.delete("a/b/c")
    assert driver.list("a/b") == []
    assert driver.stat("a/b").is_dir
    assert driver.list("a") == ["b"]
    driver.remove_empty("a/b")
    with pytest.raises(NotFound):
        driver.stat("a/b")


def test_discard_of_a_folder(driver: Driver) -> None:
    driver.write("f/g/h", b"")
    driver.discard("f/g")
    assert names(driver, "f") == []


def test_walk_yields_files_in_order(driver: Driver) -> None:
    for path in ("w/b/1", "w/a/2", "w/c"):
        driver.write(path, b"")
    driver.make_folder("w/empty")
    assert [path for path, _ in driver.walk("w")] == ["w/a/2", "w/b/1", "w/c"]
    assert list(driver.walk("absent")) == []


def test_touch_always_moves_on(driver: Driver) -> None:
    driver.write("a", b"")
    far = driver.stat("a").mtime_ns + 10**15
    driver.touch("a", far)
    assert driver.stat("a").mtime_ns > far


def test_locks(driver: Driver) -> None:
    with (
        driver.lock("locks/a", shared=True),
        driver.lock("locks/a", shared=True, wait=False),
        pytest.raises(Busy),
        driver.lock("locks/a", wait=False),
    ):
        pass
    with driver.lock("locks/a"):
        with pytest.raises(Busy), driver.lock("locks/a", shared=True, wait=False):
            pass
        with driver.lock("locks/b", wait=False):
            pass


def test_lock_waits(driver: Driver) -> None:
    order: list[str] = []

    def other() -> None:
        with driver.lock("locks/a"):
            order.append("other")

    thread = threading.Thread(target=other)
    with driver.lock("locks/a", shared=True):
        thread.start()
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def test_writers_in_parallel_leave_one_whole_value(driver: Driver) -> None:
    values = [bytes([65 + number]) * 5000 for number in range(8)]
    threads = [threading.Thread(target=driver.write, args=("p/q", value)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert driver.read("p/q") in values
    assert driver.list("p") == ["q"]


def test_folder_removed_behind_our_back_is_made_again(tmp_path: Path) -> None:
    ours = FilesystemDriver(str(tmp_path), scratch="tmp")
    theirs = FilesystemDriver(str(tmp_path), scratch="tmp")
    ours.write("a/b/c", b"1")
    theirs.delete("a")
    ours.write("a/b/c", b"2")
    assert theirs.read("a/b/c") == b"2"
    assert theirs.list("tmp") == []


OUTSIDE = ["..", "../x", "a/../../x", "a/..", "a/./b", ".", "./a", "/etc/x", "/", "a//b", "a/", "//a", "a\0b"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_lead_elsewhere_are_refused(driver: Driver, path: str) -> None:
    """The registry makes none of them; nothing would come of it if it did."""
    driver.write("a/b", b"x")
    writing: list[Callable[[], object]] = [
        lambda: driver.write(path, b""),
        lambda: driver.write_all([(path, b"")]),
        lambda: driver.create(path),
        lambda: driver.make_folder(path),
        lambda: driver.move("a/b", path),
        lambda: driver.link("a/b", path),
        lambda: driver.link_all([("a/b", path)]),
    ]
    for step in writing:
        with pytest.raises(Misplaced):
            step()
    using: list[Callable[[], object]] = [
        *(lambda one=one: one(path) for one in (driver.read, driver.open, driver.stat, driver.list)),
        *(lambda one=one: one(path) for one in (driver.append, driver.touch, driver.settle)),
        *(lambda one=one: one(path) for one in (driver.delete, driver.discard)),
        lambda: driver.move(path, "c"),
        lambda: driver.link(path, "c"),
    ]
    for step in using:
        with pytest.raises((Misplaced, NotFound)):
            step()
    with contextlib.suppress(DriverError):
        assert list(driver.walk(path)) == []
    assert [found for found, _ in driver.walk("a")] == ["a/b"]


def test_locks_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    driver = FilesystemDriver(str(tmp_path / "root"), scratch="tmp")
    with pytest.raises(Misplaced), driver.lock("../lock"):
        pass
    assert not (tmp_path / "lock").exists()


def test_where_everything_is_below(driver: Driver) -> None:
    driver.write("a/b", b"x")
    assert "a" in driver.list("")


class Vanishing(Posix):
    """Each folder is gone just when something is to be made in it, and back right after; a few times."""

    times = 3

    def create(self, full: str) -> int:
        if self.times:
            self.times -= 1
            raise FileNotFoundError(2, "gone", full)
        return super().create(full)


@pytest.mark.parametrize("operation", ["write", "create"])
def test_folders_that_come_and_go_are_waited_for(tmp_path: Path, operation: str) -> None:
    posix = Vanishing(fsync=False)
    driver = FilesystemDriver(str(tmp_path), scratch="tmp", posix=posix)
    driver.make_folder("tmp")
    driver.make_folder("a")
    getattr(driver, operation)("a/b", *([b""] if operation == "write" else []))
    assert posix.times == 0
    assert driver.read("a/b") == b""


def test_the_scratch_folder_stays(tmp_path: Path) -> None:
    """Whoever writes next would have to make it, while others remove it."""
    driver = FilesystemDriver(str(tmp_path), scratch="tmp", fsync=False)
    driver.create("tmp/upload")
    driver.discard("tmp/upload")
    assert (tmp_path / "tmp").is_dir()


def test_appender_of_a_published_file_is_not_found(tmp_path: Path) -> None:
    driver = FilesystemDriver(str(tmp_path), scratch="tmp")
    driver.create("up/data")
    appender = driver.append("up/data")
    driver.move("up/data", "blob/data")
    with pytest.raises(NotFound):
        driver.append("up/data")
    appender.close()
