"""P1, content addressing."""

from __future__ import annotations

import hashlib
import re

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import Point, at, first_each, found
from harness.history import Exchange, History
from harness.model.facts import Fact, Facts, Obj, Seen, Timeline
from harness.model.keeping import OFFLINE
from harness.model.presence import Loss, losses, still_broken
from harness.model.reading import facts_of, restricted, right

GONE = frozenset({"content.short", "content.empty"})
"""What bytes look like that were removed under a registry that remembers them."""
READS = ("blob.get", "blob.head", "manifest.get", "manifest.head")


def check(history: History) -> Report:
    """What a 200 (or 206) shows is what its digest names.

    Claims: the body of a GET under a digest hashes to it; a manifest by tag is one that was put, byte for
    byte; ``Docker-Content-Digest`` names the body (another algorithm is legal); ``Content-Length`` of HEAD
    and GET is the size; a range is that slice; a body is as long as its framing said. By digest that holds
    whatever the client accepts. Misses: content types, absent headers (P12), bodies that the record holds no
    digest of, and what was damaged on the disk by the plan. Cost: one pass; a range costs a hash of its
    bytes.
    """
    facts = facts_of(history)
    report = Report()
    skip = still_broken(facts)
    for seen in facts.calls(*READS):
        if seen.exchange.index in skip or (seen.excused and seen.exchange.error is not None):
            continue
        if seen.exchange.status in (200, 206):
            report.tried += 1
            report.findings.extend(_judge(facts, seen))
    for loss in losses(facts):
        if loss.blame == "memory" and loss.read.kind == "absent":
            report.findings.append(_head_only(facts, loss))
    report.findings = first_each(report.findings)
    return report


def _head_only(facts: Facts, loss: Loss) -> Finding:
    subject = facts.subject(loss.obj)
    runs = [run for run in facts.collects if run.start_ns <= loss.read.end_ns]
    hazard = facts.history.promises.collection in OFFLINE and any(run.beside for run in runs)
    return found(
        facts,
        "P1",
        "hazard" if hazard else "must",
        "content.head",
        "row 26",
        f"HEAD finds a {loss.obj.kind} that is not there",
        f"{subject}: {at(facts, loss.proof)}, nothing removed it since, and {at(facts, loss.read)}",
        [loss.origin, *loss.collects[-1:], loss.proof, loss.read],
        subject,
    )


def _judge(facts: Facts, seen: Seen) -> list[Finding]:
    exchange = seen.exchange
    kind = "blob" if seen.call.startswith("blob") else "manifest"
    digest = _asked(facts, seen)
    if digest is None:
        return _by_tag(facts, seen)
    obj = Obj("blob" if kind == "blob" else "manifest", seen.repo, digest)
    if facts.damaged(obj, exchange.invoked_ns, exchange.completed_ns):
        return []
    name = (facts.blobs if kind == "blob" else facts.manifests).get(digest)
    size = _size(facts, obj, name)
    row = "row 19" if kind == "blob" else "row 12"
    if exchange.error == "short":
        return [
            _found(
                facts, seen, obj, "content.short", row,
                f"the body of a {kind} ends before its Content-Length",
                f"{at(facts, exchange)}; {exchange.detail or 'the connection was closed'}",
            )
        ]  # fmt: skip
    if exchange.error is not None:
        return []
    found_ = []
    if exchange.method == "GET" and exchange.body is not None:
        if exchange.status == 206:
            found_ += _range(facts, seen, obj, name)
        elif right(facts, exchange.body, digest, name) is False:
            got = exchange.body.size_bytes
            found_.append(
                _found(
                    facts, seen, obj, "content.empty" if not got else "content.mismatch", row,
                    f"a GET of a {kind} answers 200 with {'an empty body' if not got else 'other bytes'}",
                    f"{at(facts, exchange)}: {got} bytes with sha256 {exchange.body.sha256[:12]}…"
                    f" under {digest[:19]}…"
                    f" ({size if size is not None else 'unknown'} bytes expected)",
                )
            )  # fmt: skip
    if not found_:
        found_ += _headers(facts, seen, obj, digest, size)
    return found_


