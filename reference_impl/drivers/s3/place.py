"""Where a bucket is.  Apart, so that who does not use S3 does not wait for its client library."""

from __future__ import annotations

from dataclasses import dataclass, field

PART_MIN_BYTES = 5 << 20
"""S3 refuses smaller parts, except the last."""

PART_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bucket is and how it is asked.  Without a key the AWS tools' own search finds one.

    Objects larger than ``copy_size_bytes`` are copied in ranges of that size, as S3 copies at most 5 GiB
    at once and may take long over it.  A refused connection is told after ``attempts`` and some seconds; a
    server that accepts connections and is silent after ``attempts`` times ``timeout_s``.  Copying and
    completing is work for the server: ``long_timeout_s``.
    """

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    copy_size_bytes: int = 256 << 20
    connect_timeout_s: float = 2.0
    timeout_s: float = 10.0
    long_timeout_s: float = 300.0
    attempts: int = 3
    connections: int = 64
    page_entries: int = 1000
