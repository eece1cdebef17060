"""The library's client for S3."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import boto3.session
from botocore.config import Config

from .place import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_session_guard = Lock()


def make_client(place: Place, timeout_s: float) -> S3Client:
    """Return a client that waits so long for an answer.  Any thread may use it."""
    region = place.region or ("us-east-1" if place.endpoint else None)
    config = Config(
        connect_timeout=place.connect_timeout_s,
        read_timeout=timeout_s,
        retries={"mode": "standard", "total_max_attempts": place.attempts},
        max_pool_connections=place.connections,
        s3={"addressing_style": "path" if place.endpoint else "auto"},
        # Many servers know none of the newer checksums; the registry checks digests by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _session_guard:  # a session may be used by one thread at a time, its clients by all
        return _session().client(
            "s3",
            region_name=region,
            endpoint_url=place.endpoint,
            aws_access_key_id=place.access_key_id,
            aws_secret_access_key=place.secret_access_key,
            config=config,
        )


@cache
def _session() -> boto3.session.Session:
    """One for all: it takes long to read the description of S3."""
    return boto3.session.Session()
