"""The registry as a whole: its parts, put together over one driver."""

from __future__ import annotations

from ..drivers.base import Driver
from ..drivers.filesystem import FilesystemDriver
from . import layout
from .content import Content
from .manifests import Manifests
from .mounts import Mounts
from .referrers import Referrers
from .sessions import Sessions
from .tags import Tags


class Registry:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.content = Content(driver)
        self.sessions = Sessions(driver, self.content)
        self.tags = Tags(driver)
        self.manifests = Manifests(driver, self.content, self.tags)
        self.referrers = Referrers(self.manifests)
        self.mounts = Mounts(driver, self.content)


def filesystem_driver(root: str, *, fsync: bool = True) -> FilesystemDriver:
    """Open a store in Distribution's layout; ``root`` is what it calls ``rootdirectory``."""
    return FilesystemDriver(f"{root}/{layout.ROOT}", scratch=layout.SCRATCH, fsync=fsync)
