"""Checking a whole store, also one that another registry wrote, and beside a running server.

It only reads.  A server at work is seen at different times in different places; so whatever looks wrong
is looked at once more, by itself, before it is told.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Literal

from ..drivers.base import Driver, DriverError, NotFound, Unavailable
from ..registry import layout, repositories
from ..registry.digests import CANONICAL, ENCODED_CHARS, Digest, digest_of
from . import probes, sweep
from .command import EXIT_FAILED, EXIT_OK, EXIT_UNREADABLE, OutputGone, print_line
from .kinds import KINDS, Severity
from .mark import Marker, digest_of_key, key
from .probes import Finding
from .survey import exists, linked

Probe = Callable[[], list[Finding]]

_HASHED_AT_ONCE = 1024
_EMPTY = key(digest_of(b""))
_NOTES_MAX = 20

_DIGESTS = "|".join(f"{name}/[0-9a-f]{{{chars}}}" for name, chars in ENCODED_CHARS.items())
_DIGEST = f"(?:{_DIGESTS})"
_KNOWN = re.compile(
    rf"{layout.REPOSITORIES}/.+/(?:_layers/{_DIGEST}/link|_manifests/revisions/{_DIGEST}/link"
    rf"|_manifests/tags/[^/]+/(?:current|index/{_DIGEST})/link"
    r"|_uploads/[^/]+/(?:data|startedat|owner|hashstates/.+))"
    rf"|{layout.PRIVATE}/(?:(?:locks|types|trash|tmp)/.+|owner)"
)
"""Every file that belongs into a store, but for content."""


@dataclass(slots=True)
class Report:
    """What was found, and how much of each was looked at."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def number(self, severity: Severity) -> int:
        return sum(KINDS[one.kind].severity == severity for one in self.findings)


