"""G: what a registry makes of a storage service that does not answer for a while."""

from __future__ import annotations

from ..deviations import Defect, Through, over_driver
from ..drivers.base import Appender, Driver, Unavailable


class _Queue(Through):
    """A write that the service did not take is kept, to be sent before the next one."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.waiting: dict[str, bytes] = {}

    def append(self, path: str) -> _Queued:
        return _Queued(self.driver.append(path), path, self.waiting)


class _Queued(Through):
    def __init__(self, appender: Appender, path: str, waiting: dict[str, bytes]) -> None:
        self.driver: Appender = appender  # type: ignore[assignment]
        self._path, self._waiting = path, waiting
        self._written = b""

    def write(self, data: bytes) -> None:
        if late := self._waiting.pop(self._path, b""):
            self.driver.write(late)
        self.driver.write(data)
        self._written += data

    def sync(self) -> None:
        try:
            self.driver.sync()
        except Unavailable:  # that some of it may have arrived is forgotten
            self._waiting[self._path] = self._written
            raise


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "backend-retry-appends-twice",
        "what the storage service did not acknowledge is appended again with the next chunk, stored or not",
        (over_driver(_Queue),),
        kind="G",
        sources=("jib #4526 (the client's side)", "distribution #3755, fixed in 3.0.0 (stale upload state)"),
        violates=("P6", "P3"),
        needs=("network",),
        target="reference-s3",
        rare="needs a Toxiproxy, and a chunk stored without an answer; tests/peers has the plan",
    ),
)
