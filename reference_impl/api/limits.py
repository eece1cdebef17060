"""What one request may ask for, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """``page_size`` bounds all listings, in entries; ``request_timeout_s`` a request with its answer.

    A body may pause for ``body_idle_timeout_s``.  After ``body_grace_s`` it has to have come at
    ``body_min_bytes_per_s`` on average; 0: at any rate.
    """

    page_size: int = 1000
    manifest_max_bytes: int = 4 << 20
    referrers_max_bytes: int = 4 << 20
    tags_per_push: int = 64
    body_idle_timeout_s: float = 60.0
    body_min_bytes_per_s: int = 256
    body_grace_s: float = 60.0
    request_timeout_s: float = 6 * 3600.0
    storage_threads: int = 32
