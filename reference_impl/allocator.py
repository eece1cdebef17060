"""How the C library gives memory back: soon, where it is glibc.

By itself it keeps what it once gave to each of many threads, also after a single large request: blocks
of megabytes then come from places that are rarely empty again.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MAPPED_MIN_BYTES = 2 << 20
"""Larger blocks are given back at once.  Those that bodies come and go in are smaller, and are used again."""
_ARENAS = 2


def give_back_soon() -> bool:
    """Best called before there are threads.  Returns whether it has an effect here."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_MIN_BYTES)) and bool(mallopt(_M_ARENA_MAX, _ARENAS))
