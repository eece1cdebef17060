"""The S3 driver against real S3 servers: what every driver promises, and what this one does besides.

The tests are those that run against moto's server, too, where it is not patched to take smaller parts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.targets.host import WorkFolder
from reference_impl.drivers.base import Driver
from reference_impl.drivers.s3.place import PART_MIN_BYTES
from tests.unit.reference import (
    buckets,
    test_drivers,
    test_s3,
    test_s3_appends,
    test_s3_crash,
    test_s3_refusals,
    test_s3_service,
)
from tests.unit.reference.test_s3_service import serve, shop

from .s3_servers import S3Server, wanted

__all__ = ["serve", "shop"]


def adopted(
    module: ModuleType, *fixtures: str, leaving: Collection[str] = ()
) -> dict[str, Callable[..., Any]]:
    """Return the tests of a module that ask for one of these fixtures, for which there are others here."""
    tests = {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_")
        and name not in leaving
        and set(fixtures) & set(signature(test).parameters)
    }
    assert tests.keys().isdisjoint(globals())
    return tests


globals().update(adopted(test_drivers, "driver"))
globals().update(adopted(test_s3_service, "backend", "serve"))
globals().update(adopted(test_s3_crash, "shop"))
globals().update(
    adopted(
        test_s3_appends,
        "shop",
        leaving={
            "test_any_order_of_steps_is_as_with_a_file",  # gigabytes, in parts of 5 MiB
            "test_the_last_part_there_can_be",
        },
    )
)
globals().update(
    adopted(
        test_s3,
        "shop",
        leaving={
            "test_more_than_a_thousand_parts",
            "test_leftovers_go_and_sessions_stay",  # knows when moto's uploads began
        },
    )
)
globals().update(adopted(test_s3_refusals, "shop", "backend"))


@pytest.fixture(scope="module", params=wanted(), ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    folder = WorkFolder(disk=True)
    try:
        served = request.param(folder.path / "data", folder.path / "log")
        served.open()
        try:
            yield served
        finally:
            served.close()
    finally:
        folder.close()


LISTING_UPLOADS = frozenset(
    {
        "test_parts_and_a_short_last_one",
        "test_more_than_a_thousand_open_uploads",
        "test_an_upload_that_someone_else_aborted_is_a_session_that_is_gone",
    }
)


@pytest.fixture(autouse=True)
def suitable(request: pytest.FixtureRequest, server: S3Server) -> None:
    if not server.lists_uploads and request.node.originalname in LISTING_UPLOADS:
        pytest.skip(f"{type(server).__name__} lists uploads only of one key, and aborts old ones by itself")


@pytest.fixture
def backend(server: S3Server) -> Iterator[S3Server]:
    yield server
    server.ensure()


@pytest.fixture
def driver(server: S3Server, tmp_path: Path) -> Driver:
    return buckets.Shop(server.bucket, str(tmp_path), PART_MIN_BYTES).driver()
