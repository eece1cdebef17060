"""Buckets for the tests: of moto's server, in this process."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3.session
from moto.server import ThreadedMotoServer

from reference_impl.drivers.s3.driver import S3Driver
from reference_impl.drivers.s3.place import Place
from reference_impl.registry import layout

OWNER = f"{layout.PRIVATE}/owner"

_session = boto3.session.Session()
_numbers = itertools.count()


@contextmanager
def moto_server() -> Iterator[Place]:
    """Serve S3; yields a bucket there."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        place = Place("store", f"http://{host}:{port}", "us-east-1", "key", "secret")
        make_bucket(place)
        yield place
    finally:
        server.stop()


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
