"""B: uploads that lose their place, their bytes or their session."""

from __future__ import annotations

from ..deviations import Defect
from ..registry.sessions import Upload


class _AnyOrder(Upload):
    def check_offset(self, first: int) -> None:
        pass


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "patch-out-of-order",
        "a chunk is appended wherever the upload is, whatever its Content-Range says",
        (_AnyOrder,),
        kind="B",
        sources=("distribution 2.8 (PATCH), distribution-spec #590",),
        violates=("P6",),
        operations=3,
    ),
)
