"""The frame condition: at a quiet point everything that the plan ever touched is read back.

Also content that must not be there is asked for: what was refused, what was deleted, and what was pushed
to another repository only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.history import Exchange
from harness.plan.content import Symbols
from harness.run.caller import Caller
from harness.run.operations import PAGES_MAX, _ok

FOREIGN_MAX = 3
"""How many blobs are asked for in a repository that never had them, for each repository."""
REPUSH_MAX = 4
LARGE_BYTES = 1 << 20
NO_TYPE = "application/vnd.seatrial.none"
"""An artifact type that nothing has: a filter for it, right after the whole list, leaves nothing."""

WRITES_BLOB = frozenset({"upload.single", "upload.put", "upload.mount"})


@dataclass
class Touched:
    """Everything that the exchanges so far were about, in order of first mention."""

    repos: dict[str, None] = field(default_factory=dict)
    blobs: dict[tuple[str, str], str | None] = field(default_factory=dict)
    manifests: dict[tuple[str, str], str | None] = field(default_factory=dict)
    tags: dict[tuple[str, str], None] = field(default_factory=dict)
    subjects: dict[tuple[str, str], None] = field(default_factory=dict)
    uploads: dict[tuple[str, str], None] = field(default_factory=dict)

    @classmethod
    def by(cls, exchanges: tuple[Exchange, ...], symbols: Symbols) -> Touched:
        found = cls()
        for exchange in exchanges:
            found._add(exchange, symbols)
        return found

    def _add(self, exchange: Exchange, symbols: Symbols) -> None:
        about, call = exchange.about, exchange.call
        repo = about.get("repo")
        if not isinstance(repo, str) or call == "request":
            return
        digest = str(about.get("digest", ""))
        if call in WRITES_BLOB and digest:
            self.repos.setdefault(repo)
            self.blobs.setdefault((repo, digest), symbols.blob_named(digest))
            if not about.get("right", True) and "blob" in about:
                self.blobs.setdefault((repo, symbols.blob_digest(about["blob"])), about["blob"])
        if call == "manifest.put":
            self.repos.setdefault(repo)
            self.manifests.setdefault((repo, digest), about["manifest"])
            for tag in (about.get("tag"), *about.get("tags", ())):
                if tag is not None:
                    self.tags.setdefault((repo, tag))
            subject = symbols.manifest_spec(about["manifest"]).subject
            if subject is not None:
                self.subjects.setdefault((repo, subject))
        if call == "upload.post" and exchange.status == 202:
            self.uploads.setdefault((repo, about["upload"]))
        if call in ("upload.put", "upload.cancel"):
            self.uploads.pop((repo, about["upload"]), None)


def read_back(
    call: Caller, symbols: Symbols, touched: Touched, *, referrers: bool, go_on: Callable[[], bool]
) -> None:
    """Read everything. Stops early where ``go_on`` says so (the time of the run is up)."""
    for (repo, digest), name in touched.blobs.items():
        if not go_on():
            return
        call.blob("HEAD", repo, digest, name=name)
        call.blob("GET", repo, digest, name=name)
    for (repo, digest), name in touched.manifests.items():
        if not go_on():
            return
        call.manifest("HEAD", repo, digest=digest, name=name)
        call.manifest("GET", repo, digest=digest, name=name)
    for repo, tag in touched.tags:
        if not go_on():
            return
        call.manifest("HEAD", repo, tag=tag)
        call.manifest("GET", repo, tag=tag)
    for repo in touched.repos:
        if not go_on():
            return
        call.tags(repo, pages_max=PAGES_MAX)
        call.tags(repo, n=0)
        foreign = [
            d for (other, d), _ in touched.blobs.items() if other != repo and (repo, d) not in touched.blobs
        ]
        for digest in foreign[:FOREIGN_MAX]:
            call.blob("HEAD", repo, digest, name=symbols.blob_named(digest))
    if referrers:
        for repo, subject in touched.subjects:
            call.referrers(repo, subject, pages_max=PAGES_MAX)
            call.referrers(repo, subject, type_=NO_TYPE, pages_max=PAGES_MAX)
    for repo, upload in touched.uploads:
        call.session("GET", repo, upload)


def push_again(call: Caller, symbols: Symbols, touched: Touched, exchanges: tuple[Exchange, ...]) -> None:
    """Push again what the last read-back missed, and read it: healing must work."""
    last: dict[tuple[str, str, str], Exchange] = {}
    for exchange in exchanges:
        if (
            exchange.call in ("blob.get", "manifest.get")
            and "digest" in exchange.about
            and exchange.cut is None
        ):
            last[(exchange.call, exchange.about["repo"], exchange.about["digest"])] = exchange
    broken = [key for key, exchange in last.items() if not _whole(exchange)]
    number = 0
    pushed: set[tuple[str, str]] = set()

    def heal_blob(repo: str, digest: str, name: str | None) -> None:
        nonlocal number
        if name is None or (repo, digest) in pushed or symbols.blob_digest(name) != digest:
            return
        if symbols.blob_size_bytes(name) > LARGE_BYTES:
            return
        pushed.add((repo, digest))
        number += 1
        upload = f"again{number}.u"
        if call.post_upload(repo, upload).status == 202:
            size = symbols.blob_size_bytes(name)
            call.put_upload(repo, upload, name, first=0, size=size)
        call.blob("HEAD", repo, digest, name=name)
        call.blob("GET", repo, digest, name=name)

    for kind, repo, digest in broken[: 2 * REPUSH_MAX]:
        if number >= REPUSH_MAX:
            return
        if kind == "blob.get":
            heal_blob(repo, digest, touched.blobs.get((repo, digest)))
            continue
        name = touched.manifests.get((repo, digest))
        if name is None:
            continue
        for blob in symbols.manifest_spec(name).blobs:
            blob_digest = symbols.blob_digest(blob)
            state = last.get(("blob.get", repo, blob_digest))
            if state is None or not _whole(state):
                heal_blob(repo, blob_digest, blob)
        if _ok(call.put_manifest(repo, name)):
            call.manifest("HEAD", repo, digest=digest, name=name)
            call.manifest("GET", repo, digest=digest, name=name)


def _whole(exchange: Exchange) -> bool:
    digest = str(exchange.about["digest"])
    if exchange.status != 200 or exchange.error is not None or exchange.body is None:
        return False
    alg, _, encoded = digest.partition(":")
    return {"sha256": exchange.body.sha256, "sha512": exchange.body.sha512}.get(alg) == encoded
