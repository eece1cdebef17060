"""A disk whose power is cut: what may be left of what was written to it.

The model is that of POSIX, which promises less than any file system keeps, with one exception:

* The content of a file is durable once the file was synced after it was written. The name of a file or folder
  is durable once the folder it is in was synced after it came to be, and so is the removal of a name.
* Everything else may be there or not after a power cut, each by itself and in any order; of what was written
  last, half of it, or zeros in its place.
* The exception: a rename happens as a whole, also between folders, and is durable once either of them was
  synced. Every file system with a journal or a log sees to that.

Times of files are not modelled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_impl.drivers.posix import STEPS

from .mortal import Mortal, Point

ROOT = 0
"""The number of the uppermost folder, which is always there."""


@dataclass(frozen=True, slots=True)
class Named:
    """Names changed, together: a folder, a name in it, and what it leads to from now on, None for nothing."""

    names: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes of a file from an offset on."""

    node: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    node: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What a file holds, or which names a folder has, was made durable; with no ``node``, everything was."""

    node: int | None


Change = Named | Written | Cut
Entry = Change | Synced


@dataclass(slots=True)
class Tree:
    """Files by number with their content, folders by number with their names."""

    files: dict[int, bytearray] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})

    def apply(self, change: Change) -> None:
        if isinstance(change, Named):
            for folder, name, node in change.names:
                if node is None:
                    self.folders[folder].pop(name, None)
                else:
                    self.folders[folder][name] = node
        elif isinstance(change, Written):
            content = self.files[change.node]
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + len(change.data)] = change.data
        else:
            content = self.files[change.node]
            content.extend(bytes(max(0, change.size_bytes - len(content))))
            del content[change.size_bytes :]

    def copy(self) -> Tree:
        return Tree(
            {node: bytearray(content) for node, content in self.files.items()},
            {node: dict(names) for node, names in self.folders.items()},
        )

    def visible(self) -> dict[str, int]:
        """All paths that lead somewhere, folders before what is in them."""
        found: dict[str, int] = {}
        left = [("", ROOT)]
        while left:
            path, folder = left.pop()
            for name, node in sorted(self.folders[folder].items()):
                found[f"{path}{name}"] = node
                if node in self.folders:
                    left.append((f"{path}{name}/", node))
        return found

    def signature(self) -> tuple[Any, ...]:
        """The same for trees that nobody can tell apart."""
        first: dict[int, str] = {}
        told = []
        for path, node in sorted(self.visible().items()):
            content = bytes(self.files[node]) if node in self.files else None
            told.append((path, content, first.setdefault(node, path)))
        return tuple(told)

    def put(self, root: Path) -> None:
        """Make it real, in a folder that is made for it."""
        root.mkdir()
        first: dict[int, Path] = {}
        for path, node in self.visible().items():
            if node in self.folders:
                (root / path).mkdir()
            elif node in first:
                (root / path).hardlink_to(first[node])
            else:
                (root / path).write_bytes(self.files[node])
                first[node] = root / path


class Recorder(Mortal):
    """Does every step below ``root``, and writes down what it changed."""

    def __init__(self, root: Path, point: Point | None = None) -> None:
        super().__init__(point)
        self.root = root
        self._root = str(root)
        self._inodes: dict[tuple[int, int], int] = {}
        self._next = ROOT + 1
        self.before = Tree()
        self._take_in(ROOT, self._root)
        self.now = self.before.copy()
        self.log: list[Entry] = []
        self.steps: list[tuple[str, int]] = []
        """What was done, and how long the log was then."""

    def _take_in(self, folder: int, full: str) -> None:
        for entry in sorted(os.scandir(full), key=lambda entry: entry.name):
            node = self._node(os.stat(entry.path))
            self.before.folders[folder][entry.name] = node
            if entry.is_dir():
                self.before.folders[node] = {}
                self._take_in(node, entry.path)
            else:
                self.before.files[node] = bytearray(Path(entry.path).read_bytes())

    def _node(self, found: os.stat_result, *, fresh: bool = False) -> int:
        inode = (found.st_dev, found.st_ino)
        if fresh or inode not in self._inodes:
            self._inodes[inode] = self._next
            self._next += 1
        return self._inodes[inode]

    def _place(self, full: str) -> tuple[int, str]:
        """The folder and the name that a path ends with."""
        *above, name = os.path.relpath(full, self._root).split("/")
        folder = ROOT
        for each in above:
            folder = self.now.folders[folder][each]
        return folder, name

    def _at(self, full: str) -> int | None:
        folder, name = self._place(full)
        return ROOT if name == "." else self.now.folders[folder].get(name)

    def did(self, step: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Write down a step that has just been taken."""
        entry = getattr(self, f"_{step}")(*arguments, result)
        if entry is not None:
            if not isinstance(entry, Synced):
                self.now.apply(entry)
            self.log.append(entry)
        if entry is not None:
            self.steps.append((self._told(step, arguments), len(self.log)))

    def write_half(self, fd: int, data: bytes) -> None:
        super().write_half(fd, data)
        self.did("write", (fd, data), len(data))

    def _told(self, step: str, arguments: tuple[Any, ...]) -> str:
        full = arguments[0]
        if isinstance(full, int):
            full = os.readlink(f"/proc/self/fd/{full}")
        return f"{step} {os.path.relpath(full, self._root)}"

    def taken_until(self, end: int) -> str:
        """The steps before a position of the log, in words."""
        return ", ".join(step for step, length in self.steps if length <= end) or "no step"

    def _create(self, full: str, fd: int) -> Entry:
        node = self._node(os.fstat(fd), fresh=True)
        for tree in (self.before, self.now):
            tree.files[node] = bytearray()
        return Named(((*self._place(full), node),))

    def _write(self, fd: int, data: bytes | memoryview, count: int) -> Entry:
        node = self._node(os.fstat(fd))
        return Written(node, len(self.now.files[node]), bytes(data[:count]))

    def _truncate(self, fd: int, size_bytes: int, _: None) -> Entry:
        return Cut(self._node(os.fstat(fd)), size_bytes)

    def _sync(self, fd: int, _: None) -> Entry:
        return Synced(self._node(os.fstat(fd)))

    def _sync_folder(self, full: str, _: None) -> Entry | None:
        if full != self._root and not full.startswith(f"{self._root}/"):
            return None
        node = self._at(full)
        assert node is not None, full
        return Synced(node)

    def _sync_all(self, full: str, _: None) -> Entry:
        return Synced(None)

    def _rename(self, source: str, target: str, _: None) -> Entry | None:
        node = self._at(source)
        if node == self._at(target):
            return None
        return Named(((*self._place(source), None), (*self._place(target), node)))

    def _link(self, source: str, target: str, _: None) -> Entry:
        return Named(((*self._place(target), self._at(source)),))

    def _unlink(self, full: str, _: None) -> Entry:
        return Named(((*self._place(full), None),))

    def _make_folder(self, full: str, _: None) -> Entry:
        node = self._node(os.stat(full), fresh=True)
        for tree in (self.before, self.now):
            tree.folders[node] = {}
        return Named(((*self._place(full), node),))

    def _remove_folder(self, full: str, _: None) -> Entry:
        return Named(((*self._place(full), None),))

    def _set_time(self, full: str, mtime_ns: int, _: None) -> None:
        return None


