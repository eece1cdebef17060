"""Appending to an object: parts as they fill, the rest in a local spool and, by `sync`, in the object.

What is stored changes from one of these to the next by one request, and each tells how long the file is:

* the object holds the tail, and its metadata what comes before it;
* one part more is listed than the metadata know: it counts, and the tail in the object is void;
* the upload is complete: its object is the whole file, whatever the metadata say.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from ..base import DriverError, NotFound, Unavailable
from .bucket import PARTS_MAX, Found, Part, UploadGone
from .coordination import AppendLock
from .shelf import Shelf
from .spool import Spool
from .state import State, Upload, fresh, new_token, parse

_BLOCK_BYTES = 1 << 20


class ObjectAppender:
    """See ``base.Appender``.  When the object is deleted or replaced meanwhile, all goes on as with a file
    that has lost its name, except that nothing is kept.

    ``touched_ns`` is when the file last got something.
    """

    def __init__(
        self,
        shelf: Shelf,
        path: str,
        lock: AppendLock,
        found: Found,
        clock: Callable[[], int],
        on_close: Callable[[ObjectAppender], None],
    ) -> None:
        self._shelf = shelf
        self._bucket = shelf.bucket
        self._lock = lock
        self._clock = clock
        self._on_close = on_close
        self._mutex = Lock()
        self._spool: Spool | None = None
        self._base: Found | None = None
        self._object = found
        self._stored = parse(found.metadata)
        extent = shelf.extent(path, found)
        self._state = extent.state if extent else None  # None: an ordinary object, not changed yet
        self._tail_bytes = extent.tail_bytes if extent else 0
        self._synced_bytes = extent.synced_bytes if extent else found.size_bytes
        self.path = path
        self.size_bytes = extent.size_bytes if extent else found.size_bytes
        self.touched_ns = max(found.modified_ns, extent.spooled_ns if extent else 0)

    @property
    def is_alive(self) -> bool:
        """Whether what was appended to is still there."""
        return self._lock.is_held

    def write(self, data: bytes) -> None:
        with self._mutex:
            end = self.size_bytes + len(data)
            self._unless_gone(lambda: self._write(memoryview(data)))
            self.size_bytes = end
            self.touched_ns = self._clock()

    def truncate(self, size_bytes: int) -> None:
        with self._mutex:
            if size_bytes != self.size_bytes:
                self._unless_gone(lambda: self._truncate(self._adopted(), size_bytes))
                self.size_bytes = size_bytes

    def sync(self) -> None:
        with self._mutex:
            self._unless_gone(self._sync)

    def finish(self) -> Found:
        """Make the whole file one object and return it; appending may go on afterwards.  Raises NotFound."""
        with self._mutex:
            self._lock.check()
            return self._finish()

    def close(self) -> None:
        with self._mutex:
            if self._spool is not None:
                self._spool.close()
            self._lock.release()
        self._on_close(self)

    def _unless_gone(self, step: Callable[[], None]) -> None:
        if self._lock.is_held:
            try:
                step()
            except (NotFound, UploadGone):
                if self._lock.is_held:
                    raise

    # -- writing ---------------------------------------------------------------------------

    def _write(self, view: memoryview) -> None:
        if not view:
            return
        state = self._adopted()
        if state.base is not None:
            state = self._absorb(state)
        while view:
            spool = self._tail(state)
            room = state.part_size(state.next_part) - spool.size_bytes
            if room <= 0:
                state = self._upload_part(state, spool)
                continue
            piece = view[:room]
            spool.write(piece)
            self.size_bytes += len(piece)
            view = view[len(piece) :]

    def _upload_part(self, state: State, spool: Spool) -> State:
        if state.next_part > PARTS_MAX:
            raise OSError(errno.EFBIG, "S3 takes no more parts for one object", self.path)
        if state.upload is None:
            state = self._store(state, self._synced_bytes - state.offset, begin=True)
        key, upload = self._upload_of(state)
        self._bucket.put_part(key, upload, state.next_part, spool.body(spool.size_bytes))
        self._state = state.with_part(state.next_part)
        self._restart_spool(self._state)
        self._synced_bytes = max(self._synced_bytes, self._state.offset)
        return self._state

    def _upload_of(self, state: State) -> tuple[str, str]:
        assert state.upload is not None
        return self._shelf.parts_key(state.upload.token, self.path), state.upload.id

    def _sync(self) -> None:
        if self._state is not None and self.size_bytes != self._synced_bytes:
            self._store(self._state, self.size_bytes - self._state.offset)

    def _store(self, state: State, tail_bytes: int, *, begin: bool = False) -> State:
        """Store the state, with so much of the spool as the tail; with ``begin`` also with a new multipart
        upload.  Raises NotFound."""
        body = self._tail(state).body(tail_bytes) if tail_bytes else b""
        key = self._shelf.key(self.path)
        # Whoever clears away uploads that nobody knows of waits for the guard, and then knows of this one.
        with self._shelf.coordination.guard([self.path]):
            self._lock.check()
            if begin:
                token = new_token()
                upload = self._bucket.begin(self._shelf.parts_key(token, self.path))
                state = replace(state, upload=Upload(token, upload))
            written = self._bucket.put(key, body, state.metadata())
        assert written is not None
        self._object = Found(key, tail_bytes, written.server_ns, written.tag, {})
        self._state = self._stored = state
        self._synced_bytes = state.offset + tail_bytes
        self._shelf.remember(self.path, state)
        return state

    # -- the tail --------------------------------------------------------------------------

    def _tail(self, state: State) -> Spool:
        """Return the spool with the tail in it, which may have to come from the object first."""
        if self._spool is None:
            self._spool = Spool(self._shelf.spool_path(state))
            if self._spool.size_bytes < self._tail_bytes:
                self._fill(self._spool, self._object, 0, self._tail_bytes)
        return self._spool

    def _restart_spool(self, state: State) -> None:
        """Go on with an empty tail."""
        old, self._spool = self._spool, Spool(self._shelf.spool_path(state), fresh=True)
        self._tail_bytes = 0
        if old is not None:
            old.remove()

    def _fill(self, spool: Spool, source: Found, first: int, end: int) -> None:
        """Make the spool hold what is from ``first`` to before ``end`` in an object."""
        spool.truncate(0)
        if first < end:
            _, body = self._bucket.get(source.key, first, end - 1, source.tag)
            with contextlib.closing(body):
                while block := body.read(_BLOCK_BYTES):
                    spool.write(block)
        if spool.size_bytes != end - first:
            raise Unavailable(f"{source.key}: {spool.size_bytes} bytes came instead of {end - first}")

    def _switch(self, state: State, source: Found, first: int, end: int) -> State:
        """Go on from another state, of a token not used yet, whose tail is a range of an object."""
        spool = Spool(self._shelf.spool_path(state), fresh=True)
        old, old_base = self._spool, self._base
        try:
            self._fill(spool, source, first, end)
            self._spool = spool
            self._store(state, end - first)
        except BaseException:
            self._spool = old
            spool.remove()
            raise
        self.size_bytes = self._synced_bytes
        if old is not None:
            old.remove()
        if old_base is not None and state.base is None:
            self._base = None
            with contextlib.suppress(DriverError):
                self._bucket.delete([old_base.key])
        return state

    # -- what there was before -------------------------------------------------------------

    def _adopted(self) -> State:
        """Return the state; an ordinary object becomes an unfinished file first."""
        if self._state is not None:
            return self._state
        state = fresh(self._shelf.part_bytes)
        if self._object.size_bytes <= state.part_bytes:
            return self._switch(state, self._object, 0, self._object.size_bytes)
        token = new_token()
        self._bucket.copy(self._object, self._shelf.parts_key(token, self.path))
        state = replace(state, base=token, base_bytes=self._object.size_bytes)
        return self._switch(state, self._object, 0, 0)

    def _base_of(self, state: State) -> Found:
        assert state.base is not None
        if self._base is None:
            self._base = self._bucket.head(self._shelf.parts_key(state.base, self.path))
        if self._base is None:
            raise NotFound(self.path)
        return self._base

    def _absorb(self, state: State) -> State:
        """Make parts of the base, and the tail of what does not fill one."""
        base = self._base_of(state)
        ranges: list[tuple[int, int]] = []
        number, left = state.next_part, state.base_bytes
        while number <= PARTS_MAX and left >= (size_bytes := state.part_size(number)):
            ranges.append((number, size_bytes))
            number, left = number + 1, left - size_bytes
        whole = replace(state, token=new_token(), base=None, base_bytes=0)
        if ranges:
            # Until the switch below these parts do not count: their numbers are taken, but not kept.
            state = self._store(replace(state, next_part=number), 0, begin=state.upload is None)
            key, upload = self._upload_of(state)
            self._bucket.copy_parts(base, ranges, key, upload)
            kept = tuple(number for number, _ in ranges)
            whole = replace(whole, upload=state.upload, kept=kept, next_part=number)
        return self._switch(whole, base, state.base_bytes - left, state.base_bytes)

    # -- shorter ---------------------------------------------------------------------------

    def _truncate(self, state: State, size_bytes: int) -> None:
        if size_bytes < state.offset:
            self._cut_parts(state, size_bytes)
            return
        spool = self._tail(state)
        self._store(state, size_bytes - state.offset)
        spool.truncate(size_bytes - state.offset)

    def _cut_parts(self, state: State, size_bytes: int) -> None:
        """Leave out parts, which can be replaced, but not be read before the upload is complete."""
        cut = replace(state, token=new_token())
        stored, stored_bytes = self._stored, self._object.size_bytes
        if state.base is not None:
            self._switch(replace(cut, base_bytes=size_bytes), self._object, 0, 0)
        elif cut.is_crowded:
            self._cut_base(size_bytes)
        elif stored and _began(stored, state) and 0 <= size_bytes - stored.offset <= stored_bytes:
            # Such is a request undone: its begin is in the tail that was stored before it.
            cut = replace(cut, kept=stored.kept)
            self._switch(cut, self._object, 0, size_bytes - stored.offset)
        elif (kept := _kept_until(state, size_bytes)) is not None:
            self._switch(replace(cut, kept=kept), self._object, 0, 0)
        else:
            self._cut_base(size_bytes)

    def _cut_base(self, size_bytes: int) -> None:
        self._finish()
        cut = replace(self._adopted(), token=new_token(), base_bytes=size_bytes)
        self._switch(cut, self._object, 0, 0)

    # -- one object ------------------------------------------------------------------------

    def _finish(self) -> Found:
        state = self._state
        if state is None:
            return self._object
        if state.base is not None:
            base = self._base_of(state)
            if base.size_bytes == state.base_bytes:
                return base
            state = self._absorb(state)
        if not state.kept:
            self._sync()
            return self._object
        try:
            self._base = self._complete(state, self._tail(state))
        except UploadGone as error:
            self._lock.check()
            raise DriverError(f"{self.path}: its parts are gone; a rule of the bucket aborted it?") from error
        assert state.upload is not None
        self._state = replace(
            fresh(state.part_bytes), base=state.upload.token, base_bytes=self._base.size_bytes
        )
        self._restart_spool(self._state)
        self._synced_bytes = self.size_bytes
        self._shelf.remember(self.path, self._state)
        return self._base

    def _complete(self, state: State, tail: Spool) -> Found:
        key, upload = self._upload_of(state)
        numbers = state.kept
        if tail.size_bytes:
            self._bucket.put_part(key, upload, state.next_part, tail.body(tail.size_bytes))
            numbers += (state.next_part,)
        listed = {part.number: part for part in self._bucket.parts(key, upload)}
        parts: list[Part] = []
        for number in numbers:
            if number not in listed:
                raise DriverError(f"{self.path}: part {number} is gone")
            parts.append(listed[number])
        try:
            written = self._bucket.complete(key, upload, parts)
            return Found(key, self.size_bytes, written.server_ns, written.tag, {})
        except UploadGone:  # asked twice, as the first answer was lost?
            found = self._bucket.head(key)
            if found is None or found.size_bytes != self.size_bytes:
                raise
            return found


def _began(stored: State, state: State) -> bool:
    """Whether parts were only added since."""
    same = stored.base is None and (stored.upload in (None, state.upload))
    return same and state.kept[: len(stored.kept)] == stored.kept


def _kept_until(state: State, size_bytes: int) -> tuple[int, ...] | None:
    """Return the parts that are exactly so long together, None if none are."""
    sum_bytes = 0
    for count, number in enumerate(state.kept):
        if sum_bytes == size_bytes:
            return state.kept[:count]
        sum_bytes += state.part_size(number)
    return None
