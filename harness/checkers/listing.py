"""P7, listing: tag lists. Referrers lists are in `harness.checkers.referrers`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from harness.checkers import referrers
from harness.checkers.finding import Finding, Level, Report
from harness.checkers.protocol.answer import next_links
from harness.checkers.witness import Point, at, first_each, found
from harness.history import History
from harness.model.facts import Facts, Seen, TagOp
from harness.model.lists import Listing, certainly_gone, certainly_there, listings, missed_later
from harness.model.moves import damaged, tag_troubles
from harness.model.presence import losses
from harness.model.reading import facts_of


def check(history: History) -> Report:
    """Listed means resolvable and the other way round; pages are complete, ordered, without duplicates;
    referrers are exact.

    Claims: the form of each page (name, order, ``n``, ``last``, Link); tags that certainly exist during the
    whole listing are in it, tags that certainly do not exist at any instant of it are not, and a listed tag
    that nothing removes does not answer 404. Misses: tags whose fate nobody knows, and tags that a collector
    run or an outage can have touched since they were last seen. Cost: pages × tags of the repository.
    """
    facts = facts_of(history)
    report = Report()
    for listing in listings(facts, "tags.list"):
        report.tried += len(listing.pages)
        report.findings.extend(_form(facts, listing))
        report.findings.extend(_members(facts, listing))
    referrers.check(facts, report)
    report.findings = first_each(report.findings)
    return report


def _found(
    facts: Facts,
    level: Level,
    check_: str,
    clause: str,
    title: str,
    story: str,
    points: list[Point],
    subject: str,
) -> Finding:
    return found(facts, "P7", level, check_, clause, title, story, points, subject)


def shown(seen: Seen) -> list[str] | None:
    """The tags of a page; `None` where it has no list of tags."""
    body = seen.exchange.body.json() if seen.exchange.body is not None else None
    tags = body.get("tags") if isinstance(body, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return None
    return tags


def _form(facts: Facts, listing: Listing) -> Iterator[Finding]:
    """Every page for itself."""
    for seen in listing.pages:
        if seen.status != 200 or seen.exchange.body is None or seen.exchange.body.text is None:
            continue
        subject, where = f"tags of {seen.repo}", at(facts, seen)
        body, tags = seen.exchange.body.json(), shown(seen)
        if not isinstance(body, dict) or (tags is None and body.get("tags") is not None):
            yield _found(
                facts, "must", "listing.form", "row 66", "a tag list is no object with a list of tags",
                where, [seen], subject,
            )  # fmt: skip
            continue
        real = facts.symbols.repo(seen.repo)
        if body.get("name") != real:
            yield _found(
                facts, "must", "listing.name", "row 66", "a tag list does not name its repository",
                f"{where}: name {body.get('name')!r}, asked for {real!r}", [seen], subject,
            )  # fmt: skip
        if tags is None:
            yield _found(
                facts, "should", "listing.null", "row 66", "an empty tag list is null instead of a list",
                where, [seen], subject,
            )  # fmt: skip
            tags = []
        yield from _order(facts, seen, tags, subject)


def _order(facts: Facts, seen: Seen, tags: list[str], subject: str) -> Iterator[Finding]:
    where, n, last = at(facts, seen), _asked_n(seen), seen.about.get("last")
    puts: list[Point] = [
        max((op for op in ops if op.kind == "write"), key=lambda op: op.start_ns, default=None)
        for (repo, tag), ops in facts.tag_ops.items()
        if repo == seen.repo and tag in tags
    ]
    if len(set(tags)) != len(tags):
        yield _found(
            facts, "must", "listing.duplicates", "row 67", "a tag list names a tag twice",
            f"{where}: {tags}", [*puts[:3], seen], subject,
        )  # fmt: skip
    elif tags not in (sorted(tags), sorted(tags, key=str.lower), sorted(tags, key=str.upper)):
        yield _found(
            facts, "must", "listing.order", "row 67", "a tag list is in no order",
            f"{where}: {tags}", [*puts[:3], seen], subject,
        )  # fmt: skip
    link = seen.exchange.header("link")
    if isinstance(n, int) and not isinstance(n, bool) and n >= 0 and len(tags) > n:
        clause = "row 70" if n == 0 else "row 68"
        yield _found(
            facts, "must", "listing.too_many", clause, "a page has more tags than were asked for",
            f"{where}: n={n}, {len(tags)} tags", [*puts[:3], seen], subject,
        )  # fmt: skip
    if n == 0 and link is not None:
        yield _found(
            facts, "must", "listing.link", "row 70", "an empty page (n=0) has a Link",
            f"{where}: Link {link}", [seen], subject,
        )  # fmt: skip
    elif link is not None and not next_links(seen.exchange.header_list("link")):
        yield _found(
            facts, "must", "listing.link", "row 69", 'a Link of a page is not rel="next"',
            f"{where}: Link {link}", [seen], subject,
        )  # fmt: skip
    early = [t for t in tags if isinstance(last, str) and not _after(t, last)]
    if early and seen.about.get("page", 1) == 1:
        yield _found(
            facts, "must", "listing.last", "row 71", "a list after a tag has tags that do not come after it",
            f"{where}: last={last!r}, and {early}", [*puts[:3], seen], subject,
        )  # fmt: skip


def _asked_n(seen: Seen) -> object:
    """The limit in a request. That to a further page goes where a Link says, which need not repeat it."""
    n = seen.about.get("n")
    if seen.about.get("page", 1) == 1:
        return n
    return n if ("n", str(n)) in parse_qsl(urlsplit(seen.exchange.target).query) else None


def _after(tag: str, last: str) -> bool:
    """Whether a tag comes after another in any order that is allowed."""
    return tag > last or (tag.lower() > last.lower()) or (tag.upper() > last.upper())


def _surely_after(tag: str, last: str) -> bool:
    return tag > last and tag.lower() > last.lower() and tag.upper() > last.upper()


def _members(facts: Facts, listing: Listing) -> Iterator[Finding]:
    """All pages together: who must be there, who cannot be there."""
    pages = listing.pages
    first, repo = pages[0], pages[0].repo
    own = {tag: [*ops, *damaged(facts, repo, ops)] for (of, tag), ops in facts.tag_ops.items() if of == repo}
    there = {
        tag: proof
        for tag, ops in own.items()
        if (proof := certainly_there(facts, ops, listing.start_ns, listing.end_ns)) is not None
    }
    subject = f"tags of {repo}"
    if first.status == 404 and there:
        tag, proof = next(iter(there.items()))
        yield _found(
            facts, "must", "listing.not_found", "row 65",
            "the tag list of a repository with tags answers 404",
            f"the tag {tag} is there ({at(facts, proof)}); {at(facts, first)}", [proof, first], subject,
        )  # fmt: skip
    if any(seen.status != 200 or shown(seen) is None for seen in pages):
        body = first.exchange.body.json() if first.exchange.body is not None else None
        if first.status != 200 or not isinstance(body, dict) or "tags" not in body:
            return
    tags = [tag for seen in pages for tag in (shown(seen) or [])]
    if len(set(tags)) != len(tags) and all(len(set(p)) == len(p) for p in (shown(s) or [] for s in pages)):
        yield _found(
            facts, "must", "listing.duplicates", "row 67", "a tag is on two pages of one list",
            f"{at(facts, pages[-1])}: {sorted(t for t in set(tags) if tags.count(t) > 1)}",
            [*(p for t, p in there.items() if tags.count(t) > 1), pages[-1]], subject,
        )  # fmt: skip
    yield from _missing(facts, listing, tags, there)
    known = repo not in facts.wild_repos
    for tag in dict.fromkeys(tags):
        ops = own.get(tag, [])
        seen = next(page for page in pages if tag in (shown(page) or []))
        if not any(op.kind in ("write", "wild") and op.start_ns <= listing.end_ns for op in ops):
            if known:
                yield _found(
                    facts, "must", "listing.unknown", "row 66", "a tag list names a tag that nobody made",
                    f"{at(facts, seen)}: {tag}", [*_refused(facts, repo, tag), seen], f"tag {repo}:{tag}",
                )  # fmt: skip
            continue
        if _lost(facts, repo, tag, ops):
            continue  # told as the loss that it is
        gone = certainly_gone(ops, listing.start_ns, listing.end_ns)
        later = missed_later(facts, ops, seen) if gone is None else None
        if gone is not None or later is not None:
            proof = gone or later
            assert proof is not None
            write = next((op for op in ops if op.kind == "write"), None)
            yield _found(
                facts, "must", "listing.ghost", "row 66", "a listed tag does not resolve",
                f"{tag} is listed ({at(facts, seen)}) and not there ({at(facts, proof)})",
                [write, proof, seen], f"tag {repo}:{tag}",
            )  # fmt: skip


def _lost(facts: Facts, repo: str, tag: str, ops: list[TagOp]) -> bool:
    """Whether another property tells why a tag does not resolve."""
    if any((t.repo, t.tag) == (repo, tag) and t.blame != "moved" for t in tag_troubles(facts)):
        return True
    values = {op.value for op in ops if op.kind == "write"}
    return any(
        loss.obj.kind == "manifest" and loss.obj.repo == repo and facts.canonical(loss.obj.digest) in values
        for loss in losses(facts)
    )


def _refused(facts: Facts, repo: str, tag: str) -> list[Point]:
    found_ = [
        i for (of, t, _), indexes in facts.refused_tags.items() if (of, t) == (repo, tag) for i in indexes
    ]
    return [facts.history.exchanges[i] for i in found_[:1]]


def _missing(facts: Facts, listing: Listing, tags: list[str], there: dict[str, TagOp]) -> Iterator[Finding]:
    """Tags that must be listed: all, where the list is whole; those that a page passed over, where it is
    not."""
    first = listing.pages[0]
    n, last = first.about.get("n"), first.about.get("last")
    repo, final = first.repo, listing.pages[-1]
    asked = isinstance(n, int)
    last_count = len(shown(final) or [])
    # Without Link a page of exactly n tags may have been cut off there (1.0); a shorter one is the end.
    ended = listing.whole and (not asked or (last_count < n if isinstance(n, int) else True))
    troubled = {t.tag for t in tag_troubles(facts) if t.repo == repo}
    for tag, proof in there.items():
        if tag in tags or tag in troubled or (isinstance(last, str) and not _surely_after(tag, last)):
            continue
        passed = bool(tags) and _surely_after(tags[-1], tag)
        if ended or passed:
            yield _found(
                facts, "must", "listing.missing", "row 68" if asked else "row 66",
                "a tag list lacks a tag that is there",
                f"{tag} is there ({at(facts, proof)}), the list {at(facts, final)} shows {tags[:8]}",
                [proof, *listing.pages[-1:]], f"tag {repo}:{tag}",
            )  # fmt: skip
