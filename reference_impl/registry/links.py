"""Link files: a digest as text, naming the canonical content behind a name."""

from __future__ import annotations

from collections.abc import Iterable

from ..drivers.base import Driver, NotFound
from . import names
from .digests import CANONICAL, Digest
from .errors import Refusal


def read_link(driver: Driver, path: str) -> Digest | None:
    """Follow a link; None if it is absent or torn (a crash of another writer leaves 0 bytes)."""
    try:
        text = driver.read(path).decode("ascii").strip()
        return names.digest(text)
    except (NotFound, UnicodeDecodeError, Refusal):
        return None


def read_digest_link(driver: Driver, path: str, name: Digest) -> Digest | None:
    """Follow the link that stands for ``name``; a canonical name can only mean itself."""
    target = read_link(driver, path)
    if target is None or target.algorithm != CANONICAL:
        return None
    return target if name.algorithm != CANONICAL or target == name else None


def write_links(driver: Driver, targets: Iterable[tuple[str, Digest]]) -> None:
    """Make links durably, in order; one that says so already is as good as written now."""
    files = [(path, str(target).encode("ascii")) for path, target in targets]
    driver.write_all([(path, text) for path, text in files if not _is_renewed(driver, path, text)])


def _is_renewed(driver: Driver, path: str, text: bytes) -> bool:
    try:
        if driver.read(path) != text:
            return False
        driver.touch(path)
        driver.settle(path)
    except NotFound:
        return False
    return True
