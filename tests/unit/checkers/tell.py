"""Histories told step by step, for tests: no server, no clock.

Each step takes ten ticks, five of them between invocation and answer; ``at=(start, end)`` places a step
elsewhere, so that steps can overlap. Names are symbolic; answers are right unless a test says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checkers import CHECKERS, judge
from harness.checkers.finding import Finding
from harness.history import (
    ABILITIES,
    FOREVER_NS,
    Abilities,
    Body,
    Control,
    Exchange,
    History,
    Promises,
)
from harness.plan.content import ALL_MANIFEST_TYPES, OCI_INDEX, BlobSpec, ManifestSpec, Symbols
from harness.plan.operation import Lane, Operation
from harness.plan.plan import Plan

ALL = frozenset(ABILITIES) - {"missing-blobs-refused"}
CONTROLS = frozenset({"kill", "restart", "pause", "collect"})
OFFLINE = Promises(collection="offline", untagged_collected=True)
WORDS = {"GET": "get", "HEAD": "head", "DELETE": "delete"}

Span = tuple[int, int]
Raw = bytes | None


def body_of(data: bytes) -> Body:
    """The record of a body, as the wire makes it."""
    try:
        text: str | None = data.decode()
    except UnicodeDecodeError:
        text = None
    return Body(len(data), hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest(), text)


@dataclass
class Tale:
    """A history under way. Every step returns its exchange."""

    blobs: Mapping[str, BlobSpec] = field(default_factory=dict)
    manifests: Mapping[str, ManifestSpec] = field(default_factory=dict)
    promises: Promises = OFFLINE
    supports: frozenset[str] = ALL
    controls_of: frozenset[str] = CONTROLS
    now: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)

    @property
    def symbols(self) -> Symbols:
        return Symbols("salt", "ns", self.blobs, self.manifests)

    # --- the plain step ------------------------------------------------------------------------------------

    def step(
        self,
        call: str,
        method: str,
        path: str,
        status: int | None = 200,
        *,
        at: Span | None = None,
        op: str | None = None,
        lane: Lane = 1,
        body: Raw = None,
        headers: Mapping[str, str] | None = None,
        sent: int = 0,
        error: str | None = None,
        cut: str | None = None,
        **about: Any,
    ) -> Exchange:
        start, end = at if at is not None else (self.now, self.now + 5)
        self.now = max(self.now, min(end, start + 5) if end >= FOREVER_NS else end) + 5
        index = len(self.exchanges)
        accept = (("accept", ", ".join(ALL_MANIFEST_TYPES)),) if call.startswith("manifest") else ()
        exchange = Exchange(
            index,
            op or f"{call}{index}",
            lane,
            call,
            {k: v for k, v in about.items() if v is not None},
            method,
            path,
            accept if method in ("GET", "HEAD") else (),
            0,
            start,
            end,
            sent,
            None if error is not None and status == 200 else status,
            tuple((headers or {}).items()),
            None if body is None else body_of(body),
            error,
            "",
            cut,
        )
        self.exchanges.append(exchange)
        return exchange

    def control(self, what: str, op: str = "", **data: Any) -> None:
        self.controls.append(Control(what, self.now, op, "operator", data))
        self.now += 5

    def path(self, repo: str, rest: str) -> str:
        return f"http://registry/v2/{self.symbols.repo(repo)}/{rest}"

    # --- blobs ---------------------------------------------------------------------------------------------

    def push(
        self, repo: str, blob: str, status: int | None = 201, *, declare: str | None = None, **more: Any
    ) -> Exchange:
        """A single POST; ``declare`` another blob's digest."""
        digest = self.symbols.blob_digest(declare or blob)
        size = self.symbols.blob_size_bytes(blob)
        return self.step(
            "upload.single", "POST", self.path(repo, "blobs/uploads/"), status, repo=repo, blob=blob,
            digest=digest,
            first=0, size=size, right=declare is None, upload=f"s{len(self.exchanges)}", **more,
        )  # fmt: skip

    def mount(self, repo: str, blob: str, source: str, status: int | None = 201, **more: Any) -> Exchange:
        return self.step(
            "upload.mount", "POST", self.path(repo, "blobs/uploads/"), status, repo=repo, blob=blob,
            source=source,
            digest=self.symbols.blob_digest(blob), upload=f"s{len(self.exchanges)}", **more,
        )  # fmt: skip

    def blob(self, method: str, repo: str, blob: str, status: int | None, **more: Any) -> Exchange:
        digest = more.pop("digest", self.symbols.blob_digest(blob))
        path = self.path(repo, f"blobs/{digest}")
        call = f"blob.{WORDS[method]}"
        return self.step(call, method, path, status, repo=repo, blob=blob, digest=digest, **more)

    def pull(self, repo: str, blob: str, status: int | None = 200, body: Raw = None, **more: Any) -> Exchange:
        """GET; with the right bytes, unless ``body`` says others."""
        if status == 200 and body is None and "error" not in more:
            body = self.symbols.blob(blob)
        return self.blob("GET", repo, blob, status, body=body, **more)

    def head(self, repo: str, blob: str, status: int | None = 200, **more: Any) -> Exchange:
        return self.blob("HEAD", repo, blob, status, **more)

    def drop(self, repo: str, blob: str, status: int | None = 202, **more: Any) -> Exchange:
        return self.blob("DELETE", repo, blob, status, **more)

    # --- upload sessions -----------------------------------------------------------------------------------

    def open(self, repo: str, upload: str = "u", status: int | None = 202, **more: Any) -> Exchange:
        path = self.path(repo, "blobs/uploads/")
        return self.step("upload.post", "POST", path, status, repo=repo, upload=upload, **more)

    def session(
        self, call: str, method: str, repo: str, status: int | None, upload: str, **more: Any
    ) -> Exchange:
        path = self.path(more.pop("path_repo", repo), f"blobs/uploads/{upload}")
        return self.step(f"upload.{call}", method, path, status, repo=repo, upload=upload, **more)

    def patch(
        self,
        repo: str,
        blob: str,
        first: int,
        size: int,
        status: int | None = 202,
        *,
        upload: str = "u",
        **more: Any,
    ) -> Exchange:
        """PATCH with Content-Range (``claim`` another place; `None`: without) and the right Range."""
        more.setdefault("claim", first)
        if status == 202:
            more.setdefault("headers", {"Range": f"0-{first + size - 1}"})
        return self.session("patch", "PATCH", repo, status, upload, blob=blob, first=first, size=size, **more)

    def finish(
        self,
        repo: str,
        blob: str,
        status: int | None = 201,
        *,
        upload: str = "u",
        declare: str | None = None,
        **more: Any,
    ) -> Exchange:
        digest = self.symbols.blob_digest(declare or blob)
        return self.session(
            "put", "PUT", repo, status, upload, blob=blob, digest=digest, right=declare is None, **more
        )

    def status(
        self, repo: str, told: str | None = None, status: int | None = 204, *, upload: str = "u", **more: Any
    ) -> Exchange:
        headers = {} if told is None else {"Range": told}
        return self.session("get", "GET", repo, status, upload, headers=headers, **more)

    def cancel(self, repo: str, status: int | None = 204, *, upload: str = "u", **more: Any) -> Exchange:
        return self.session("cancel", "DELETE", repo, status, upload, **more)

    # --- manifests, tags -----------------------------------------------------------------------------------

    def put(
        self, repo: str, manifest: str, tag: str | None = None, status: int | None = 201, **more: Any
    ) -> Exchange:
        digest = self.symbols.manifest_digest(manifest, "sha256" if tag else None)
        path = self.path(repo, f"manifests/{tag or digest}")
        return self.step(
            "manifest.put", "PUT", path, status, repo=repo, manifest=manifest, tag=tag, digest=digest, **more
        )

    def fetch(
        self, repo: str, manifest: str | None = None, status: int | None = 200, *, tag: str | None = None,
        shows: str | None = None, body: Raw = None, method: str = "GET", **more: Any,
    ) -> Exchange:  # fmt: skip
        """GET (or HEAD) by tag or by digest. ``shows``: the manifest in the body (default: the one asked)."""
        shows = shows or manifest
        headers = dict(more.pop("headers", {}))
        if status == 200 and shows is not None and "error" not in more:
            if method == "GET" and body is None:
                body = self.symbols.manifest(shows)
            headers.setdefault("Docker-Content-Digest", self.symbols.manifest_digest(shows, "sha256"))
        digest = None
        if tag is None and manifest is not None:
            digest = more.pop("digest", self.symbols.manifest_digest(manifest))
        if digest is not None and digest.startswith("sha512:"):
            headers.pop("Docker-Content-Digest", None)
        path = self.path(repo, f"manifests/{tag or digest}")
        return self.step(
            f"manifest.{WORDS[method]}", method, path, status, repo=repo,
            manifest=manifest if tag is None else None,
            tag=tag, digest=digest, body=body, headers=headers, **more,
        )  # fmt: skip

    def erase(self, repo: str, manifest: str, status: int | None = 202, **more: Any) -> Exchange:
        digest = self.symbols.manifest_digest(manifest)
        path = self.path(repo, f"manifests/{digest}")
        return self.step(
            "manifest.delete", "DELETE", path, status, repo=repo, manifest=manifest, digest=digest, **more
        )

    def untag(self, repo: str, tag: str, status: int | None = 202, **more: Any) -> Exchange:
        return self.step(
            "tag.delete", "DELETE", self.path(repo, f"manifests/{tag}"), status, repo=repo, tag=tag, **more
        )

    def tags(self, repo: str, tags: Sequence[str] | None, status: int | None = 200, **more: Any) -> Exchange:
        name = more.pop("name", self.symbols.repo(repo))
        body = json.dumps({"name": name, "tags": tags}).encode() if status == 200 else None
        more.setdefault("page", 1)
        path = self.path(repo, "tags/list") + more.pop("query", "")
        return self.step("tags.list", "GET", path, status, repo=repo, body=body, **more)

    def referrers(
        self,
        repo: str,
        subject: str,
        listed: Sequence[str | Mapping[str, Any]],
        status: int | None = 200,
        **more: Any,
    ) -> Exchange:
        """``listed``: names of manifests, whose right descriptors are shown, or descriptors."""
        entries = [self.descriptor(entry) if isinstance(entry, str) else entry for entry in listed]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        digest = self.symbols.manifest_digest(subject)
        more.setdefault("headers", {"Content-Type": OCI_INDEX})
        more.setdefault("page", 1)
        return self.step(
            "referrers.list", "GET", self.path(repo, f"referrers/{digest}"), status, repo=repo,
            manifest=subject,
            digest=digest, body=json.dumps(document).encode() if status == 200 else None, **more,
        )  # fmt: skip

    def descriptor(self, name: str) -> dict[str, Any]:
        """The entry of a manifest in a right referrers list."""
        document = self.symbols.manifest_document(name)
        config = document.get("config")
        type_ = document.get("artifactType") or (config["mediaType"] if isinstance(config, dict) else None)
        entry = {**self.symbols.descriptor(name), "annotations": self.symbols.annotations(name)}
        return {**entry, "artifactType": type_} if type_ else entry

    # --- the operator --------------------------------------------------------------------------------------

    def kill(self, op: str = "kill") -> None:
        self.control("kill", op)
        self.control("killed", op)
        self.control("fault.delivered", op, fault="kill")

    def started(self, op: str = "restart") -> None:
        self.control("start", op)
        self.control("started", op)

    def crash(self) -> None:
        self.kill()
        self.started()

    def restart(self, op: str = "restart") -> None:
        self.control("stop", op)
        self.control("stopped", op)
        self.control("started", op)

    def collect(
        self, *, untagged: bool = False, online: bool = False, code: int | None = 0, op: str = "collect"
    ) -> None:
        self.control("collect.start", op, untagged=untagged, online=online)
        self.control("collect.end", op, code=code, removed=None)

    # --- the end -------------------------------------------------------------------------------------------

    def history(self) -> History:
        """Everything so far. Every operation is in the plan, but those of the closing part."""
        ids = [e.op for e in self.exchanges] + [c.op for c in self.controls if c.op]
        plan = Plan(
            tuple(Operation(id_, 1, "quiet") for id_ in dict.fromkeys(ids) if not id_.startswith("closing")),
            dict(self.blobs),
            dict(self.manifests),
        )
        return History(
            plan,
            self.symbols,
            self.promises,
            Abilities(self.supports, self.controls_of),
            tuple(self.exchanges),
            tuple(self.controls),
        )

    def findings(self, *properties: str) -> list[Finding]:
        """What all checkers together say, of these properties (of P1 to P11 by default)."""
        wanted = properties or tuple(id_ for id_ in CHECKERS if id_ != "P12")
        reports = judge(self.history())
        broken = [why for report in reports.values() for why in report.unknown if "checker failed" in why]
        assert not broken, broken
        return [finding for id_ in wanted for finding in reports[id_].findings]

    def checks(self, *properties: str) -> set[str]:
        """``P3 durability.lost`` for each finding that fails a run, or is a hazard."""
        found = self.findings(*properties)
        return {f"{f.property} {f.check}" for f in found if f.red or f.level == "hazard"}

    def all_checks(self) -> set[tuple[str, str]]:
        """(level, check) of every finding."""
        return {(f.level, f.check) for f in self.findings()}

    def promising(self, **changes: Any) -> Tale:
        self.promises = replace(self.promises, **changes)
        return self
