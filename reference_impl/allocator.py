"""How the C library gives memory back: soon, where it is glibc.

By itself it keeps what it once gave to each of many threads, also after a single large request: blocks
of megabytes then come from places that are rarely empty again.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MAPPED_MIN_BYTES = 2 << 20
"""Larger blocks are given back at once.  Those that bodies come and go in are smaller, and are used again."""
_KEPT_MAX_BYTES = 4 << 20
"""What each place keeps for the next block.  With less, every block of a large body is given back and asked
for again, page by page, and a pull takes twice as long."""
_ARENAS = 2


def give_back_soon() -> bool:
    """Best called before there are threads.  Returns whether it has an effect here."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = (
        (_M_MMAP_THRESHOLD, _MAPPED_MIN_BYTES),
        (_M_TRIM_THRESHOLD, _KEPT_MAX_BYTES),
        (_M_ARENA_MAX, _ARENAS),
    )
    return all(mallopt(option, value) for option, value in wanted)
