"""The storage that the settings name: opening it, and what a collector removes there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .configuration import BadConfiguration, Configuration
from .drivers.base import Driver
from .registry import layout
from .settings import Settings

if TYPE_CHECKING:
    from .collect.run import Policy


class Unusable(Exception):
    """What is there cannot be used as it is: one line."""


def open_driver(configuration: Configuration) -> Driver:
    """Return the driver, after a look at whether it can be used.  Raises BadConfiguration, Unusable."""
    storage = configuration.settings.storage
    if storage.driver == "memory":
        from .drivers.memory import MemoryDriver

        return MemoryDriver()
    driver = _s3(configuration) if storage.driver == "s3" else _filesystem(configuration)
    if not storage.read_only:
        return driver
    from .drivers.readonly import ReadOnlyDriver

    return ReadOnlyDriver(driver)


def shared_driver(configuration: Configuration, command: str) -> Driver:
    """Return a driver that another process may be using.  Raises BadConfiguration, Unusable."""
    if configuration.settings.storage.driver == "memory":
        raise configuration.fault("storage.driver", f"{command} cannot see the memory of another process")
    return open_driver(configuration)


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


def _filesystem(configuration: Configuration) -> Driver:
    from .registry.store import filesystem_driver

    storage = configuration.settings.storage
    root = storage.root
    if root is None:
        raise BadConfiguration("storage.root: missing: say by --root which folder to store in")
    driver = filesystem_driver(root, fsync=storage.fsync)
    if storage.read_only:
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


def _s3(configuration: Configuration) -> Driver:
    raise Unusable("the driver s3 is not built in")
