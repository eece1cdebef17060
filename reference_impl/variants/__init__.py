"""Ways in which registries differ lawfully, in the reference: what the harness may not complain about."""

from __future__ import annotations

from ..deviations import Variant, by_name

VARIANTS: dict[str, Variant] = by_name()
