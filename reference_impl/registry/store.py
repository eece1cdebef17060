"""The registry as a whole: its parts, put together over one driver."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..drivers.base import Driver
from ..drivers.filesystem import FilesystemDriver
from . import layout
from .content import Content
from .manifests import Manifests
from .mounts import Mounts
from .referrers import Referrers
from .sessions import SESSION_MAX_AGE_S, Sessions
from .tags import Tags


class Registry:
    """``clock`` counts nanoseconds since the Unix epoch; of the rest see `Sessions`."""

    def __init__(
        self,
        driver: Driver,
        clock: Callable[[], int] = time.time_ns,
        *,
        session_max_age_s: float = SESSION_MAX_AGE_S,
        open_sessions_max: int | None = None,
    ) -> None:
        self.driver = driver
        self.content = Content(driver)
        self.sessions = Sessions(
            driver, self.content, clock=clock, max_age_s=session_max_age_s, open_max=open_sessions_max
        )
        self.tags = Tags(driver)
        self.manifests = Manifests(driver, self.content, self.tags)
        self.referrers = Referrers(self.manifests)
        self.mounts = Mounts(driver, self.content)


def filesystem_driver(root: str, *, fsync: bool = True) -> FilesystemDriver:
    """Open a store in Distribution's layout; ``root`` is what it calls ``rootdirectory``."""
    return FilesystemDriver(f"{root}/{layout.ROOT}", scratch=layout.SCRATCH, fsync=fsync)
