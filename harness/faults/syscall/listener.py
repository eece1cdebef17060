"""The supervisor's end of one filter: receive a call that waits at the gate, let it go, or answer it
(seccomp_unotify(2))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
from dataclasses import dataclass

# _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, struct seccomp_notif_resp), _IOW('!', 2, __u64),
# _IOW('!', 4, __u64): the same numbers on both machines.
_RECEIVE, _SEND, _ID_VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_ID = struct.Struct("=Q")
_CONTINUE = 1
_SYNC_WAKE_UP = 1
"""Since Linux 6.6: the kernel switches straight to whom it wakes up, which saves some of each call's time."""

NEW_LISTENER, WAIT_KILLABLE = 1 << 3, 1 << 5
"""Flags of seccomp(2). With the second (since Linux 5.19) a call that the supervisor has seen is not
restarted by signals that the program handles, of which Go sends itself many.

Without it, and in kernels whose ``should_sleep_killable`` does not know answered notifications (mended in
2025), a signal between call and answer may win over the answer unseen. Such a call counts twice.
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits at the gate. ``thread``: its number in our process namespace. `arguments` are
    unsigned 64-bit."""

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]

    @property
    def same(self) -> tuple[int, int, tuple[int, ...]]:
        """What a restarted call has in common with its first try."""
        return self.thread, self.number, self.arguments


class Listener:
    """Owns the file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, _SET_FLAGS, _SYNC_WAKE_UP)

    def receive(self) -> Waiting | None:
        """Only after poll(2) said that there is one; ``None`` when it has gone meanwhile."""
        room = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, room, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR, errno.ENOTCONN):
                return None
            raise
        id, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(room)
        return Waiting(id, thread, number, tuple(arguments))

    def valid(self, waiting: Waiting) -> bool:
        """Whether the call still waits: what was read about its thread before is then true of it."""
        try:
            fcntl.ioctl(self.fd, _ID_VALID, _ID.pack(waiting.id))
        except OSError:
            return False
        return True

    def let_go(self, waiting: Waiting) -> bool:
        """Let the call happen. False: it waits no more (its thread died, or a signal interrupted it)."""
        return self._send(_ANSWER.pack(waiting.id, 0, 0, _CONTINUE))

    def fail(self, waiting: Waiting, number: int) -> bool:
        """The call does not happen, and returns -`number`. False: as above."""
        return self._send(_ANSWER.pack(waiting.id, 0, -number, 0))

    def await_end(self, limit_s: float) -> bool:
        """Whether the last thread under the filter has ended within the limit."""
        poller = select.poll()
        poller.register(self.fd, 0)
        return bool(poller.poll(limit_s * 1000))

    def close(self) -> None:
        """Calls that wait, and all that come later, fail with ENOSYS."""
        os.close(self.fd)

    def _send(self, answer: bytes) -> bool:
        try:
            fcntl.ioctl(self.fd, _SEND, answer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINPROGRESS):
                return False
            raise
        return True
