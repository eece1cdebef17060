"""P7, listing: referrers lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import Point, at, found
from harness.model.facts import Facts, Seen
from harness.model.lists import Listing, listings, referrers_bounds, repo_has_content, subject_digest
from harness.plan.content import OCI_INDEX


def check(facts: Facts, report: Report) -> None:
    """Referrers lists are exact: every referrer that is certainly there is in the list, none that cannot be,
    each once, with the fields that the specification asks for. Only where the registry has the API."""
    if not facts.history.abilities.can("referrers"):
        return
    for listing in listings(facts, "referrers.list"):
        report.tried += len(listing.pages)
        report.findings.extend(_judge(facts, listing))


def _judge(facts: Facts, listing: Listing) -> Iterator[Finding]:
    first = listing.pages[0]
    digest = subject_digest(facts, first)
    if digest is None or any(seen.excused or seen.exchange.error for seen in listing.pages):
        return
    repo, name = first.repo, facts.manifests.get(digest, digest[:19])
    subject = f"referrers of {repo}/{name}"

    def say(level: Level, check_: str, clause: str, title: str, story: str, points: list[Point]) -> Finding:
        return found(facts, "P7", level, check_, clause, title, story, points, subject)

    if first.status == 404 and repo_has_content(facts, repo, listing.start_ns, listing.end_ns):
        yield say(
            "must", "referrers.not_found", "row 72", "a registry with the referrers API answers 404",
            at(facts, first), [first],
        )  # fmt: skip
    entries: list[tuple[Seen, dict[str, Any]]] = []
    for seen in listing.pages:
        if seen.status != 200 or seen.exchange.body is None or seen.exchange.body.text is None:
            return
        body = seen.exchange.body.json()
        listed = body.get("manifests") if isinstance(body, dict) else None
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            yield say(
                "must",
                "referrers.form",
                "row 74",
                "a referrers list is no image index",
                at(facts, seen),
                [seen],
            )
            return
        content_type = (seen.exchange.header("content-type") or "").partition(";")[0].strip()
        if content_type and content_type != OCI_INDEX:
            yield say(
                "must", "referrers.type", "row 74",
                "a referrers list has another Content-Type than an image index",
                f"{at(facts, seen)}: {content_type}", [seen],
            )  # fmt: skip
        entries.extend((seen, entry) for entry in listed)
    yield from _members(facts, listing, digest, entries, say)
    for seen, entry in entries:
        yield from _fields(facts, seen, entry, say)


def _members(
    facts: Facts, listing: Listing, digest: str, entries: list[tuple[Seen, dict[str, Any]]], say: Any
) -> Iterator[Finding]:
    first = listing.pages[0]
    repo, type_ = first.repo, first.about.get("type")
    must, may = referrers_bounds(facts, repo, digest, listing.start_ns, listing.end_ns)
    listed = [str(entry.get("digest")) for _, entry in entries]
    twice = sorted({d for d in listed if listed.count(d) > 1})
    if twice:
        names = [facts.manifests.get(d, d[:19]) for d in twice]
        puts = [may[d].writes[0] for d in twice if d in may and may[d].writes]
        yield say(
            "must", "referrers.duplicates", "row 75", "a referrers list names a manifest twice",
            f"{at(facts, listing.pages[-1])}: {names}", [*puts, listing.pages[-1]],
        )  # fmt: skip
    for seen, entry in entries:
        other = str(entry.get("digest"))
        if other in may or repo in facts.wild_repos:
            continue
        timeline = facts.known("manifest", repo, other)
        removed = next((d for d in timeline.deletes if d.certain), None) if timeline else None
        yield say(
            "must", "referrers.extra", "row 82" if removed else "row 75",
            "a referrers list names a manifest that was deleted"
            if removed
            else "a referrers list names a manifest that does not refer to it",
            f"{at(facts, seen)}: {facts.manifests.get(other, other[:19])}",
            [*(timeline.writes[:1] if timeline else ()), removed, seen],
        )  # fmt: skip
    applied = any(
        "artifacttype" in v.lower()
        for s in listing.pages
        for v in s.exchange.header_list("oci-filters-applied")
    )
    for other, timeline in must.items():
        name = facts.manifests[other]
        wanted = type_ is None or _artifact_type(facts, name) == type_
        if listing.whole and other not in listed and wanted:
            yield say(
                "must", "referrers.missing", "row 81", "a referrers list lacks a referrer that is there",
                f"{name} is there ({at(facts, timeline.evidence()[-1])}),"
                f" not in {at(facts, listing.pages[-1])}",
                [next((w for w in timeline.writes if w.certain), None), listing.pages[-1]],
            )  # fmt: skip
    wrong = [
        facts.manifests[d] for d in listed if d in may and _artifact_type(facts, facts.manifests[d]) != type_
    ]
    if type_ is not None and applied and wrong:
        yield say(
            "must", "referrers.filter", "row 80", "a filtered referrers list has entries of another type",
            f"{at(facts, first)}: asked for {type_}, got {wrong}", [first],
        )  # fmt: skip


def _artifact_type(facts: Facts, name: str) -> str | None:
    """Row 76: the manifest's own type, else the media type of an image's config, else nothing."""
    document = facts.symbols.manifest_document(name)
    own, config = document.get("artifactType"), document.get("config")
    if isinstance(own, str):
        return own
    found_ = config.get("mediaType") if isinstance(config, dict) else None
    return found_ if isinstance(found_, str) else None


def _fields(facts: Facts, seen: Seen, entry: dict[str, Any], say: Any) -> Iterator[Finding]:
    """The descriptor of one referrer."""
    name = facts.manifests.get(str(entry.get("digest")))
    if name is None:
        return
    put = next(
        (w for t in facts.with_digest(str(entry["digest"])) if t.obj.repo == seen.repo for w in t.writes),
        None,
    )
    expected: tuple[tuple[str, str, object], ...] = (
        ("mediaType", "row 75", facts.symbols.media_type(name)),
        ("size", "row 75", len(facts.symbols.manifest(name))),
        ("artifactType", "row 76", _artifact_type(facts, name)),
        ("annotations", "row 77", facts.symbols.annotations(name)),
    )
    for field, clause, value in expected:
        shown = entry.get(field)
        if shown != value and (shown or value):
            yield say(
                "must", f"referrers.{field}", clause, f"{field} of a referrer is not the manifest's own",
                f"{at(facts, seen)}: {name} has {str(value)[:80]!r}, the list says {str(shown)[:80]!r}",
                [put, seen],
            )  # fmt: skip
