"""Where everything of a file is: its object, its base or parts, and its spool; and how far it is."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from threading import Lock

from ..base import DriverError, NotFound
from . import spool
from .bucket import Bucket, Found, UploadGone
from .coordination import Coordination
from .state import State, parse

_REMEMBERED_MAX = 65536


class Shelf:
    """``prefix`` begins all keys; bases and parts are below ``scratch``, a path.

    The key of a base or of parts ends in the path of the file that it belongs to, so that whoever finds
    it can ask there whether it is still in use.
    """

    def __init__(
        self, bucket: Bucket, coordination: Coordination, *, prefix: str, scratch: str, part_bytes: int
    ) -> None:
        self.bucket = bucket
        self.coordination = coordination
        self.prefix = prefix
        self.scratch = scratch
        self.part_bytes = part_bytes
        self.parts_prefix = f"{prefix}{scratch}/parts/"
        self._guard = Lock()
        self._remembered: dict[str, State] = {}

    def key(self, path: str) -> str:
        return self.prefix + path

    def path(self, key: str) -> str:
        return key.removeprefix(self.prefix)

    def parts_key(self, token: str, path: str) -> str:
        return f"{self.parts_prefix}{token}/{path}"

    def belongs_to(self, parts_key: str) -> tuple[str, str]:
        """Return token and path of a key that ``parts_key`` made."""
        token, _, path = parts_key.removeprefix(self.parts_prefix).partition("/")
        return token, path

    def spool_path(self, state: State) -> str:
        """A folder for each token, with a file for each offset where a tail begins."""
        return f"{self.coordination.spool}/{state.token}/{state.offset}"

    # -- what goes away with a file --------------------------------------------------------

    def remember(self, path: str, state: State) -> None:
        """Note what has to go when the file goes, instead of asking the bucket then."""
        with self._guard:
            if len(self._remembered) >= _REMEMBERED_MAX:  # `clear_leftovers` finds what is lost here
                self._remembered.clear()
            self._remembered[path] = state

    def note(self, path: str, found: Found) -> None:
        """`remember` what an object's metadata say."""
        state = parse(found.metadata)
        if state is not None:
            self.remember(path, state)

    def forget(self, path: str) -> None:
        """Remove what belonged to a file whose object is gone."""
        with self._guard:
            state = self._remembered.pop(path, None)
        if state is None:
            return
        shutil.rmtree(f"{self.coordination.spool}/{state.token}", ignore_errors=True)
        tokens = {state.base}
        with contextlib.suppress(DriverError):
            if state.upload is not None:
                self.bucket.abort(self.parts_key(state.upload.token, path), state.upload.id)
                tokens.add(state.upload.token)  # it may have been completed since
            self.bucket.delete([self.parts_key(token, path) for token in tokens if token is not None])

    # -- how far a file is -----------------------------------------------------------------

    def extent(self, path: str, found: Found) -> Extent | None:
        """Tell how far an unfinished file is; None if it is an ordinary one.

        Raises NotFound if its parts are gone: it is just being deleted, or something aborted its upload.
        """
        stored = parse(found.metadata)
        if stored is None:
            return None
        state, tail_bytes = self._current(path, stored, found.size_bytes)
        spool_bytes, spooled_ns = spool.stat(self.spool_path(state))
        self.remember(path, state)
        return Extent(state, tail_bytes, spool_bytes, spooled_ns)

    def _current(self, path: str, state: State, tail_bytes: int) -> tuple[State, int]:
        """Add what happened since the state was stored, by a writer that was killed or is at work."""
        if state.upload is None:
            return state, tail_bytes
        key = self.parts_key(state.upload.token, path)
        now = state
        try:
            for part in self.bucket.parts(key, state.upload.id, state.next_part - 1):
                whole = now.part_size(now.next_part)
                if part.number != now.next_part or part.size_bytes != whole:
                    break  # a short one: the last, of an upload that was about to be completed
                now = now.with_part(part.number)
        except UploadGone:
            found = self.bucket.head(key)
            if found is None:
                raise NotFound(path) from None
            done = State(state.token, state.part_bytes, state.upload.token, found.size_bytes)
            return done, 0
        return now, tail_bytes if now is state else 0


@dataclass(frozen=True, slots=True)
class Extent:
    """``tail_bytes`` are in the object, ``spool_bytes`` here: both are the begin of the same tail."""

    state: State
    tail_bytes: int
    spool_bytes: int
    spooled_ns: int

    @property
    def synced_bytes(self) -> int:
        """How much of the file is in the bucket."""
        return self.state.offset + self.tail_bytes

    @property
    def size_bytes(self) -> int:
        return self.state.offset + max(self.tail_bytes, self.spool_bytes)

    @property
    def is_one_object(self) -> bool:
        """Whether the object's body is the whole file."""
        only_tail = self.state.base is None and not self.state.kept
        return only_tail and self.spool_bytes <= self.tail_bytes
