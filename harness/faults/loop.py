"""Loop devices and mounts, by system calls: no programs to start, nothing left behind by one that is killed.

A device is attached with LO_FLAGS_AUTOCLEAR and held by its mount alone: it is gone with the unmount, whoever
unmounts (loop(4), ``linux/loop.h``, mount(2), umount(2)). Everything here raises OSError.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path

READ_ONLY, REMOUNT, NO_ACCESS_TIME = 1, 32, 1024
DETACH = 2
CONTROL = Path("/dev/loop-control")

_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_AUTOCLEAR = 4
_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")
"""``struct loop_config``: file descriptor, block size, ``struct loop_info64`` (flags are its ninth number),
and eight reserved words."""

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN: _IOR('X', 125, __u32)."""
_NO_LOG_FLUSH = 2
_TRIES = 20


def attach(image: Path) -> tuple[Path, int]:
    """A device for an image file, and its open file descriptor, which keeps it there until it is mounted."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            device = Path(f"/dev/loop{_free()}")
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            numbers = [backing, 0, *[0] * 5, 0, 0, 0, _AUTOCLEAR]
            config = _CONFIG.pack(*numbers, os.fsencode(image)[:63], b"", b"", *[0] * 10)
            try:
                fcntl.ioctl(fd, _CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                # Somebody else was quicker.
                if error.errno != errno.EBUSY:
                    raise
                continue
            return device, fd
    finally:
        os.close(backing)
    raise OSError(errno.EBUSY, "every free loop device was taken by somebody else")


def mount(device: Path, folder: Path, fs: str, flags: int = 0, options: str = "") -> None:
    _call("mount", os.fsencode(device), os.fsencode(folder), fs.encode(), flags, options.encode() or None)


def remount(folder: Path, flags: int) -> None:
    _call("mount", None, os.fsencode(folder), None, flags | REMOUNT, None)


def unmount(folder: Path, flags: int = 0) -> None:
    _call("umount2", os.fsencode(folder), flags)


def sync(folder: Path) -> None:
    """Everything of the file system that `folder` is in."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("syncfs", fd)
    finally:
        os.close(fd)


def shut_down(folder: Path) -> None:
    """Stop the file system at once: what is not on its device yet never gets there, everything fails with EIO
    from now on (``FS_IOC_SHUTDOWN`` with ``NOLOGFLUSH``; ext4, xfs, f2fs, and more since Linux 6.19)."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("=I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


def _free() -> int:
    fd = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        number: int = fcntl.ioctl(fd, _GET_FREE)
        return number
    finally:
        os.close(fd)


def _call(name: str, *arguments: bytes | int | None) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    typed = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if function(*typed) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
