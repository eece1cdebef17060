"""The storage that the settings name: opening it, and what a collector removes there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .configuration import BadConfiguration, Configuration
from .drivers.base import Driver, DriverError
from .registry import layout
from .settings import Settings

if TYPE_CHECKING:
    from .collect.run import Policy


class Unusable(Exception):
    """What is there cannot be used as it is: one line."""


def open_driver(configuration: Configuration, *, read_only: bool = False) -> Driver:
    """Return the driver, after a look at whether it can be used; one that only reads, if that is asked for
    or set.  Raises BadConfiguration, Unusable."""
    storage = configuration.settings.storage
    read_only = read_only or storage.read_only
    if storage.driver == "memory":
        from .drivers.memory import MemoryDriver

        return MemoryDriver()
    open_one = _s3 if storage.driver == "s3" else _filesystem
    driver = open_one(configuration, read_only)
    if not read_only:
        return driver
    from .drivers.readonly import ReadOnlyDriver

    return ReadOnlyDriver(driver)


def shared_driver(configuration: Configuration, command: str, *, read_only: bool = False) -> Driver:
    """Return a driver of what another process may be using.  Raises BadConfiguration, Unusable."""
    if configuration.settings.storage.driver == "memory":
        raise configuration.fault("storage.driver", f"{command} cannot see the memory of another process")
    return open_driver(configuration, read_only=read_only)


def collection_policy(settings: Settings, *, grace_s: float, dry_run: bool = False) -> Policy:
    """What to collect; ``grace_s`` holds where the settings do not say."""
    from .collect.run import Policy

    chosen = settings.collect
    return Policy(
        delete_untagged=chosen.delete_untagged,
        dry_run=dry_run,
        grace_s=grace_s if chosen.grace_s is None else chosen.grace_s,
        session_age_s=settings.sessions.max_age_s,
        purge_delay_s=chosen.purge_delay_s,
    )


def _filesystem(configuration: Configuration, read_only: bool) -> Driver:
    from .registry.store import filesystem_driver

    storage = configuration.settings.storage
    root = storage.root
    if root is None:
        raise BadConfiguration("storage.root: missing: say by --root which folder to store in")
    driver = filesystem_driver(root, fsync=storage.fsync)
    if read_only:
        try:
            os.listdir(root)
        except OSError as error:
            raise Unusable(f"cannot read {root}: {error.strerror}") from None
        return driver
    try:
        driver.write(f"{layout.SCRATCH}/probe", b"")
        driver.delete(f"{layout.SCRATCH}/probe")
    except OSError as error:
        raise Unusable(f"cannot write to {root}: {error.strerror}") from None
    return driver


def _s3(configuration: Configuration, read_only: bool) -> Driver:
    from .drivers.s3.place import Place
    from .registry.store import s3_driver

    chosen = configuration.settings.storage.s3
    if chosen.bucket is None:
        raise BadConfiguration("storage.s3.bucket: missing: say which bucket to store in")
    if chosen.coordination is None:
        raise BadConfiguration(
            "storage.s3.coordination: missing: say which local folder all processes of this host share"
        )
    secret = chosen.secret_access_key
    place = Place(
        chosen.bucket,
        chosen.endpoint,
        chosen.region,
        chosen.access_key_id,
        None if secret is None else secret.get_secret_value(),
    )
    try:
        return s3_driver(
            place,
            chosen.coordination,
            prefix=chosen.prefix,
            part_size_bytes=chosen.part_size_bytes,
            take_over=chosen.take_over,
            read_only=read_only,
        )
    except DriverError as error:
        raise Unusable(f"cannot use the bucket {chosen.bucket}: {error}") from None
    except OSError as error:
        raise Unusable(f"cannot use {chosen.coordination}: {error.strerror}") from None
