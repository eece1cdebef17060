"""What killed writers left in the bucket: uploads, bases and scratch files that nothing leads to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from ..base import Busy, NotFound
from .appends import ObjectAppender
from .bucket import OpenUpload
from .shelf import Shelf
from .state import State, parse


def clear_bucket(
    shelf: Shelf,
    append: Callable[[str], ObjectAppender],
    remove: Callable[[Sequence[str]], None],
    before_ns: int,
) -> int:
    """Remove what is older than ``before_ns`` and belongs to no file; returns how many."""
    cleared = 0
    for upload in shelf.bucket.uploads(shelf.prefix):
        if upload.begun_ns < before_ns:
            cleared += _abort(shelf, upload)
    for found, _ in shelf.bucket.pages(f"{shelf.prefix}{shelf.scratch}/"):
        for one in found:
            if one.modified_ns >= before_ns or one.key.endswith("/"):
                continue
            if one.key.startswith(shelf.parts_prefix):
                cleared += _delete_base(shelf, one.key)
            else:
                cleared += _delete_unfinished(append, remove, shelf.path(one.key), before_ns)
    return cleared


def _abort(shelf: Shelf, upload: OpenUpload) -> bool:
    """Abort an upload, unless it is that of a file.  One outside of scratch was to copy something."""
    if upload.key.startswith(shelf.parts_prefix):
        _, path = shelf.belongs_to(upload.key)
        with shelf.coordination.guard([path]):
            state = _state(shelf, path)
            if state is not None and state.upload is not None and state.upload.id == upload.upload:
                return False
            shelf.bucket.abort(upload.key, upload.upload)
    else:
        shelf.bucket.abort(upload.key, upload.upload)
    return True


def _delete_base(shelf: Shelf, key: str) -> bool:
    token, path = shelf.belongs_to(key)
    with shelf.coordination.guard([path]):
        state = _state(shelf, path)
        if state is not None:
            completed = state.upload.token if state.upload is not None else None
            if token in (state.base, completed):
                return False
        shelf.bucket.delete([key])
    return True


def _delete_unfinished(
    append: Callable[[str], ObjectAppender],
    remove: Callable[[Sequence[str]], None],
    path: str,
    before_ns: int,
) -> bool:
    with contextlib.suppress(Busy, NotFound):
        appender = append(path)
        try:
            if appender.touched_ns < before_ns:
                remove([path])
                return True
        finally:
            appender.close()
    return False


def _state(shelf: Shelf, path: str) -> State | None:
    found = shelf.bucket.head(shelf.key(path))
    return None if found is None else parse(found.metadata)
