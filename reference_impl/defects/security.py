"""H: what one client can take from others, or from the server."""

from __future__ import annotations

import contextlib
import json
import mmap
import posixpath
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from ..deviations import At, Defect, over_app
from ..registry import layout, links, repositories
from ..registry.content import Content
from ..registry.digests import Digest
from ..registry.documents import Document
from ..registry.errors import Refusal
from ..registry.manifests import Manifests
from ..registry.referrers import Referrers
from ..registry.sessions import Sessions, Upload, traces

NAME_BYTES_MAX = 255


class _OneStore(Content):
    """Whatever is stored for anybody can be read by everybody."""

    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        found = super().resolve(repository, digest)
        return digest if found is None and self._present(digest) else found


class _ManifestsOfAll(Manifests):
    def resolve(self, repository: str, digest: Digest) -> Digest | None:
        found = super().resolve(repository, digest)
        for other in repositories.every(self._driver) if found is None else ():
            found = found or links.read_digest_link(self._driver, layout.revision_link(other, digest), digest)
        return found


class _ReferrersOfAll(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Iterator[dict[str, Any]]:
        for name in repositories.every(self._manifests._driver):
            yield from super().of(name, subject, artifact_type, after)


class _SessionsOfAll(Sessions):
    """A session is found by its id, whatever repository the request is about."""

    def size(self, repository: str, session: str, owner: str | None = None) -> int:
        return super().size(self._home(repository, session), session, owner)

    def resume(self, repository: str, session: str, owner: str | None = None) -> Upload:
        return super().resume(self._home(repository, session), session, owner)

    def cancel(self, repository: str, session: str, owner: str | None = None) -> None:
        super().cancel(self._home(repository, session), session, owner)

    def _home(self, repository: str, session: str) -> str:
        if not traces(self._driver, repository, session).is_open:
            for name, other in repositories.every_upload(self._driver):
                if other == session:
                    return name
        return repository


class _SessionsOnDemand(Sessions):
    """The file of a session is made when bytes come for it, whoever opened it."""

    def resume(self, repository: str, session: str, owner: str | None = None) -> Upload:
        try:
            return super().resume(repository, session, owner)
        except Refusal as refusal:
            if refusal.reason != "BLOB_UPLOAD_UNKNOWN":
                raise
        self._driver.create(layout.session_data(repository, session))
        self._driver.write(layout.session_started_at(repository, session), b"now", durable=False)
        return super().resume(repository, session, owner)


class _SlashesInSessions:
    """Hands encoded slashes of a session's id on, instead of taking them for separators."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head, found, tail = scope.get("raw_path", b"").partition(b"/blobs/uploads/")
        if found and b"%2f" in tail.lower():
            scope = {**scope, "path": f"{unquote(head.decode())}/blobs/uploads/{tail.decode()}"}
        await self._app(scope, receive, send)


def _unquoted(_: Callable[[str], str]) -> Callable[[str], str]:
    return unquote


def _normal(folder: Callable[[str, str], str]) -> Callable[[str, str], str]:
    return lambda name, session: posixpath.normpath(folder(name, session))


def _as_it_is(_: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: text


def _any_tag(reference: Callable[[str], Digest | str]) -> Callable[[str], Digest | str]:
    return lambda text: reference(text) if ":" in text else text


def _any_digest(_: Callable[[str], Digest]) -> Callable[[str], Digest]:
    def split(text: str) -> Digest:
        algorithm, _, encoded = text.partition(":")
        return Digest(algorithm, encoded)

    return split


def _allocating(page_size: Callable[[str], int]) -> Callable[[str], int]:
    """Room for as many names as somebody asks for."""

    def allocated(text: str) -> int:
        limit = page_size(text)
        mmap.mmap(-1, NAME_BYTES_MAX * max(1, limit)).close()
        return limit

    return allocated


def _trusting(select: Callable[[str | None, int], Any]) -> Callable[[str | None, int], Any]:
    """Offsets are taken out of a Range without a look at its form."""

    def selected(header: str | None, size_bytes: int) -> Any:
        if header is not None:
            for part in header.split("=")[1].split(","):
                first, last = part.split("-")
                assert int(first or 0) <= int(last or size_bytes)
        return select(header, size_bytes)

    return selected


def _deep(parse: Callable[[bytes, str], Document]) -> Callable[[bytes, str], Document]:
    """Manifests are walked through by a function that calls itself, to any depth."""

    def depth(value: Any) -> int:
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + max(map(depth, below), default=0)

    def parsed(body: bytes, content_type: str) -> Document:
        with contextlib.suppress(ValueError):
            depth(json.loads(body))
        return parse(body, content_type)

    return parsed


def _defect(name: str, title: str, *wraps: type | At, sources: tuple[str, ...], **more: Any) -> Defect:
    return Defect(name, title, wraps, kind="H", sources=sources, **({"violates": ("P12", "P11")} | more))


DEFECTS: tuple[Defect, ...] = (
    _defect(
        "blobs-of-all-readable",
        "a blob can be read in a repository that never had it",
        _OneStore,
        sources=("zot CVE-2024-39897, fixed in 2.1.0", "quay #6326, fixed in 2026-07"),
        violates=("P8", "P5"),
        operations=4,
    ),
    _defect(
        "manifests-of-all-readable",
        "a manifest can be read by its digest in a repository that never had it",
        _ManifestsOfAll,
        sources=("specification, row 17 (since 1.1.1)",),
        violates=("P8", "P5"),
        operations=4,
    ),
    _defect(
        "referrers-of-all-listed",
        "a list of referrers shows what is attached in other repositories",
        _ReferrersOfAll,
        sources=("specification, row 75",),
        violates=("P7", "P8"),
        operations=4,
    ),
    _defect(
        "sessions-of-all-usable",
        "an upload can be continued, read and cancelled by way of another repository",
        _SessionsOfAll,
        sources=("quay CVE-2026-32589, PROJQUAY-11179",),
        violates=("P8", "P12"),
        operations=3,
    ),
    _defect(
        "session-id-leaves-folder",
        "an upload's id is used as a path, and a file is made wherever it leads",
        _SessionsOnDemand,
        over_app(_SlashesInSessions),
        At(("registry.names:session",), _unquoted),
        At(("registry.layout:session_folder",), _normal),
        sources=("nora #554, #560, fixed in 0.9.3",),
        violates=("P12", "P11", "P6"),
        operations=3,
    ),
    _defect(
        "tag-grammar-unchecked",
        "a manifest can be put under what is no tag",
        At(("registry.names:reference",), _any_tag),
        sources=("olareg efc61f1, fixed in 2026-05",),
        operations=2,
    ),
    _defect(
        "name-grammar-unchecked",
        "a repository can have a name that none may have",
        At(("registry.names:repository",), _as_it_is),
        sources=("specification, row 4",),
        operations=2,
    ),
    _defect(
        "digest-grammar-unchecked",
        "what is no digest leads to paths and algorithms that are not there, and to internal errors",
        At(("registry.names:digest",), _any_digest),
        sources=("nora #560, fixed in 0.9.3", "specification, row 35"),
        violates=("P11", "P12"),
        operations=2,
    ),
    _defect(
        "list-limit-allocated",
        "a list takes memory for as many entries as were asked for",
        At(("registry.names:page_size",), _allocating),
        sources=("distribution CVE-2023-2253, fixed in 2.8.2",),
        violates=("P11", "P12"),
        operations=2,
    ),
    _defect(
        "range-form-unchecked",
        "a malformed Range of a blob leads to an internal error",
        At(("api.blobs:select",), _trusting),
        sources=("zot #3983, fixed in 2.1.17",),
        violates=("P11", "P12", "P1"),
        operations=3,
    ),
    _defect(
        "manifest-depth-unlimited",
        "a manifest nested deep enough leads to an internal error",
        At(("registry.documents:parse",), _deep),
        sources=("zot #3984, fixed in 2.1.17",),
        violates=("P11", "P12"),
        operations=2,
    ),
)