def _recorded(name: str) -> Callable[..., Any]:
    real = getattr(Mortal, name)

    def step(self: Recorder, *arguments: Any) -> Any:
        with self.one_at_a_time:
            result = real(self, *arguments)
            self.did(name, arguments, result)
            return result

    return step


for _name in STEPS:
    setattr(Recorder, _name, _recorded(_name))


def durable(log: list[Entry], end: int) -> set[int]:
    """Which changes before ``end`` survive for certain, as positions in the log."""
    last: dict[int | None, int] = {}
    for position in range(end):
        entry = log[position]
        if isinstance(entry, Synced):
            last[entry.node] = position

    def is_synced_after(node: int | None, position: int) -> bool:
        return last.get(node, -1) > position

    found = set()
    for position in range(end):
        entry = log[position]
        if isinstance(entry, Synced):
            continue
        nodes: list[int | None] = [None]
        nodes += [folder for folder, _, _ in entry.names] if isinstance(entry, Named) else [entry.node]
        if any(is_synced_after(node, position) for node in nodes):
            found.add(position)
    return found


def remains(recorder: Recorder, end: int) -> Iterator[tuple[str, Tree]]:
    """Yield what a power cut before position ``end`` of the log may leave, each with what it is.

    Of the changes that nothing has made durable: none of them, each alone, all but one, and all; then all
    with half of what was written at once, or with zeros in its place.
    """
    log = recorder.log
    changes = [position for position in range(end) if not isinstance(log[position], Synced)]
    kept = durable(log, end)
    loose = [position for position in changes if position not in kept]

    def tree(chosen: set[int], instead: dict[int, Change] | None = None) -> Tree:
        made = recorder.before.copy()
        for position in changes:
            entry = (instead or {}).get(position, log[position])
            if position in chosen and not isinstance(entry, Synced):
                made.apply(entry)
        return made

    everything = set(changes)
    yield "nothing else", tree(kept)
    yield "everything", tree(everything)
    for position in loose:
        yield f"also {position}", tree(kept | {position})
        yield f"all but {position}", tree(everything - {position})
        entry = log[position]
        if isinstance(entry, Written):
            half = Written(entry.node, entry.offset, entry.data[: len(entry.data) // 2])
            zeros = Written(entry.node, entry.offset, bytes(len(entry.data)))
            yield f"all, half of {position}", tree(everything, {position: half})
            yield f"all, zeros for {position}", tree(everything, {position: zeros})
