"""Files that change while the server runs, and results that are remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reference_impl.auth.remembered import Remembered
from reference_impl.auth.settings import BadSettings
from reference_impl.auth.watched import BadFile, Watched

LATER_NS = time.time_ns() + 3600 * 10**9


class File:
    """A file, and how often it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0

    def load(self, path: str) -> list[str]:
        self.reads += 1
        text = "".join(one.read_text() for one in sorted(self.path.iterdir())) if self.path.is_dir() else ""
        text = text or Path(path).read_text()
        if "bad" in text:
            raise BadFile(f"{path}: bad")
        return text.split()

    def watch(self) -> Watched[list[str]]:
        return Watched("auth.x", str(self.path), self.load, [])


def test_a_settled_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(tmp_path / "file")
    file.path.write_text("a b")
    monkeypatch.setattr(time, "time_ns", lambda: LATER_NS)
    watching = file.watch()
    assert [watching.current() for _ in range(5)] == [["a", "b"]] * 5
    assert file.reads == 1
    file.path.write_text("c")
    assert [watching.current() for _ in range(5)] == [["c"]] * 5
    assert file.reads == 2


def test_a_file_that_just_changed_is_read_until_it_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one tick of the file system's clock look alike."""
    file = File(tmp_path / "file")
    file.path.write_text("a")
    changed_ns = file.path.stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + 1)
    watching = file.watch()
    first = watching.current()
    assert file.reads == 2
    assert watching.current() is first  # what was concluded from it stays good
    monkeypatch.setattr(time, "time_ns", lambda: LATER_NS)
    for _ in range(5):
        watching.current()
    assert file.reads == 4


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: LATER_NS)
    (tmp_path / "keys").mkdir()
    (tmp_path / "elsewhere").write_text("a ")
    (tmp_path / "keys" / "1").symlink_to(tmp_path / "elsewhere")
    watching = File(tmp_path / "keys").watch()
    assert watching.current() == ["a"]
    (tmp_path / "keys" / "2").write_text("b ")
    assert watching.current() == ["a", "b"]
    (tmp_path / "elsewhere").write_text("other ")
    assert watching.current() == ["other", "b"]
    (tmp_path / "keys" / "2").unlink()
    assert watching.current() == ["other"]


def test_bad_and_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = File(tmp_path / "file")
    with pytest.raises(BadSettings, match=r"^auth.x: .*/file: No such file or directory$"):
        file.watch()
    file.path.write_text("bad")
    with pytest.raises(BadSettings, match=r"^auth.x: .*/file: bad$"):
        file.watch()
    file.path.write_text("good")
    watching = file.watch()
    file.path.write_text("bad")
    assert [watching.current() for _ in range(3)] == [["good"]] * 3
    file.path.unlink()
    assert [watching.current() for _ in range(3)] == [[]] * 3
    file.path.write_text("again")
    assert watching.current() == ["again"]
    assert [record.getMessage() for record in caplog.records] == [
        f"auth.x: {file.path}: bad: what was there before stays in force",
        f"auth.x: {file.path}: No such file or directory: what was in it does not count any more",
    ]


def test_what_is_remembered_is_bounded_and_hides_the_secret() -> None:
    remembered: Remembered[int] = Remembered(3)
    for number in range(5):
        remembered.put(remembered.key("name", str(number)), number)
        assert remembered.get(remembered.key("name", "0" if number < 3 else "2")) in (0, 2)
    found = [remembered.get(remembered.key("name", str(number))) for number in range(5)]
    assert found == [None, None, 2, 3, 4]
    assert remembered.key("ab", "c") != remembered.key("a", "bc")
    assert remembered.key("secret") != Remembered[int]().key("secret")  # a key of its own
    assert b"name" not in repr(vars(remembered)).encode()