def _asked(facts: Facts, seen: Seen) -> str | None:
    about = seen.about
    if isinstance(about.get("tag"), str) and seen.call.startswith("manifest"):
        return None
    if isinstance(about.get("digest"), str):
        return str(about["digest"])
    if isinstance(about.get("blob"), str) and seen.call.startswith("blob"):
        return facts.symbols.blob_digest(about["blob"])
    name = about.get("manifest")
    return facts.symbols.manifest_digest(name) if isinstance(name, str) else None


def _size(facts: Facts, obj: Obj, name: str | None) -> int | None:
    if name is None:
        return None
    return facts.symbols.blob_size_bytes(name) if obj.kind == "blob" else len(facts.symbols.manifest(name))


def _headers(facts: Facts, seen: Seen, obj: Obj, digest: str, size: int | None) -> list[Finding]:
    """``Docker-Content-Digest`` and ``Content-Length`` against the content."""
    exchange, found_ = seen.exchange, []
    named = exchange.header("docker-content-digest")
    table = facts.blobs if obj.kind == "blob" else facts.manifests
    if named is not None and named != digest:
        same_alg = named.partition(":")[0] == digest.partition(":")[0]
        other = named in table and facts.content(obj.kind, named) != facts.content(obj.kind, digest)
        if same_alg or other:
            found_.append(
                _found(
                    facts, seen, obj, "content.digest_header", "row 20" if obj.kind == "blob" else "row 15",
                    f"Docker-Content-Digest of a {obj.kind} names other content",
                    f"{at(facts, exchange)}: asked for {digest[:19]}…, the header says {named[:19]}…",
                )
            )  # fmt: skip
    length = _told_length(exchange)
    if length is not None and size is not None and length != size:
        found_.append(
            _found(
                facts, seen, obj, "content.length_header", "row 25",
                f"Content-Length of a {exchange.method} of a {obj.kind} is not its size",
                f"{at(facts, exchange)}: Content-Length {length}, the content has {size} bytes",
            )
        )  # fmt: skip
    return found_


def _by_tag(facts: Facts, seen: Seen) -> list[Finding]:
    """A manifest by tag: one that somebody put, whole."""
    exchange = seen.exchange
    if restricted(exchange):  # who converts manifests may do so by tag: a digest names one alone
        return []
    if exchange.method == "HEAD":
        return _head_by_tag(facts, seen)
    if exchange.body is None or not exchange.body.sha256:
        return []
    if seen.repo in facts.wild_repos or exchange.error not in (None, "short"):
        return []
    tag, shown = str(seen.about["tag"]), f"sha256:{exchange.body.sha256}"
    subject = f"tag {seen.repo}:{tag}"
    if exchange.error == "short":
        return [
            found(
                facts, "P1", "must", "content.short", "row 12",
                "the body of a manifest ends before its Content-Length",
                f"{at(facts, exchange)}; {exchange.detail or 'the connection was closed'}",
                [exchange], subject,
            )
        ]  # fmt: skip
    if shown not in facts.manifests:
        puts = [op for op in facts.tag_ops.get((seen.repo, tag), ()) if op.kind == "write"]
        return [
            found(
                facts, "P1", "must", "content.torn" if exchange.body.size_bytes else "content.empty",
                "row 53",
                "a manifest by tag is nothing that anybody put",
                f"{at(facts, exchange)}: {exchange.body.size_bytes} bytes that nobody put",
                [*puts[-2:], exchange], subject,
            )
        ]  # fmt: skip
    named = exchange.header("docker-content-digest")
    if named is not None and facts.manifests.get(named) != facts.manifests[shown]:
        return [
            found(
                facts, "P1", "must", "content.digest_header", "row 15",
                "Docker-Content-Digest of a manifest names other content",
                f"{at(facts, exchange)}: the body is {shown[:19]}…, the header says {named[:19]}…",
                [exchange], subject,
            )
        ]  # fmt: skip
    return []


def _head_by_tag(facts: Facts, seen: Seen) -> list[Finding]:
    """HEAD of a tag has the length of the manifest whose digest it has."""
    exchange = seen.exchange
    length, name = _told_length(exchange), facts.manifests.get(exchange.header("docker-content-digest") or "")
    if length is None or name is None or length == len(facts.symbols.manifest(name)):
        return []
    tag = str(seen.about["tag"])
    puts = [op for op in facts.tag_ops.get((seen.repo, tag), ()) if op.kind == "write"]
    return [
        found(
            facts, "P1", "must", "content.length_header", "row 25",
            "Content-Length of a HEAD of a manifest is not its size",
            f"{at(facts, exchange)}: Content-Length {length}, and the digest of {name},"
            f" which has {len(facts.symbols.manifest(name))} bytes",
            [*puts[-2:], exchange], f"tag {seen.repo}:{tag}",
        )
    ]  # fmt: skip


