"""How each kind of operation is carried out: a table of functions, one for each client operation.

A function returns whether the operation did what it says. It never decides whether an answer was right:
that is for the checkers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.history import Abilities, Exchange
from harness.model.sessions import told
from harness.plan.content import Symbols
from harness.plan.operation import Operation
from harness.run.caller import Caller
from harness.run.shared import Shared
from harness.wire import bytes_source

RESUMES_MAX = 3
PAGES_MAX = 60
PULL_DEPTH_MAX = 8
LOOKS_MAX = 20
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Job:
    """One operation at work."""

    op: Operation
    call: Caller
    symbols: Symbols
    shared: Shared
    abilities: Abilities

    @property
    def repo(self) -> str:
        return str(self.op["repo"])

    def times(self) -> range:
        return range(max(1, int(self.op.get("times", 1))))


def _each(job: Job, send: Callable[[int], Exchange]) -> bool:
    """Send as often as the operation says, whatever comes of it; whether all went well."""
    return all([_ok(send(number)) for number in job.times()])  # noqa: C419 - every one is sent


def _ok(exchange: Exchange | None) -> bool:
    return exchange is not None and exchange.outcome == "ok"


def blob_push(job: Job) -> bool:
    op, blob, upload = job.op, str(job.op["blob"]), f"{job.op.id}.u"
    declared = str(op.get("declare", blob))
    way = op.get("way", "put")
    size = job.symbols.blob_size_bytes(blob)
    if way == "post":
        exchange = job.call.single_post(job.repo, upload, blob, declared)
        if exchange.status != 202:
            return exchange.status == 201
        return _ok(job.call.put_upload(job.repo, upload, blob, declared=declared, first=0, size=size))
    opened = job.call.post_upload(job.repo, upload, alg=job.symbols.blob_spec(blob).alg)
    if opened.status != 202:
        return False
    if way == "put":
        return _ok(job.call.put_upload(job.repo, upload, blob, declared=declared, first=0, size=size))
    if way == "stream":
        sent = job.call.patch(job.repo, upload, blob, 0, size, claim=None, chunked=True)
        if not _ok(sent) and not (op.get("recover") and _resume(job, upload, blob, size)):
            return False
        return _ok(job.call.put_upload(job.repo, upload, blob, declared=declared))
    return _chunked(job, upload, blob, declared, size, _least_chunk_bytes(opened))


def _chunked(job: Job, upload: str, blob: str, declared: str, size: int, least: int) -> bool:
    """PATCH for each chunk; what the chunks leave over goes into the PUT."""
    at = 0
    for chunk in job.op.get("chunks", (size,)):
        chunk = min(max(int(chunk), least), size - at)
        if chunk <= 0:
            break
        sent = job.call.patch(job.repo, upload, blob, at, chunk, claim=at)
        at += chunk
        if _ok(sent):
            continue
        if not (job.op.get("recover") and _resume(job, upload, blob, at)):
            return False
    if at < size:
        last = job.call.put_upload(
            job.repo, upload, blob, declared=declared, first=at, size=size - at, claim=at
        )
    else:
        last = job.call.put_upload(job.repo, upload, blob, declared=declared)
    return _ok(last)


def _least_chunk_bytes(opened: Exchange) -> int:
    value = opened.header("oci-chunk-min-length") or "0"
    return int(value) if value.isdigit() else 0


def _resume(job: Job, upload: str, blob: str, end: int) -> bool:
    """Ask the status and send the bytes up to ``end`` from there, as a client does whose PATCH broke."""
    for _ in range(RESUMES_MAX):
        status = job.call.session("GET", job.repo, upload)
        offset = next_offset(status)
        if offset is None or offset > end:
            return False
        if offset == end:
            return True
        sent = job.call.patch(job.repo, upload, blob, offset, end - offset, claim=offset)
        if _ok(sent):
            return True
    return False


def next_offset(status: Exchange | None) -> int | None:
    """Where a status answer tells to go on; `None` where it tells nothing. No Range, or ``0-0`` … is decided
    as the specification leaves it: absent means nothing arrived yet."""
    if status is None or status.status != 204:
        return None
    value = status.header("range")
    if value is None:
        return 0
    offsets = told(value)
    if offsets is None:
        return 0 if value.strip() in ("0--1", "") else None
    return offsets[0]


def blob_mount(job: Job) -> bool:
    upload = f"{job.op.id}.u"
    mounted = job.call.mount(job.repo, upload, job.op["blob"], job.op.get("from"))
    if mounted.status == 202 and job.op.get("fallback"):
        blob = str(job.op["blob"])
        return _ok(
            job.call.put_upload(job.repo, upload, blob, first=0, size=job.symbols.blob_size_bytes(blob))
        )
    if mounted.status == 202 and job.abilities.can("upload-cancel"):
        job.call.session("DELETE", job.repo, upload)
    return mounted.status == 201


def _blob(method: str) -> Callable[[Job], bool]:
    def run(job: Job) -> bool:
        name = str(job.op["blob"])
        extra = {key: job.op[key] for key in ("first", "last") if key in job.op.args}
        digest = job.symbols.blob_digest(name)
        return _each(job, lambda _: job.call.blob(method, job.repo, digest, name=name, **extra))

    return run


def upload_start(job: Job) -> bool:
    opened = job.call.post_upload(job.repo, job.op["upload"], alg=job.op.get("alg", "sha256"))
    return opened.status == 202


def upload_patch(job: Job) -> bool:
    op = job.op
    claim = op.get("claim", op["first"]) if op.get("range", True) else None
    return _ok(job.call.patch(job.repo, op["upload"], op["blob"], op["first"], op["size"], claim=claim))


def upload_status(job: Job) -> bool:
    return _ok(job.call.session("GET", job.repo, job.op["upload"]))


def upload_cancel(job: Job) -> bool:
    return _ok(job.call.session("DELETE", job.repo, job.op["upload"]))


def upload_finish(job: Job) -> bool:
    op = job.op
    first = op.get("first")
    return _ok(
        job.call.put_upload(
            job.repo,
            op["upload"],
            op["blob"],
            declared=op.get("declare"),
            first=first,
            size=op.get("size", 0),
            claim=op.get("claim", first),
        )
    )


def manifest_put(job: Job) -> bool:
    names = [str(job.op.get("manifest", job.op.id))]
    if "with" in job.op.args:
        names.append(str(job.op["with"]))
    tags = tuple(job.op.get("tags", ()))
    tag = job.op.get("tag")
    return _each(job, lambda i: job.call.put_manifest(job.repo, names[i % len(names)], tag=tag, tags=tags))


def _which(job: Job) -> dict[str, Any]:
    if "tag" in job.op.args:
        return {"tag": job.op["tag"]}
    name = str(job.op["manifest"])
    return {"name": name, "digest": job.symbols.manifest_digest(name)}


def _manifest(method: str) -> Callable[[Job], bool]:
    def run(job: Job) -> bool:
        which = _which(job)
        accept = job.op.get("accept")
        return _each(job, lambda _: job.call.manifest(method, job.repo, accept=accept, **which))

    return run


def image_pull(job: Job) -> bool:
    return pull(job.call, job.symbols, job.repo, _which(job))


def pull(call: Caller, symbols: Symbols, repo: str, which: dict[str, Any], depth: int = 0) -> bool:
    """GET a manifest and everything it references, as far as the answers tell."""
    answer = call.manifest("GET", repo, **which)
    document = answer.body.json() if _ok(answer) and answer.body else None
    if not isinstance(document, dict):
        return False
    whole = True
    blobs = [document.get("config"), *_entries(document.get("layers"))]
    seen: set[str] = set()
    for descriptor in blobs:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if isinstance(digest, str) and digest not in seen:
            seen.add(digest)
            whole &= _ok(call.blob("GET", repo, digest, name=symbols.blob_named(digest)))
    for child in _entries(document.get("manifests")):
        digest = child.get("digest") if isinstance(child, dict) else None
        if isinstance(digest, str) and depth < PULL_DEPTH_MAX:
            found = {"digest": digest, "name": symbols.manifest_named(digest)}
            whole &= pull(call, symbols, repo, found, depth + 1)
    return whole


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def tag_delete(job: Job) -> bool:
    return _ok(job.call.manifest("DELETE", job.repo, tag=job.op["tag"]))


def tags_list(job: Job) -> bool:
    pages = PAGES_MAX if job.op.get("pages") else 1
    whole, looked_at = True, set[str]()
    for _ in job.times():
        found = job.call.tags(job.repo, n=job.op.get("n"), last=job.op.get("last"), pages_max=pages)
        whole &= all(_ok(page) for page in found)
        for tag in _listed(found) if job.op.get("look") else ():
            if tag not in looked_at and len(looked_at) < LOOKS_MAX:
                looked_at.add(tag)
                job.call.manifest("HEAD", job.repo, tag=tag)
    return whole


def _listed(pages: list[Exchange]) -> list[str]:
    """The tags of a list that can be asked for, the last first: new ones are likely to be there."""
    documents = [page.body.json() for page in pages if _ok(page) and page.body is not None]
    tags = [tag for one in documents if isinstance(one, dict) for tag in _entries(one.get("tags"))]
    return [tag for tag in reversed(tags) if isinstance(tag, str) and TAG.fullmatch(tag)]


def referrers_list(job: Job) -> bool:
    pages = PAGES_MAX if job.op.get("pages") else 1
    found = job.call.referrers(job.repo, job.op["manifest"], type_=job.op.get("type"), pages_max=pages)
    return all(_ok(page) for page in found)


def request(job: Job) -> bool:
    from harness.checkers.protocol.cases import CASES, render

    case = CASES[job.op["case"]]
    location = job.shared.locations.get(str(job.op.get("upload", "")))
    made = render(case, job.op, job.symbols, location)
    about = dict(job.op.args)
    body = bytes_source(made.body) if made.body is not None else None
    target = made.target if "://" in made.target else job.call.url(made.target)
    job.call.send(
        "request", about, made.method, target, headers=tuple(made.headers), body=body, raw_target=True
    )
    return True


def again(job: Job) -> bool:
    """The last request of another operation, byte for byte; nothing where that one sent none."""
    sent = job.shared.sent.get(job.op["of"])
    if sent is None:
        return False
    plain_request = replace(sent.request, stops=())
    return _ok(job.call.send_request(sent.call, {**sent.about, "again": sent.index}, plain_request))


CLIENT_OPERATIONS: dict[str, Callable[[Job], bool]] = {
    "blob.push": blob_push,
    "blob.mount": blob_mount,
    "blob.pull": _blob("GET"),
    "blob.head": _blob("HEAD"),
    "blob.delete": _blob("DELETE"),
    "upload.start": upload_start,
    "upload.patch": upload_patch,
    "upload.status": upload_status,
    "upload.finish": upload_finish,
    "upload.cancel": upload_cancel,
    "manifest.put": manifest_put,
    "manifest.get": _manifest("GET"),
    "manifest.head": _manifest("HEAD"),
    "manifest.delete": _manifest("DELETE"),
    "tag.delete": tag_delete,
    "image.pull": image_pull,
    "tags.list": tags_list,
    "referrers.list": referrers_list,
    "request": request,
    "again": again,
}
