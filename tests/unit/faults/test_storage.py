"""Damage to files in Distribution's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.faults.storage import ROOT, Stored, available, find, flip, truncate
from harness.targets.base import TargetError

HEX = "ab" + "0" * 62
LONG = "cd" + "1" * 126
DIGEST, SHA512 = f"sha256:{HEX}", f"sha512:{LONG}"


def put(storage: Path, path: str, text: str) -> Path:
    file = storage / ROOT / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("content", f"blobs/sha256/ab/{HEX}/data"),
        ("layer", f"repositories/a/b/_layers/sha256/{HEX}/link"),
        ("revision", f"repositories/a/b/_manifests/revisions/sha256/{HEX}/link"),
        ("tag", "repositories/a/b/_manifests/tags/t/current/link"),
    ],
)
def test_each_kind_of_file_is_found(tmp_path: Path, what: Stored, path: str) -> None:
    with pytest.raises(TargetError, match=r"is not stored: there is no .*(link|data)$"):
        find(tmp_path, what, digest=DIGEST, repo="a/b", tag="t")
    file = put(tmp_path, path, "x")
    assert find(tmp_path, what, digest=DIGEST, repo="a/b", tag="t") == file


def test_content_under_another_digest_is_found_through_its_link(tmp_path: Path) -> None:
    data = put(tmp_path, f"blobs/sha256/ab/{HEX}/data", "x")
    link = put(tmp_path, f"repositories/r/_layers/sha512/{LONG}/link", DIGEST)
    assert find(tmp_path, "content", digest=SHA512, repo="r") == data
    link.write_text(SHA512)
    with pytest.raises(TargetError, match=f"content of {SHA512} is not stored"):
        find(tmp_path, "content", digest=SHA512, repo="r")


@pytest.mark.parametrize(
    ("byte", "bit", "result"), [(0, 0, b"\x01\x02\x03"), (1, 7, b"\x00\x82\x03"), (-1, 1, b"\x00\x02\x01")]
)
def test_one_bit_is_flipped_and_back(tmp_path: Path, byte: int, bit: int, result: bytes) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"\0\2\3")
    flip(file, byte, bit)
    assert file.read_bytes() == result
    flip(file, byte, bit)
    assert file.read_bytes() == b"\0\2\3"


def test_a_file_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    truncate(file, 2)
    assert file.read_bytes() == b"12"


def test_damage_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12")
    for damage, value in ((flip, 2), (flip, -3), (truncate, 2)):
        with pytest.raises(TargetError, match=r"has 2$"):
            damage(file, value)
    with pytest.raises(TargetError, match="No such file"):
        flip(tmp_path / "no", 0)
    assert file.read_bytes() == b"12"


def test_other_layouts_are_said_to_be_so(tmp_path: Path) -> None:
    assert f"there is no docker/registry/v2 below {tmp_path}" in (available(tmp_path) or "")
    put(tmp_path, "blobs/x", "")
    assert available(tmp_path) is None
