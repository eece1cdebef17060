"""``python -m reference_impl serve|collect|…``; ``main`` is also what a process that forks servers calls."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    from .commands import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(main())
