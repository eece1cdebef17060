"""What a collection says while it works: one event for each step, in this order.

Whoever gets the events may take as long as they like, and no lock of the registry is held meanwhile; so
a person, the harness or a test can hold a collection at a step, and an exception raised there is a crash
at that step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """``says`` is its line for people, with the fields of `Event`; ``once`` if it comes once a collection."""

    means: str
    says: str | None = None
    once: bool = False
    detail: bool = False
    """One of very many: left out of a quiet output."""


STEPS: dict[str, Step] = {
    "locked": Step("no other collector can start; nothing was looked at", once=True),
    "noting": Step("some more blobs are known", detail=True),
    "noted": Step("when each blob was last leased is known", once=True),
    "awaited": Step("every push that was at work before has ended", once=True),
    "repository": Step("about to read a repository", "{repository}", detail=True),
    "untagged": Step(
        "about to remove a manifest that no tag leads to",
        "{repository}: manifest eligible for deletion: {name}",
        detail=True,
    ),
    "forgotten": Step("a manifest that no tag leads to is set aside"),
    "manifest": Step(
        "about to mark what a manifest refers to", "{repository}: marking manifest {name}", detail=True
    ),
    "blob": Step("a blob is marked", "{repository}: marking blob {name}", detail=True),
    "marked": Step("all manifests were read", once=True),
    "recovered": Step(
        "a blob that a killed collector set aside is back, as something refers to it", "blob restored: {name}"
    ),
    "problem": Step("something could not be read", "unreadable: {name}"),
    "counted": Step(
        "the candidates are known; nothing was touched yet",
        "{marked} blobs marked, {eligible} blobs and {manifests} manifests eligible for deletion",
        once=True,
    ),
    "refused": Step(
        "nothing will be swept, as not everything could be read",
        "no blob is removed, as not everything could be read",
        once=True,
    ),
    "eligible": Step("about to condemn a blob", "blob eligible for deletion: {name}", detail=True),
    "linked": Step("a batch of candidates has a second, durable name in the trash"),
    "condemned": Step("a blob has only its name in the trash"),
    "spared": Step("a candidate stays: someone asked for it meanwhile", "blob spared: {name}"),
    "verified": Step("manifests that came since the mark were read, too", once=True),
    "restored": Step("a condemned blob is back, as something refers to it", "blob restored: {name}"),
    "returned": Step(
        "a manifest that was set aside is back, as something leads to it",
        "{repository}: manifest restored: {name}",
    ),
    "purged": Step("a condemned blob is gone for good"),
    "layer": Step(
        "about to remove a link to a blob that is gone",
        "{repository}: layer link eligible for deletion: {name}",
        detail=True,
    ),
    "unlinked": Step("links to blobs that are gone were removed from a repository"),
    "upload": Step(
        "about to remove an abandoned upload", "{repository}: upload eligible for deletion: {name}"
    ),
    "swept": Step("all is done, and other collectors may start", once=True),
}
"""Every step by its name: the places to pause, or to crash, at."""


@dataclass(frozen=True, slots=True)
class Event:
    """``number`` counts the events of this step, from 1; ``total`` is how many there will be, if known.

    ``name`` is a digest, a session or a reason.  The last three are of the step ``counted``.
    """

    step: str
    number: int
    repository: str = ""
    name: str = ""
    size_bytes: int | None = None
    total: int | None = None
    marked: int = 0
    eligible: int = 0
    manifests: int = 0


Emit = Callable[[Event], None]


def line(event: Event) -> str | None:
    """Return the event's line for people, None if it has none."""
    says = STEPS[event.step].says
    if says is None:
        return None
    return says.format(
        repository=event.repository,
        name=event.name,
        marked=event.marked,
        eligible=event.eligible,
        manifests=event.manifests,
    )
