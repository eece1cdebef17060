"""P11, availability."""

from __future__ import annotations

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, found
from harness.history import History
from harness.model.facts import Facts, Obj, Seen
from harness.model.reading import facts_of

NOT_OURS = frozenset({"unreachable", "dns", "tls", "redirects", "too-large", "cut", "stopped", "short"})
"""Errors that are no registry's unavailability: the way to it, other properties, or our own doing."""

TITLES: dict[str, str] = {
    "timeout": "a request is never answered",
    "connect-timeout": "a connection is never accepted",
    "refused": "the registry does not listen any more",
    "reset": "the registry resets a connection without an answer",
    "closed": "the registry closes a connection without an answer",
    "garbage": "an answer is no HTTP",
}
CHECKS: dict[str, str] = {
    "timeout": "availability.hang",
    "connect-timeout": "availability.hang",
    "refused": "availability.crash",
}


def check(history: History) -> Report:
    """No 5xx, hang or crash without a fault; with one, a clean error and then recovery.

    Claims: a 5xx (501 is a note), a timeout or a broken connection in an exchange that no fault of ours
    overlapped: not cut, not while the registry was killed, restarting or paused, not while a fault of storage
    or network was on, and for timeouts and 503 not while an operation was held. Misses: bounded memory.
    A finding for each exchange; `harness.checkers.judge` keeps those that no other property explains. Cost:
    linear.
    """
    facts = facts_of(history)
    report = Report()
    for seen in facts.seen:
        report.tried += 1
        if seen.excused:
            continue
        finding = _finding(facts, seen)
        if finding is not None:
            report.findings.append(finding)
        elif seen.exchange.error in ("unreachable", "dns", "tls"):
            report.unknown.append(f"the way to the registry failed: {seen.exchange.error}")
    return report


def _finding(facts: Facts, seen: Seen) -> Finding | None:
    exchange = seen.exchange
    held = any(span.overlaps(seen.start_ns, exchange.completed_ns) for span in facts.holds)
    level: Level = "promise"
    if exchange.error is not None:
        if exchange.error in NOT_OURS or (held and "timeout" in exchange.error):
            return None
        check_ = CHECKS.get(exchange.error, "availability.broken")
        title = TITLES.get(exchange.error, "a connection breaks without an answer")
    elif seen.status >= 500:
        if (seen.status == 503 and held) or seen.status == 505:
            return None
        level = "note" if seen.status == 501 else "promise"
        check_, title = "availability.error", f"{seen.call} answers {seen.status} without a fault"
    else:
        return None
    detail = f" ({exchange.detail})" if exchange.detail else ""
    return found(
        facts,
        "P11",
        level,
        check_,
        "promise: availability",
        title,
        f"{at(facts, exchange)}{detail}; no fault was on",
        [*_before(facts, seen), exchange],
        _subject(facts, seen),
    )


def _subject(facts: Facts, seen: Seen) -> str:
    """The object that was asked for, as other findings name it."""
    about = seen.about
    tag, digest, upload = about.get("tag"), about.get("digest"), about.get("upload")
    if seen.call in ("manifest.get", "manifest.head", "tag.delete") and isinstance(tag, str):
        return f"tag {seen.repo}:{tag}"
    if seen.call.startswith(("blob.", "manifest.")):
        kind, name = seen.call.partition(".")[0], about.get(seen.call.partition(".")[0])
        if isinstance(digest, str):
            return facts.subject(Obj("blob" if kind == "blob" else "manifest", seen.repo, digest))
        if isinstance(name, str):
            return f"{kind} {seen.repo}/{name}"
    if isinstance(upload, str):
        return f"upload {upload}"
    return f"{seen.call} {seen.repo}".strip()


def _before(facts: Facts, seen: Seen) -> list[Seen]:
    """Exchanges about the same object that changed something before, or were under way meanwhile."""
    about = seen.about
    keys = [k for k in ("upload", "tag", "manifest", "blob") if isinstance(about.get(k), str)]
    near = [
        other
        for other in facts.seen
        if other is not seen
        and other.exchange.method not in ("GET", "HEAD")
        and other.start_ns <= seen.start_ns
        and other.repo == seen.repo
        and (not keys or other.about.get(keys[0]) == about[keys[0]])
    ]
    together = [other for other in near if other.exchange.completed_ns >= seen.start_ns]
    return together[-2:] or near[-2:]
