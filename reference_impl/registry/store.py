"""The registry as a whole: its parts, put together over one driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..drivers.base import Driver, DriverError
from ..drivers.filesystem import FilesystemDriver
from ..drivers.s3.place import PART_BYTES, PART_MIN_BYTES, Place
from . import layout
from .content import Content
from .manifests import Manifests
from .mounts import Mounts
from .referrers import Referrers
from .sessions import SESSION_MAX_AGE_S, Sessions
from .tags import Tags

if TYPE_CHECKING:
    from ..drivers.s3.driver import S3Driver


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


def s3_driver(
    place: Place,
    coordination: str,
    *,
    prefix: str = "",
    part_size_bytes: int = PART_BYTES,
    take_over: bool = False,
    read_only: bool = False,
    clock: Callable[[], int] = time.time_ns,
) -> S3Driver:
    """Open a store in a bucket; ``prefix`` is what Distribution calls ``rootdirectory``.

    ``coordination`` is a local folder for what the processes on this host share.  Raises DriverError in one
    line: a part size that S3 does not take, a bucket that cannot be used or that another host owns.  Who only
    reads, with ``read_only``, need not own it.
    """
    from ..drivers.s3.driver import S3Driver  # the client library takes its time to import

    if part_size_bytes < PART_MIN_BYTES:
        raise DriverError(f"part_size_bytes is {part_size_bytes}: S3 takes no parts below {PART_MIN_BYTES}")
    driver = S3Driver(
        place,
        coordination,
        prefix="/".join([*filter(None, prefix.split("/")), layout.ROOT, ""]),
        scratch=layout.SCRATCH,
        leased=layout.BLOBS,
        owner=f"{layout.PRIVATE}/owner",
        part_size_bytes=part_size_bytes,
        clock=clock,
    )
    if read_only:
        driver.look()
    else:
        driver.claim(take_over=take_over)
    return driver
