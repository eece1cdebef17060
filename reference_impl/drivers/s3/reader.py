"""Reading an object at offsets."""

from __future__ import annotations

from ..base import Unavailable
from .bucket import Body, Bucket, Found

_WHOLE_MAX_BYTES = 1 << 20
_ATTEMPTS = 3


class ObjectReader:
    """See ``base.Reader``.  A small object is read at once.  A large one is read as it comes, each byte in
    one request as long as the offsets go on from each other.

    When a large one is replaced or deleted meanwhile, what comes after that raises DriverError.
    """

    def __init__(self, bucket: Bucket, found: Found, body: Body) -> None:
        self._bucket = bucket
        self._found = found
        self._body: Body | None = body
        self._at = 0
        self._whole: bytes | None = None
        self.size_bytes = found.size_bytes
        if self.size_bytes <= _WHOLE_MAX_BYTES:
            self._whole = self._read(0, self.size_bytes)
            self.close()

    def read_at(self, offset: int, length_bytes: int) -> bytes:
        length_bytes = min(length_bytes, self.size_bytes - offset)
        if length_bytes <= 0:
            return b""
        if self._whole is not None:
            return self._whole[offset : offset + length_bytes]
        return self._read(offset, length_bytes)

    def close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _read(self, offset: int, length_bytes: int) -> bytes:
        for left in reversed(range(_ATTEMPTS)):
            try:
                # Even of nothing the end has to be read: only then can the connection be used again.
                data = self._from(offset).read(length_bytes or None)
                if len(data) < length_bytes:
                    raise Unavailable(f"{self._found.key}: the answer ended too early")
            except Unavailable:
                self.close()
                if not left:
                    raise
            else:
                self._at = offset + length_bytes
                return data
        raise AssertionError("unreachable")

    def _from(self, offset: int) -> Body:
        if self._body is None or self._at != offset:
            self.close()
            _, self._body = self._bucket.get(self._found.key, offset, tag=self._found.tag)
            self._at = offset
        return self._body


def open_found(bucket: Bucket, found: Found) -> ObjectReader:
    """Open an object that was looked at before.  Raises NotFound, Changed."""
    now, body = bucket.get(found.key, tag=found.tag)
    return ObjectReader(bucket, now, body)
