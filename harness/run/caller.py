"""Calls: what a client can ask of a registry, each written down before it is sent.

A `Caller` belongs to one operation in one lane. It knows the endpoints and how to follow a ``Location``; it
judges nothing. What the server handed out (session locations) is kept in `Shared`, for all lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from harness.checkers.protocol.answer import next_links
from harness.history import Exchange
from harness.plan.content import ALL_MANIFEST_TYPES, Symbols
from harness.plan.operation import Lane
from harness.run.journal import Journal
from harness.run.shared import BlobSource, Sent, Shared
from harness.run.stops import OperationStops
from harness.wire import Answer, Client, Request, Source, bytes_source

OCTETS = ("content-type", "application/octet-stream")
ACCEPT_ALL = ("accept", ", ".join(ALL_MANIFEST_TYPES))


class Caller:
    """``base_url`` without a trailing slash."""

    def __init__(
        self,
        op: str,
        lane: Lane,
        client: Client,
        journal: Journal,
        symbols: Symbols,
        shared: Shared,
        base_url: str,
        stops: OperationStops | None = None,
    ) -> None:
        self.op, self.lane = op, lane
        self.client, self.journal, self.symbols, self.shared = client, journal, symbols, shared
        self.base_url = base_url
        self.stops = stops

    def url(self, path: str) -> str:
        return f"{self.base_url}{path}"

    def send(
        self,
        call: str,
        about: Mapping[str, Any],
        method: str,
        target: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: Source | None = None,
        chunked: bool = False,
        sha512: bool = False,
        raw_target: bool = False,
    ) -> Exchange:
        """One exchange. ``target`` is a path on the registry or an absolute URL."""
        request = Request(
            method,
            target if raw_target or "://" in target else self.url(target),
            headers,
            body,
            chunked,
            digests=("sha256", "sha512") if sha512 else ("sha256",),
        )
        return self.send_request(call, about, request)

    def send_request(self, call: str, about: Mapping[str, Any], request: Request) -> Exchange:
        self.shared.check()
        stops = self.stops.stops(request.method, request.body is not None) if self.stops else ()
        cut_before = self.stops is not None and self.stops.cut_done is not None
        size = request.body.size_bytes if request.body is not None else 0
        index = self.journal.invoke(
            self.op, self.lane, call, about, request.method, request.target, request.headers, size
        )
        self.shared.sent[self.op] = Sent(call, about, request, index)
        answer: Answer = self.client.send(replace(request, stops=stops) if stops else request)
        self.shared.heard(answer.error)
        cut = self.stops.cut_done if self.stops and not cut_before else None
        exchange = self.journal.complete(index, answer, cut)
        self._learn(exchange)
        return exchange

    def location(self, repo: str, upload: str) -> str | None:
        """Where to send what is for a session; `None` where it was never opened. For another repository than
        the session's own, the same place with that repository's name: it must not be served there."""
        location, home = self.shared.locations.get(upload), self.shared.homes.get(upload)
        if location is None or home is None or home == repo:
            return location
        own, other = (f"/v2/{self.symbols.repo(name)}/" for name in (home, repo))
        return location.replace(own, other, 1) if own in location else None

    def _learn(self, exchange: Exchange) -> None:
        upload = exchange.about.get("upload")
        if (
            upload is None
            or exchange.status not in (202, 204)
            or exchange.method == "DELETE"
            or "repo" not in exchange.about
        ):
            return
        location = exchange.header("location")
        if location:
            base = exchange.target if "://" in exchange.target else self.url(exchange.target)
            self.shared.remember(upload, exchange.about["repo"], urljoin(base, location))

    # --- blobs ---------------------------------------------------------------------------------------------

    def blob(self, method: str, repo: str, digest: str, *, name: str | None = None, **extra: Any) -> Exchange:
        """GET, HEAD or DELETE of a blob; ``first``/``last`` ask for a range."""
        about: dict[str, Any] = {"repo": repo, "digest": digest, **extra}
        if name is not None:
            about["blob"] = name
        headers: tuple[tuple[str, str], ...] = ()
        if "first" in extra or "last" in extra:
            headers = (("range", f"bytes={extra.get('first', '')}-{extra.get('last', '')}"),)
        return self.send(
            f"blob.{method.lower()}",
            about,
            method,
            f"/v2/{self.symbols.repo(repo)}/blobs/{digest}",
            headers=headers,
            sha512=digest.startswith("sha512:"),
        )

    def post_upload(self, repo: str, upload: str, *, alg: str = "sha256") -> Exchange:
        query = f"?digest-algorithm={alg}" if alg != "sha256" else ""
        return self.send(
            "upload.post",
            {"repo": repo, "upload": upload, "alg": alg},
            "POST",
            f"/v2/{self.symbols.repo(repo)}/blobs/uploads/{query}",
            headers=(("content-length", "0"),),
        )

    def single_post(self, repo: str, upload: str, blob: str, declared: str) -> Exchange:
        digest = self.symbols.blob_digest(declared)
        size = self.symbols.blob_size_bytes(blob)
        about = {
            "repo": repo,
            "upload": upload,
            "blob": blob,
            "digest": digest,
            "first": 0,
            "size": size,
            "right": digest == self.symbols.blob_digest(blob),
        }
        path = f"/v2/{self.symbols.repo(repo)}/blobs/uploads/?{urlencode({'digest': digest})}"
        return self.send(
            "upload.single",
            about,
            "POST",
            path,
            headers=(OCTETS,),
            body=BlobSource(self.symbols, blob, 0, size),
        )

    def mount(self, repo: str, upload: str, blob: str, source: str | None) -> Exchange:
        digest = self.symbols.blob_digest(blob)
        query = {"mount": digest}
        about: dict[str, Any] = {"repo": repo, "upload": upload, "blob": blob, "digest": digest}
        if source is not None:
            query["from"] = self.symbols.repo(source)
            about["source"] = source
        path = f"/v2/{self.symbols.repo(repo)}/blobs/uploads/?{urlencode(query)}"
        return self.send("upload.mount", about, "POST", path, headers=(("content-length", "0"),))

    def patch(
        self,
        repo: str,
        upload: str,
        blob: str,
        first: int,
        size: int,
        *,
        claim: int | None,
        chunked: bool = False,
    ) -> Exchange | None:
        """PATCH; ``claim`` is the first offset that Content-Range claims, `None` leaves the header out.
        Nothing, where the session was never opened."""
        location = self.location(repo, upload)
        if location is None:
            return None
        headers = [OCTETS]
        size = self._within(blob, first, size)
        about = {"repo": repo, "upload": upload, "blob": blob, "first": first, "size": size}
        if claim is not None and size:
            about["claim"] = claim
            headers.append(("content-range", f"{claim}-{claim + size - 1}"))
        return self.send(
            "upload.patch",
            about,
            "PATCH",
            location,
            headers=tuple(headers),
            body=BlobSource(self.symbols, blob, first, size),
            chunked=chunked,
        )

    def put_upload(
        self,
        repo: str,
        upload: str,
        blob: str,
        *,
        declared: str | None = None,
        first: int | None = None,
        size: int = 0,
        claim: int | None = None,
    ) -> Exchange | None:
        """PUT that commits a session, with bytes first … first+size-1 of the blob in it where given."""
        location = self.location(repo, upload)
        if location is None:
            return None
        digest = self.symbols.blob_digest(declared or blob)
        about: dict[str, Any] = {
            "repo": repo,
            "upload": upload,
            "blob": blob,
            "digest": digest,
            "right": digest == self.symbols.blob_digest(blob),
        }
        headers: list[tuple[str, str]] = []
        body: Source | None = None
        if first is not None:
            size = self._within(blob, first, size)
            about |= {"first": first, "size": size}
            headers.append(OCTETS)
            body = BlobSource(self.symbols, blob, first, size)
            if claim is not None and size:
                about["claim"] = claim
                headers.append(("content-range", f"{claim}-{claim + size - 1}"))
        else:
            headers.append(("content-length", "0"))
        query = urlencode({"digest": digest})
        target = f"{location}{'&' if urlsplit(location).query else '?'}{query}"
        return self.send("upload.put", about, "PUT", target, headers=tuple(headers), body=body)

    def _within(self, blob: str, first: int, size: int) -> int:
        """How many of these bytes the blob has."""
        return max(0, min(size, self.symbols.blob_size_bytes(blob) - first))

    def session(self, method: str, repo: str, upload: str) -> Exchange | None:
        """GET (status) or DELETE (cancel) of a session."""
        location = self.location(repo, upload)
        if location is None:
            return None
        call = "upload.get" if method == "GET" else "upload.cancel"
        return self.send(call, {"repo": repo, "upload": upload}, method, location)

    # --- manifests -----------------------------------------------------------------------------------------

    def manifest(
        self,
        method: str,
        repo: str,
        *,
        tag: str | None = None,
        digest: str | None = None,
        name: str | None = None,
        accept: str | None = None,
        **extra: Any,
    ) -> Exchange:
        """GET, HEAD or DELETE by tag or by digest. ``accept``: `None` for all four types, ``"none"`` for no
        header, anything else as it is."""
        about: dict[str, Any] = {"repo": repo, **extra}
        if name is not None:
            about["manifest"] = name
        if tag is not None:
            about["tag"] = tag
        if digest is not None:
            about["digest"] = digest
        headers: tuple[tuple[str, str], ...] = ()
        if method != "DELETE":
            headers = () if accept == "none" else (ACCEPT_ALL if accept is None else ("accept", accept),)
            if accept is not None:
                about["accept"] = accept
        call = f"manifest.{method.lower()}"
        if method == "DELETE" and tag is not None:
            call = "tag.delete"
        reference = tag if tag is not None else digest
        return self.send(
            call,
            about,
            method,
            f"/v2/{self.symbols.repo(repo)}/manifests/{reference}",
            headers=headers,
            sha512=bool(digest and digest.startswith("sha512:")),
        )

    def put_manifest(
        self, repo: str, name: str, *, tag: str | None = None, tags: tuple[str, ...] = ()
    ) -> Exchange:
        data = self.symbols.manifest(name)
        digest = self.symbols.manifest_digest(name, "sha256" if tag is not None else None)
        about: dict[str, Any] = {"repo": repo, "manifest": name, "digest": digest}
        path = f"/v2/{self.symbols.repo(repo)}/manifests/{tag if tag is not None else digest}"
        if tag is not None:
            about["tag"] = tag
        if tags:
            about["tags"] = list(tags)
            path += "?" + urlencode([("tag", t) for t in tags])
        return self.send(
            "manifest.put",
            about,
            "PUT",
            path,
            headers=(("content-type", self.symbols.media_type(name)),),
            body=bytes_source(data),
        )

    # --- discovery -----------------------------------------------------------------------------------------

    def tags(
        self, repo: str, *, n: int | None = None, last: str | None = None, pages_max: int = 1
    ) -> list[Exchange]:
        query = {k: v for k, v in (("n", n), ("last", last)) if v is not None}
        path = f"/v2/{self.symbols.repo(repo)}/tags/list" + (f"?{urlencode(query)}" if query else "")
        return self._pages("tags.list", {"repo": repo, **query}, path, pages_max)

    def referrers(
        self, repo: str, name: str, *, type_: str | None = None, pages_max: int = 1
    ) -> list[Exchange]:
        digest = self.symbols.manifest_digest(name)
        about: dict[str, Any] = {"repo": repo, "manifest": name, "digest": digest}
        path = f"/v2/{self.symbols.repo(repo)}/referrers/{digest}"
        if type_ is not None:
            about["type"] = type_
            path += f"?artifactType={quote(type_, safe='')}"
        return self._pages("referrers.list", about, path, pages_max)

    def _pages(self, call: str, about: Mapping[str, Any], path: str, pages_max: int) -> list[Exchange]:
        found: list[Exchange] = []
        target: str | None = path
        while target is not None and len(found) < pages_max:
            exchange = self.send(call, {**about, "page": len(found) + 1}, "GET", target)
            found.append(exchange)
            base = target if "://" in target else self.url(target)
            target = next_page(exchange.header_list("link"), base)
        return found


def next_page(links: list[str], base: str) -> str | None:
    """The first place that a ``Link`` calls the next page, absolute; `None` where there is none."""
    return next((urljoin(base, target) for target in next_links(links)), None)