def _told_length(exchange: Exchange) -> int | None:
    length = exchange.header("content-length")
    if length is None or not length.isdigit() or exchange.header("content-encoding") is not None:
        return None
    return int(length) if exchange.status == 200 else None


def _range(facts: Facts, seen: Seen, obj: Obj, name: str | None) -> list[Finding]:
    """A 206 shows the bytes that Content-Range says, and those are the ones that were asked for."""
    exchange, about = seen.exchange, seen.about
    if name is None or obj.kind != "blob" or exchange.body is None or not exchange.body.sha256:
        return []
    size = facts.symbols.blob_size_bytes(name)
    wanted = _wanted(about.get("first"), about.get("last"), size)
    if wanted is None:
        return []
    first, end = wanted
    content_range = exchange.header("content-range") or ""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range.strip())
    if match is not None:
        first, end = int(match[1]), int(match[2]) + 1
    found_ = []
    hasher = hashlib.sha256()
    for piece in facts.symbols.blob_chunks(name, first, max(0, end - first)):
        hasher.update(piece)
    if hasher.hexdigest() != exchange.body.sha256:
        found_.append(
            _found(
                facts, seen, obj, "content.range", "row 22", "a range of a blob shows other bytes",
                f"{at(facts, exchange)}: Content-Range {content_range or 'absent'},"
                f" {exchange.body.size_bytes} bytes that are not bytes {first}…{end - 1}",
            )
        )  # fmt: skip
    elif match is None or (first, end) != wanted or match[3] not in ("*", str(size)):
        found_.append(
            found(
                facts, "P1", "should", "content.range_header", "row 22",
                "Content-Range is not the range that was asked for",
                f"{at(facts, exchange)}: asked for bytes {wanted[0]}…{wanted[1] - 1} of {size},"
                f" Content-Range {content_range or 'absent'}",
                [_origin(facts, obj), exchange], facts.subject(obj),
            )
        )  # fmt: skip
    return found_


def _wanted(first: object, last: object, size: int) -> tuple[int, int] | None:
    """First byte and end of the range that a client meant; `None` where it cannot be satisfied."""
    if isinstance(first, int):
        end = min(size, last + 1) if isinstance(last, int) else size
        return (first, end) if first < end else None
    if isinstance(last, int) and last > 0 and size > 0:
        return (max(0, size - last), size)
    return None


def _origin(facts: Facts, obj: Obj) -> Fact | None:
    timeline: Timeline | None = facts.timelines.get(obj)
    writes = timeline.writes if timeline is not None else []
    return next((w for w in writes if w.certain), writes[0] if writes else None)


def _found(facts: Facts, seen: Seen, obj: Obj, check_: str, clause: str, title: str, story: str) -> Finding:
    timeline = facts.timelines.get(obj)
    story = f"{facts.subject(obj)}: {story}"
    points = [_origin(facts, obj), *_between(facts, timeline, seen), seen.exchange]
    level = emptied(facts, timeline, seen) if check_ in GONE else "must"
    return found(facts, "P1", level, check_, clause, title, story, points, facts.subject(obj))


def emptied(facts: Facts, timeline: Timeline | None, seen: Seen) -> Level:
    """``hazard`` where an offline collector that ran beside other operations may have taken the bytes."""
    if timeline is None or facts.history.promises.collection not in OFFLINE:
        return "must"
    since = max((w.start_ns for w in timeline.writes if w.certain and w.end_ns < seen.start_ns), default=0)
    runs = facts.collects_in(since, seen.exchange.completed_ns)
    return "hazard" if any(run.beside for run in runs) else "must"


def _between(facts: Facts, timeline: Timeline | None, seen: Seen) -> list[Point]:
    """Collector runs and outages since the content was written: not proof, but where to look."""
    if timeline is None or not timeline.writes:
        return []
    start, end = timeline.writes[0].start_ns, seen.start_ns
    spans = [run for run in facts.collects_in(start, end) if not run.own]
    return [*spans[-1:], *facts.outages_in(start, end)[-1:]]
