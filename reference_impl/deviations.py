"""What a deviation from the reference is, and the seams where one is put in.

A deviation is a *defect*, after one that a real registry had, or a *variant*, a way in which registries
differ lawfully.  Both are small classes and functions around what the reference has, put in before a command
runs.  The reference's own code knows nothing of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api import blobs, catalog
from .api import manifests as manifest_endpoints
from .api import referrers as referrer_endpoints
from .api import tags as tag_endpoints
from .api import uploads as upload_endpoints
from .collect import mark, run
from .drivers import filesystem
from .drivers.base import Driver
from .registry import content, manifests, mounts, referrers, sessions, tags

PACKAGE = __name__.rpartition(".")[0]

SEAMS: dict[type, tuple[str, ...]] = {
    content.Content: ("registry.store:Content",),
    sessions.Sessions: ("registry.store:Sessions",),
    sessions.Upload: ("registry.sessions:Upload",),
    tags.Tags: ("registry.store:Tags",),
    manifests.Manifests: ("registry.store:Manifests",),
    referrers.Referrers: ("registry.store:Referrers",),
    mounts.Mounts: ("registry.store:Mounts",),
    filesystem.FilesystemDriver: ("registry.store:FilesystemDriver",),
    blobs.Blobs: ("api.app:Blobs",),
    upload_endpoints.Uploads: ("api.app:Uploads",),
    manifest_endpoints.Manifests: ("api.app:Manifests",),
    tag_endpoints.Tags: ("api.app:Tags",),
    catalog.Catalog: ("api.app:Catalog",),
    referrer_endpoints.Referrers: ("api.app:Referrers",),
    run.Collection: ("collect.interval:Collection", "collect.command:Collection"),
    mark.Marker: ("collect.run:Marker",),
}
"""For each class that can be extended, where the reference looks it up: module and attribute."""

OPEN_DRIVER = ("stores:open_driver", "service:open_driver")
BUILD_APP = ("service:build",)


@dataclass(frozen=True, slots=True)
class At:
    """Something put around a function; ``places`` are as in `SEAMS`, ``around`` gets what is there."""

    places: tuple[str, ...]
    around: Callable[[Any], Any]


Wrap = type | At
"""A class that extends one of `SEAMS`, or something around a function."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """``name`` is for command lines, ``title`` says in one line what differs."""

    name: str
    title: str
    wraps: tuple[Wrap, ...]


@dataclass(frozen=True, slots=True)
class Defect(Deviation):
    """A defect that a real registry had.

    ``kind`` is its class: A collection, B uploads, C manifests, tags and referrers, D mounts, E deletion,
    F caches and healing, G crashes and storage, H security, I listing.  ``sources`` name registry and report,
    or a row of the specification.  ``violates`` are the properties, P1 to P12, that a finding may name; the
    first is the usual one.  ``needs`` is what must happen beside requests: nothing, ``concurrency``,
    ``collect``, ``kill``, ``power``, ``storage``, ``network`` or ``time``.  ``operations`` is how many a
    shrunk plan may have at most, ``plans`` in how many plans of its property it must have been seen;
    ``target`` is the registry of the harness' catalogue that can have it; ``rare`` says why a default run
    mostly misses it, where it does.
    """

    kind: str
    sources: tuple[str, ...]
    violates: tuple[str, ...]
    needs: tuple[str, ...] = ()
    target: str = "reference"
    rare: str = ""
    operations: int = 6
    plans: int = 100


@dataclass(frozen=True, slots=True)
class Variant(Deviation):
    """A lawful difference; ``allowed_by`` says where that is written.

    ``promises`` are what such a registry declares, as ``name=value``; without them it would be held to more.
    """

    allowed_by: tuple[str, ...]
    promises: tuple[str, ...] = ()


D = TypeVar("D", bound=Deviation)


def by_name(*deviations: D) -> dict[str, D]:
    """A table of them.  Raises ValueError if two have one name."""
    table = {one.name: one for one in deviations}
    if len(table) != len(deviations):
        raise ValueError(f"two deviations have one name: {[one.name for one in deviations]}")
    return table


class Through:
    """A driver that hands everything on; one that differs extends it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)


def over_driver(through: Callable[[Driver], Any]) -> At:
    """Put something between the registry and its driver."""

    def around(open_driver: Callable[..., Driver]) -> Callable[..., Any]:
        return lambda *args, **kwargs: through(open_driver(*args, **kwargs))

    return At(OPEN_DRIVER, around)


def over_app(middleware: Callable[[ASGIApp], ASGIApp]) -> At:
    """Put something between the server and the registry."""

    def around(build: Callable[..., ASGIApp]) -> Callable[..., ASGIApp]:
        return lambda *args, **kwargs: middleware(build(*args, **kwargs))

    return At(BUILD_APP, around)


def announce(deviations: Sequence[Deviation]) -> None:
    """Leave no doubt that this is not the reference as it should be."""
    names = ", ".join(one.name for one in deviations)
    for one in deviations:
        what = "DEFECTIVE" if isinstance(one, Defect) else "different"
        print(f"reference_impl: this registry is {what} on purpose: {one.name}: {one.title}", file=sys.stderr)
    sys.stderr.flush()
    put_in([Deviation("label", "every answer names them", (over_app(lambda app: _Labelled(app, names)),))])


class _Labelled:
    def __init__(self, app: ASGIApp, names: str) -> None:
        self._app = app
        self._label = (b"x-reference-deviates", names.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._label]}
            await send(message)

        await self._app(scope, receive, labelled)


def put_in(deviations: Sequence[Deviation]) -> None:
    """Make this process deviate.  Later ones are around earlier ones."""
    for deviation in deviations:
        for wrap in deviation.wraps:
            for place in wrap.places if isinstance(wrap, At) else seam(wrap):
                name, _, attribute = place.partition(":")
                module = importlib.import_module(f"{PACKAGE}.{name}")
                here = getattr(module, attribute)
                setattr(
                    module, attribute, wrap.around(here) if isinstance(wrap, At) else extended(here, wrap)
                )


def seam(extension: type) -> tuple[str, ...]:
    """Where the class is looked up that this one extends.  Raises TypeError if that is no seam."""
    for base in extension.__mro__[1:]:
        if base in SEAMS:
            return SEAMS[base]
    raise TypeError(f"{extension.__name__} extends no class of SEAMS")


def extended(here: type, extension: type) -> type:
    """The class that is in place, with an extension over it; both may extend the same one."""
    if issubclass(extension, here):
        return extension
    return type(f"{extension.__name__}{here.__name__}", (extension, here), {})