class Check:
    """``quick`` hashes manifests only.  ``tell`` is given how many blobs were hashed so far, of how many."""

    def __init__(
        self,
        driver: Driver,
        *,
        quick: bool = False,
        threads: int = 4,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._driver = driver
        self._quick = quick
        self._threads = threads
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._found: set[Finding] = set()
        self._suspects: list[tuple[str, Probe]] = []
        self._sizes_bytes: dict[bytes, int] = {}

    def run(self) -> Report:
        """Look at everything.  What cannot be read is in the report; where the backend does not answer, that
        is the last thing in it."""
        try:
            self._content()
            for name in list(repositories.every(self._driver)):
                self._counts["repositories"] += 1
                self._guarded(layout.repository(name), partial(self._repository, name))
            self._guarded(layout.REPOSITORIES, self._sessions)
            self._guarded(layout.REPOSITORIES, self._orphans)
            self._guarded(layout.PRIVATE, self._private)
            for top in (layout.REPOSITORIES, layout.PRIVATE):
                self._guarded(top, partial(self._unknown, top))
            self._guarded(layout.ROOT, self._unknown_beside)
            for where, probe in self._suspects:
                self._guarded(where, lambda probe=probe: self._found.update(probe()))  # type: ignore[misc]
        except (OSError, DriverError) as error:
            self._found.add(Finding("unreadable", layout.ROOT, _text(error)))
        return Report(sorted(self._found), self._counts)

    def _guarded(self, where: str, look: Callable[[], None]) -> None:
        """Look, and go on with the rest if that cannot be read.  Raises Unavailable."""
        try:
            look()
        except Unavailable:
            raise
        except (OSError, DriverError) as error:
            self._found.add(Finding("unreadable", where, _text(error)))

    def _probe(self, where: str, probe: Probe) -> None:
        """Look at one thing, and later again if it seems wrong."""

        def look() -> None:
            if probe():
                self._suspects.append((where, probe))

        self._guarded(where, look)

    # -- content ---------------------------------------------------------------------------

    def _content(self) -> None:
        for path, found in self._driver.walk(layout.BLOBS):
            one = sweep.content_of(path)
            if one is None:
                self._found.add(Finding("unknown", path))
                continue
            self._sizes_bytes[one] = found.size_bytes
            self._counts["blobs"] += 1
            self._counts["bytes"] += found.size_bytes
            if self._quick and found.size_bytes == 0 and one != _EMPTY:
                self._hash_one(digest_of_key(one))
        if not self._quick:
            self._hash()

    def _hash(self) -> None:
        left = iter(self._sizes_bytes)
        done = 0
        with ThreadPoolExecutor(self._threads, thread_name_prefix="check") as pool:
            while some := [digest_of_key(one) for one in islice(left, _HASHED_AT_ONCE)]:
                list(pool.map(self._hash_one, some))
                done += len(some)
                self._tell(done, len(self._sizes_bytes))

    def _hash_one(self, digest: Digest) -> None:
        self._probe(layout.blob_data(digest), partial(probes.blob, self._driver, digest))

    def _orphans(self) -> None:
        """Find content that nothing refers to; not where the marks may be incomplete."""
        marker = Marker(self._driver, lambda step, **fields: None)
        for name in list(repositories.every(self._driver)):
            marker.mark(name, lambda found: found.links)
        if marker.failures:
            return
        for one, size_bytes in self._sizes_bytes.items():
            if one not in marker.blobs:
                path = layout.blob_data(digest_of_key(one))
                self._found.add(Finding("blob.orphan", path, f"{size_bytes} bytes"))

    # -- repositories ----------------------------------------------------------------------

    def _repository(self, name: str) -> None:
        for digest in linked(self._driver, layout.layers(name)):
            self._counts["layers"] += 1
            self._probe(layout.layer_link(name, digest), partial(probes.layer, self._driver, name, digest))
        for digest in linked(self._driver, layout.revisions(name)):
            self._counts["manifests"] += digest.algorithm == CANONICAL
            path = layout.revision_link(name, digest)
            self._probe(path, partial(probes.manifest, self._driver, name, digest))
        for tag in _listed(self._driver, layout.tags(name)):
            self._counts["tags"] += 1
            self._probe(layout.tag_folder(name, tag), partial(probes.tag, self._driver, name, tag))

    def _sessions(self) -> None:
        for name, session in list(repositories.every_upload(self._driver)):
            self._counts["sessions"] += 1
            folder = layout.session_folder(name, session)
            self._probe(folder, partial(probes.session, self._driver, name, session))

    # -- the rest --------------------------------------------------------------------------

    def _private(self) -> None:
        for path, found in self._driver.walk(layout.TRASH):
            self._found.add(Finding("trash", path, f"{found.size_bytes} bytes"))
        for path, found in self._driver.walk(layout.SCRATCH):
            finding = Finding("leftover", path, f"{found.size_bytes} bytes")
            self._probe(path, partial(_if_there, self._driver, finding))

    def _unknown(self, top: str) -> None:
        for path, _ in self._driver.walk(top):
            if _KNOWN.fullmatch(path) is None:
                self._probe(path, partial(_if_there, self._driver, Finding("unknown", path)))

    def _unknown_beside(self) -> None:
        for entry in _listed(self._driver, ""):
            if entry not in (layout.BLOBS, layout.REPOSITORIES, layout.PRIVATE):
                self._found.add(Finding("unknown", entry))


def _listed(driver: Driver, folder: str) -> list[str]:
    try:
        return driver.list(folder)
    except NotFound:
        return []


def _if_there(driver: Driver, finding: Finding) -> list[Finding]:
    return [finding] if exists(driver, finding.where) else []


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# -- the command -----------------------------------------------------------------------------


def check_from_command_line(
    driver: Driver,
    *,
    quick: bool = False,
    threads: int = 4,
    form: Literal["lines", "json"] = "lines",
    progress: bool | None = None,
) -> int:
    """Check a store and print what is wrong; returns the exit code: 0 clean, 1 wrong, 2 unreadable."""
    show = sys.stderr.isatty() if progress is None else progress
    report = Check(driver, quick=quick, threads=threads, tell=_progress if show else lambda *_: None).run()
    try:
        for text in [as_json(report)] if form == "json" else in_words(report):
            print_line(text)
    except OutputGone:
        return EXIT_FAILED
    if report.number("unreadable"):
        return EXIT_UNREADABLE
    return EXIT_FAILED if report.number("error") else EXIT_OK


def as_json(report: Report) -> str:
    numbers = Counter(one.kind for one in report.findings)
    kinds = {name: asdict(KINDS[name]) | {"number": number} for name, number in sorted(numbers.items())}
    findings = [asdict(one) | {"severity": KINDS[one.kind].severity} for one in report.findings]
    return json.dumps({"counts": dict(report.counts), "kinds": kinds, "findings": findings})


def in_words(report: Report) -> Iterable[str]:
    """A heading for each kind with what heals it, its findings below; of mere notes only the first."""
    by_kind: dict[str, list[Finding]] = {}
    for one in report.findings:
        by_kind.setdefault(one.kind, []).append(one)
    for name, findings in sorted(by_kind.items(), key=lambda pair: (KINDS[pair[0]].severity, pair[0])):
        kind = KINDS[name]
        yield f"{kind.severity}: {name} ({len(findings)}): {kind.means}; {kind.heals}"
        shown = findings[:_NOTES_MAX] if kind.severity == "note" else findings
        for one in shown:
            yield f"  {one.where}" + (f": {one.detail}" if one.detail else "")
        if len(shown) < len(findings):
            yield f"  and {len(findings) - len(shown)} more"
    counts = ", ".join(f"{number} {noun}" for noun, number in sorted(report.counts.items()))
    yield f"looked at {counts or 'nothing'}"
    errors, notes = report.number("error"), report.number("note")
    yield f"{errors} errors, {notes} notes, {report.number('unreadable')} unreadable"


def _progress(done: int, total: int) -> None:
    end = "\r" if sys.stderr.isatty() and done < total else "\n"
    print(f"hashed {done} of {total} blobs", end=end, file=sys.stderr, flush=True)
