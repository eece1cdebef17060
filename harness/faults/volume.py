"""A small disk of its own for a registry's storage, whose power can be cut, which can be full and read-only.

It is a file system in an image file behind a loop device. Cutting the power stops the file system where it
stands: nothing that was not synced survives, which is the hardest outcome that a power cut may have. (What
it does not make: outcomes between, in which the disk wrote some unsynced blocks and others not.)
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.faults import loop
from harness.targets.base import TargetError
from harness.targets.host import WorkFolder
from harness.targets.reaper import REAPER

BUSY_LIMIT_S = 5.0
_MAKE_LIMIT_S = 60.0
_BUSY_POLL_S = 0.002
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FileSystem:
    """``make``: the command, without the image. ``size_bytes``: what a volume has when nobody says; smaller
    ones than ``least_bytes`` cannot be made."""

    name: str
    make: tuple[str, ...]
    install: str
    size_bytes: int
    least_bytes: int
    options: str = ""


FILE_SYSTEMS: dict[str, FileSystem] = {
    fs.name: fs
    for fs in (
        # Folders are listed in the order of hashes, whose seed is random: then two runs would not be alike.
        # And it commits by itself every five seconds: a cut would lose more or less as time has it.
        FileSystem(
            "ext4",
            (
                *("mkfs.ext4", "-q", "-F", "-b", "4096", "-i", "8192", "-m", "0"),
                *("-E", "nodiscard,hash_seed=5ea751a1-0000-4000-8000-000000000000"),
            ),
            "apt-get install e2fsprogs",
            128 * _MIB,
            8 * _MIB,
            "commit=600",
        ),
        FileSystem("xfs", ("mkfs.xfs", "-q", "-f", "-K"), "apt-get install xfsprogs", 384 * _MIB, 300 * _MIB),
    )
}


class Volume:
    """Nothing is made before `open`; everything is removed by `close`, or when the harness dies. All methods
    raise `TargetError`, one line. Call them from any thread."""

    def __init__(self, size_bytes: int = 0, fs: str = "ext4") -> None:
        if fs not in FILE_SYSTEMS:
            raise TargetError(f"no volume with {fs!r}: it is one of {', '.join(FILE_SYSTEMS)}")
        self._fs = FILE_SYSTEMS[fs]
        self.size_bytes = size_bytes or self._fs.size_bytes
        if self.size_bytes < self._fs.least_bytes:
            raise TargetError(
                f"{fs} needs {self._fs.least_bytes} bytes, a volume of {size_bytes} is too small"
            )
        self._lock = threading.RLock()
        self._folder: WorkFolder | None = None
        self._dead = False

    @property
    def fs(self) -> str:
        return self._fs.name

    @property
    def storage(self) -> Path:
        """The folder for the registry; the same one from `open` to `close`. It holds nothing else."""
        return self._root / "storage"

    @property
    def dead(self) -> bool:
        """Whether the power is off: then nothing can be read or written until `remount`."""
        return self._dead

    def open(self) -> None:
        with self._lock:
            if self._folder is not None:
                return
            self._folder = WorkFolder()
            try:
                self._root.mkdir()
                self._make()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Never raises; idempotent. What still uses it loses it."""
        with self._lock:
            if self._folder is None:
                return
            self._detach()
            self._folder.close()
            self._folder = None
            self._dead = False

    def cut_power(self) -> None:
        """From now on everything in it fails with EIO. Kill the registry, then `remount`."""
        with self._lock:
            try:
                loop.shut_down(self._root)
            except OSError as error:
                raise self._error("the power cannot be cut", error) from None
            self._dead = True

    def remount(self) -> None:
        """Power on again: detach the disk and attach it anew, with what had reached it."""
        with self._lock:
            self._unmount()
            self._mount()
            self._dead = False

    def wipe(self) -> None:
        """An empty file system, whatever state the old one was in."""
        with self._lock:
            self._unmount()
            self._make()

    def sync(self) -> None:
        """What is in it now survives a power cut."""
        try:
            loop.sync(self._root)
        except OSError as error:
            raise self._error("it cannot be synced", error) from None

    def fill(self, leave_bytes: int = 0) -> None:
        """Leave so many bytes free for data, less than a block more."""
        with self._lock:
            try:
                self._filler.unlink(missing_ok=True)
                with self._filler.open("wb") as file:
                    self._reserve(file.fileno(), leave_bytes)
                loop.sync(self._root)
            except OSError as error:
                raise self._error("it cannot be filled", error) from None

    def free(self) -> None:
        """Undo `fill`."""
        with self._lock:
            if not self._filler.exists():
                return
            try:
                self._filler.unlink()
                loop.sync(self._root)
            except OSError as error:
                raise self._error("what fills it cannot be removed", error) from None

    def read_only(self, on: bool) -> None:
        """Mount it read-only, or writable again. Fails while a file in it is open for writing."""
        with self._lock:
            flags = loop.NO_ACCESS_TIME | (loop.READ_ONLY if on else 0)
            try:
                loop.remount(self._root, flags)
            except OSError as error:
                raise self._error(f"it cannot be made {'read-only' if on else 'writable'}", error) from None

    def heal(self) -> None:
        """Power on, writable, not filled."""
        with self._lock:
            if self._dead:
                self.remount()
            self.read_only(False)
            self.free()

    # --- inside

    @property
    def _work(self) -> Path:
        if self._folder is None:
            raise TargetError(f"the {self._fs.name} volume is not open")
        return self._folder.path

    @property
    def _root(self) -> Path:
        return self._work / "disk"

    @property
    def _image(self) -> Path:
        return self._work / "image"

    @property
    def _filler(self) -> Path:
        return self._root / "filler"

    def _make(self) -> None:
        command = [*self._fs.make, str(self._image)]
        try:
            with self._image.open("wb") as file:
                file.truncate(self.size_bytes)
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=_MAKE_LIMIT_S,
                env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"},
            )
            self._mount()
            self.storage.mkdir()
            loop.sync(self._root)
        except FileNotFoundError as error:
            raise TargetError(f"there is no {error.filename!r} here; {self._fs.install}") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise TargetError(f"{command[0]} ended with {error.returncode}: {said}") from None
        except subprocess.TimeoutExpired:
            raise TargetError(f"{command[0]} took longer than {_MAKE_LIMIT_S:.0f} s") from None
        except OSError as error:
            raise self._error("it cannot be made", error) from None
        self._dead = False

    def _mount(self) -> None:
        try:
            device, fd = loop.attach(self._image)
        except OSError as error:
            raise self._error("no loop device", error) from None
        REAPER.watch_mount(str(self._root))
        try:
            loop.mount(device, self._root, self._fs.name, loop.NO_ACCESS_TIME, self._fs.options)
        except OSError as error:
            REAPER.forget_mount(str(self._root))
            raise self._error("it cannot be mounted", error) from None
        finally:
            os.close(fd)

    def _unmount(self) -> None:
        """What was killed just now may still be closing its files."""
        limit = time.monotonic() + BUSY_LIMIT_S
        while True:
            try:
                loop.unmount(self._root)
                break
            except OSError as error:
                if error.errno == errno.EINVAL:  # It is not mounted.
                    break
                if error.errno != errno.EBUSY or time.monotonic() > limit:
                    raise self._error("it cannot be unmounted", error) from None
            time.sleep(_BUSY_POLL_S)
        REAPER.forget_mount(str(self._root))

    def _detach(self) -> None:
        with suppress(OSError):
            loop.unmount(self._root, loop.DETACH)
        REAPER.forget_mount(str(self._root))

    def _reserve(self, fd: int, leave_bytes: int) -> None:
        """Take the free space in ever smaller pieces: a file system needs some of it to keep books."""
        block = os.fstatvfs(fd).f_frsize
        end, piece = 0, 1 << self.size_bytes.bit_length()
        while piece >= block:
            free = os.fstatvfs(fd)
            if free.f_bavail * free.f_frsize - leave_bytes < piece:
                piece //= 2
                continue
            try:
                os.posix_fallocate(fd, end, piece)
                end += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2

    def _error(self, what: str, error: OSError) -> TargetError:
        users = f", it is in use by {_users(self._root)}" if error.errno == errno.EBUSY else ""
        return TargetError(f"the {self._fs.name} volume at {self._root}: {what}: {error.strerror}{users}")


