"""A folder full of things that are none of the registry's business, with its root among them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

CANARY = "canary.txt"


def make(parent: Path) -> Path:
    """Put canaries around a root; returns the root."""
    root = parent / "data" / "root"
    root.mkdir(parents=True)
    for folder in (parent, parent / "data", parent / "canary", parent / "data" / "canary"):
        folder.mkdir(exist_ok=True)
        (folder / CANARY).write_text(f"spare {folder.name}")
    (parent / "etc").mkdir()
    (parent / "etc" / "passwd").write_text("root:x:0:0")
    (parent / "link-to-root").symlink_to(root)
    (parent / "data" / "link-to-parent").symlink_to(parent)
    (parent / "data" / "root-2").mkdir()
    (parent / "data" / "root-2" / "data").write_text("the same name, and more")
    os.link(parent / CANARY, parent / "data" / "second-name.txt")
    return root


def seen(parent: Path, root: Path) -> dict[str, tuple[object, ...]]:
    """Return everything below ``parent`` but what is in ``root``: kind, mode, times, links, and content."""
    return dict(_seen(parent, root))


def _seen(folder: Path, root: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        found = entry.stat(follow_symlinks=False)
        facts = (found.st_mode, found.st_uid, found.st_nlink)
        if entry.is_symlink():
            yield entry.path, (*facts, found.st_mtime_ns, os.readlink(entry.path))
        elif not entry.is_dir():
            content = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
            yield entry.path, (*facts, found.st_mtime_ns, content)
        elif Path(entry.path) == root:
            yield entry.path, (found.st_mode, found.st_uid)
        else:
            yield entry.path, (*facts, found.st_mtime_ns)
            yield from _seen(Path(entry.path), root)


def foreign(root: Path) -> list[str]:
    """What is in the root that the registry never makes: links, sockets, programs."""
    found = []
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in (*folders, *files)):
            mode = os.lstat(path).st_mode
            if not (stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and not mode & 0o111)):
                found.append(path)
    return found
