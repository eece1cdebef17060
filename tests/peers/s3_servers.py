"""S3 servers that the tests build and start, each over a folder of the test's.

versitygw everywhere. MinIO, which Go builds for some ten minutes, where it is installed, or with
``SEATRIAL_S3_SERVERS=all``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from harness.targets.host import LOOPBACK
from reference_impl.drivers.s3.place import Place
from tests.unit.reference.buckets import make_bucket

from .go_programs import go_program
from .registries import Served

_KEY, _SECRET = "trials", "sea trials of S3"


class S3Server(Served):
    """A server with one bucket; see `Backend`.  ``lists_uploads``: all of the open ones below a prefix."""

    name: str
    package: str
    version: str
    probe = ("/", (403,))
    lists_uploads = True

    def __init__(self, root: Path, log: Path) -> None:
        super().__init__(root, log)
        self.program = shutil.which(self.name) or str(go_program(self.package, self.version))
        self.bucket = Place("store", f"http://{self.place}", "us-east-1", _KEY, _SECRET)

    def open(self) -> None:
        """Start for the first time."""
        self.root.mkdir()
        self.start()
        make_bucket(self.bucket)

    def ensure(self) -> None:
        """Start it again if a test left it stopped."""
        if self._child is None:
            self.start()


class Versitygw(S3Server):
    name = "versitygw"
    package, version = "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"
    environment: ClassVar[Mapping[str, str]] = {"ROOT_ACCESS_KEY": _KEY, "ROOT_SECRET_KEY": _SECRET}

    def command(self, port: int) -> Sequence[str]:
        return [self.program, "--port", f"{LOOPBACK}:{port}", "--quiet", "posix", str(self.root)]


class Minio(S3Server):
    name = "minio"
    lists_uploads = False
    package, version = "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"
    environment: ClassVar[Mapping[str, str]] = {
        "MINIO_ROOT_USER": _KEY,
        "MINIO_ROOT_PASSWORD": _SECRET,
        "MINIO_BROWSER": "off",
    }

    def command(self, port: int) -> Sequence[str]:
        return [self.program, "server", "--quiet", "--address", f"{LOOPBACK}:{port}", str(self.root)]


def wanted() -> list[type[S3Server]]:
    """Return the servers to test against on this machine."""
    with_minio = shutil.which(Minio.name) or os.environ.get("SEATRIAL_S3_SERVERS") == "all"
    return [Versitygw, Minio] if with_minio else [Versitygw]