@functools.cache
def available(fs: str = "ext4") -> str | None:
    """``None`` where volumes with this file system can be made and their power be cut, else why not and what
    would allow it, in a line. Tries it once (some 50 ms)."""
    if sys.platform != "linux":
        return f"volumes need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "volumes need root, for loop devices and mounts"
    if not loop.CONTROL.exists():
        return f"there is no {loop.CONTROL} here: give the container the loop devices, or use a machine"
    if (kind := FILE_SYSTEMS.get(fs)) and shutil.which(
        kind.make[0], path=f"{os.defpath}:/usr/sbin:/sbin"
    ) is None:
        return f"there is no {kind.make[0]!r} here; {kind.install}"
    try:
        volume = Volume(kind.least_bytes if kind else 0, fs)
        try:
            volume.open()
            (volume.storage / "unsynced").write_bytes(b"x")
            volume.cut_power()
            volume.remount()
            if (volume.storage / "unsynced").exists():
                return f"{fs} keeps here what was not synced: its power is not really cut"
        finally:
            volume.close()
    except TargetError as error:
        return str(error)
    return None


def _users(folder: Path) -> str:
    """The processes that have something below a folder open, or stand in it."""
    found: dict[str, None] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            links = [process / "cwd", process / "root", *(process / "fd").iterdir()]
            for link in links:
                with suppress(OSError):
                    if Path(os.readlink(link)).is_relative_to(folder):
                        found[f"{(process / 'comm').read_text().strip()} (process {process.name})"] = None
    return ", ".join(found) or "somebody who cannot be seen"
