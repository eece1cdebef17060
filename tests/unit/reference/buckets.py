"""Buckets for the tests, and servers that have them."""

from __future__ import annotations

import itertools
import logging
import random
from dataclasses import replace
from typing import Any, Protocol

import boto3.session
from moto.server import ThreadedMotoServer

from reference_impl.drivers.s3.driver import S3Driver
from reference_impl.drivers.s3.place import PART_MIN_BYTES, Place
from reference_impl.registry import layout

OWNER = f"{layout.PRIVATE}/owner"

_session = boto3.session.Session()
_numbers = itertools.count()


class Backend(Protocol):
    """A server with a bucket.  It can be stopped, and started again at the same port over the same data."""

    bucket: Place

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Moto:
    """moto's server, in this process; its data are of the process."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._port = 0
        self.start()
        self.bucket = Place(
            f"store-{self._port}", f"http://127.0.0.1:{self._port}", "us-east-1", "key", "secret"
        )
        make_bucket(self.bucket)

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        self._server.stop()


def make_bucket(place: Place) -> None:
    client(place).create_bucket(Bucket=place.bucket)


def client(place: Place) -> Any:
    """A client of the test's own."""
    return _session.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=place.access_key_id,
        aws_secret_access_key=place.secret_access_key,
    )


def fresh_prefix() -> str:
    return f"test-{next(_numbers)}/"


def s3_driver(place: Place, coordination: str, prefix: str, **options: Any) -> S3Driver:
    """A driver as the registry makes it, but below any prefix, and with parts as small as one likes."""
    return S3Driver(
        place,
        coordination,
        prefix=prefix,
        scratch=layout.SCRATCH,
        leased=layout.BLOBS,
        owner=OWNER,
        **options,
    )


def server_options(place: Place, coordination: str, prefix: str) -> list[str]:
    """Options to serve or collect below a prefix, as few as a test can do with."""
    chosen = {
        "bucket": place.bucket,
        "endpoint": place.endpoint,
        "access_key_id": place.access_key_id,
        "secret_access_key": place.secret_access_key,
        "prefix": prefix,
        "coordination": coordination,
        "part_size_bytes": PART_MIN_BYTES,
    }
    settings = [f"--set=storage.s3.{name}={value}" for name, value in chosen.items()]
    return ["--driver", "s3", *settings]


class Shop:
    """A bucket, and a prefix there, that drivers come and go at, as processes do."""

    def __init__(self, place: Place, folder: str, part_bytes: int) -> None:
        self.place = place
        self.folder = folder
        self.part_bytes = part_bytes
        self.prefix = fresh_prefix()
        self.client = client(place)

    def driver(self, folder: str | None = None, **place: Any) -> S3Driver:
        return s3_driver(
            replace(self.place, **place), folder or self.folder, self.prefix, part_size_bytes=self.part_bytes
        )

    def bytes(self, parts: float, salt: int = 0) -> bytes:
        """So many parts' worth of bytes, no two blocks alike."""
        return random.Random(salt).randbytes(round(parts * self.part_bytes))

    def stored(self, below: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.place.bucket, Prefix=self.prefix + below
        )
        return [one["Key"].removeprefix(self.prefix) for page in pages for one in page.get("Contents", [])]

    def uploads(self) -> list[tuple[str, str]]:
        """Key and id of all open multipart uploads below the prefix."""
        answer = self.client.list_multipart_uploads(Bucket=self.place.bucket, Prefix=self.prefix)
        return [(one["Key"], one["UploadId"]) for one in answer.get("Uploads", [])]
