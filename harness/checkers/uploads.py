"""P6, upload sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from harness.checkers.finding import Finding, Level, Report
from harness.checkers.witness import at, first_each, found
from harness.history import History
from harness.model.facts import Facts, Seen
from harness.model.reading import facts_of
from harness.model.sessions import DONE, Session, Step, prefix_digest, sessions, told

EXCUSES = frozenset({401, 403, 405, 413, 429, 507})
"""Answers that may refuse anything: rights, limits, load. But a PUT is what a session is for: there, 405 says
that its Location was wrong."""


def check(history: History) -> Report:
    """Offsets only grow, out of order is 416, one committer, a commit is what was sent, the status tells
    where to resume.

    Claims, for each session whose requests did not overlap (`harness.model.sessions`): the answer to each
    PATCH, PUT, GET and DELETE given the offsets and the life that are possible; two commits of different
    content in one session; a commit under a digest that is not that of the bytes sent. Misses: sessions with
    overlapping requests, apart from what they commit; what refused commits left behind (P3); wrong stored
    bytes (P1). Cost: linear; a hash for each commit of a part of a blob.
    """
    facts = facts_of(history)
    report = Report()
    for session in sessions(facts):
        judge = _Judge(facts, session)
        for step in session.steps:
            report.tried += 1
            if step.seen.repo == session.home and not (step.seen.excused and step.answered == "lost"):
                report.findings.extend(judge.step(step))
            judge.short = judge.short or 0 < step.size < session.least_chunk_bytes
        report.findings.extend(judge.committers())
    for seen in facts.calls("upload.single"):
        report.tried += 1
        report.findings.extend(_single(facts, seen))
    report.findings = first_each(report.findings)
    return report


def _single(facts: Facts, seen: Seen) -> Iterator[Finding]:
    """A POST with the whole body: its digest decides."""
    blob, digest = seen.about.get("blob"), seen.about.get("digest")
    if not isinstance(blob, str) or not isinstance(digest, str):
        return
    alg = digest.partition(":")[0]
    right = alg in ("sha256", "sha512") and facts.symbols.blob_digest(blob, alg) == digest
    subject = f"upload {seen.about.get('upload', seen.exchange.op)}"
    if seen.status == 201 and not right:
        yield found(
            facts, "P6", "must", "uploads.wrong_digest_accepted", "row 33",
            "a commit under a digest that is not that of the bytes is accepted",
            f"{at(facts, seen)}: the bytes of {blob} under {digest[:19]}…", [seen], subject,
        )  # fmt: skip
    elif (
        seen.status in (400, 416) and right and alg == "sha256" and facts.history.abilities.can("single-post")
    ):
        yield found(
            facts, "P6", "must", "uploads.refused", "row 32", "a whole blob under its own digest is refused",
            f"{at(facts, seen)}: the bytes of {blob} under their digest", [seen], subject,
        )  # fmt: skip


class _Judge:
    """The rules for one session."""

    def __init__(self, facts: Facts, session: Session) -> None:
        self.facts, self.session = facts, session
        self.history = facts.history
        self.last: Seen | None = None
        self.disorder = False
        self.short = False
        """Whether a chunk came that only the last one may be: what follows it may be refused (row 37)."""

    def step(self, step: Step) -> list[Finding]:
        # The same request once more goes to the session's old Location, which may refuse it (row 39).
        if step.racy or ("again" in step.seen.about and not step.seen.ok):
            results: list[Finding] = []
        else:
            rules = {
                "upload.patch": self._patch,
                "upload.put": self._put,
                "upload.get": self._status,
                "upload.cancel": self._cancel,
            }
            results = list(rules[step.seen.call](step))
        if step.seen.call in ("upload.patch", "upload.put"):
            self.last = step.seen
            self.disorder = self.disorder or (step.out_of_order and step.seen.ok)
        return results

    def _found(self, step: Step, level: Level, check_: str, clause: str, title: str, story: str) -> Finding:
        before = step.before.ended_by if step.before.life == "closed" else self.last
        offsets = f"{step.before.low}" if step.before.exact else f"{step.before.low}…{step.before.high}"
        return found(
            self.facts,
            "P6",
            level,
            check_,
            clause,
            title,
            f"upload {self.session.name} at offset {offsets}: {at(self.facts, step.seen)}; {story}",
            [self.session.opened, before, step.seen],
            f"upload {self.session.name}",
        )

    def _closed(self, step: Step) -> Iterator[Finding]:
        """A session that is over answers 404; one that takes bytes or is committed then has not ended."""
        ended = step.before.ended_by
        if step.before.life != "closed" or ended is None or not step.seen.ok:
            return
        cancelled = ended.call == "upload.cancel"
        yield self._found(
            step,
            "should" if step.seen.call in ("upload.get", "upload.cancel") else "must",
            "uploads.after_cancel" if cancelled else "uploads.after_finish",
            "row 46" if cancelled else "row 45",
            f"a {'cancelled' if cancelled else 'finished'} session still answers {step.seen.call}",
            f"it was {'cancelled' if cancelled else 'finished'} by {ended.exchange.op}",
        )

    def _patch(self, step: Step) -> Iterator[Finding]:
        seen, before = step.seen, step.before
        if before.life == "closed":
            yield from self._closed(step)
            return
        if seen.ok:
            if step.out_of_order:
                yield self._found(
                    step, "must", "uploads.order", "row 41", "a chunk out of order is accepted",
                    f"Content-Range began at {step.claim}",
                )  # fmt: skip
            elif seen.status != DONE[seen.call]:
                yield self._found(
                    step, "must", "uploads.code", "row 39", "an accepted chunk is not answered with 202", "",
                )  # fmt: skip
            else:
                yield from self._range_of_patch(step)
            return
        if step.answered == "lost" or seen.status in EXCUSES or before.life != "open":
            return
        if step.out_of_order and step.answered == "refused":
            yield self._found(
                step, "should", "uploads.order_code", "row 41",
                "a chunk out of order is refused with another status than 416",
                f"Content-Range began at {step.claim}",
            )  # fmt: skip
        # A PATCH that broke may still be at work in the registry, which then refuses a second one.
        in_order = before.exact and step.claim == before.low and step.size > 0 and not before.lost
        small = self.short or step.size < self.session.least_chunk_bytes
        if in_order and step.answered == "order" and not small and self._fit(step):
            yield self._found(
                step, "must", "uploads.in_order_refused", "row 39", "a chunk in order is refused with 416",
                f"Content-Range began at {step.claim}",
            )  # fmt: skip

    def _fit(self, step: Step) -> bool:
        return self.history.abilities.can("chunked") and not self.disorder

    def _range_of_patch(self, step: Step) -> Iterator[Finding]:
        """An accepted chunk tells the last byte of the whole blob so far."""
        if not step.after.exact or self.disorder or not step.after.sound:
            return
        header = step.seen.exchange.header("range")
        end = step.after.low
        allowed = (None, "0-0") if end == 0 else (f"0-{end - 1}",)
        if header in allowed:
            return
        must: Level = "should" if self.history.promises.spec == "1.0" else "must"
        if header == f"bytes=0-{end - 1}":
            must = "should"
        yield self._found(
            step, must, "uploads.range", "row 40",
            "the Range of an accepted chunk is not the whole blob so far",
            f"Range {header if header is not None else 'absent'}, expected 0-{end - 1}",
        )  # fmt: skip

    def _put(self, step: Step) -> Iterator[Finding]:
        seen, before = step.seen, step.before
        declared = str(seen.about.get("digest", ""))
        if before.life == "closed":
            ended = before.ended_by
            same = ended is not None and ended.about.get("digest") == declared
            if seen.ok and not same:
                yield from self._closed(step)
            return
        true = self._true_digest(step, declared)
        if seen.ok:
            if step.out_of_order:
                level: Level = "must" if self.history.promises.spec == "dev" else "note"
                yield self._found(
                    step, level, "uploads.last_order", "row 42", "a last chunk out of order is accepted",
                    f"Content-Range began at {step.claim}",
                )  # fmt: skip
            elif true is not None and true != declared:
                yield self._found(
                    step, "must", "uploads.wrong_digest_accepted", "row 33",
                    "a commit under a digest that is not that of the bytes is accepted",
                    f"declared {declared[:19]}…, the bytes sent are {true[:19]}…",
                )  # fmt: skip
            elif seen.status != DONE[seen.call]:
                yield self._found(
                    step, "must", "uploads.code", "row 31", "a commit is not answered with 201", "",
                )  # fmt: skip
            return
        if step.answered == "lost" or seen.status in EXCUSES - {405} or before.life != "open":
            return
        if before.lost and step.answered == "order":
            return  # as for a chunk: the PATCH that broke may still be at work
        if self.short and step.size:
            return
        if step.out_of_order:
            if step.answered == "refused" and self.history.promises.spec == "dev":
                yield self._found(
                    step, "should", "uploads.order_code", "row 42",
                    "a last chunk out of order is refused with another status than 416",
                    f"Content-Range began at {step.claim}",
                )  # fmt: skip
        elif true is not None and true == declared and self._supported(declared):
            resumed = before.resumed or (before.lost and before.low > 0)
            yield self._found(
                step,
                "promise" if resumed else "must",
                "uploads.resume_corrupt" if resumed else "uploads.refused",
                "promise: resume" if resumed else "row 31",
                "a resumed upload cannot be committed"
                if resumed
                else "the right bytes are refused at the commit",
                "every byte was sent once and in order, and the digest is theirs",
            )
        elif true is not None and true != declared and seen.status not in (400, 416):
            yield self._found(
                step, "should", "uploads.wrong_digest_code", "row 33",
                "a wrong digest is refused with another status than 400", f"declared {declared[:19]}…",
            )  # fmt: skip

    def _supported(self, digest: str) -> bool:
        return digest.startswith("sha256:") or (
            digest.startswith("sha512:") and self.history.abilities.can("sha512")
        )

    def _true_digest(self, step: Step, declared: str) -> str | None:
        """The digest of everything that was sent, where the offset and the bytes are certain."""
        before = step.before
        if not before.sound or not before.exact or self.disorder or step.out_of_order:
            return None
        alg, blob = declared.partition(":")[0], before.blob
        if alg not in ("sha256", "sha512"):
            return None
        if step.size > 0:
            blob = blob or step.seen.about.get("blob")
            if blob != step.seen.about.get("blob") or step.seen.about.get("first") != before.low:
                return None
        if blob is None and before.low + step.size > 0:
            return None
        return prefix_digest(self.facts.symbols, blob, before.low + step.size, alg)

    def _status(self, step: Step) -> Iterator[Finding]:
        seen, before = step.seen, step.before
        if before.life == "closed":
            yield from self._closed(step)
            return
        if seen.status == DONE[seen.call]:
            yield from self._told(step)
            return
        if before.life != "open" or step.answered == "lost" or seen.status in EXCUSES:
            return
        if before.lost:
            if self.history.promises.resume and seen.status in (400, 404, 410):
                yield self._found(
                    step, "promise", "uploads.not_resumable", "promise: resume",
                    "after a broken PATCH the session does not tell where to resume",
                    "the client vanished in the middle of a PATCH and asked for the status",
                )  # fmt: skip
        elif self.history.abilities.can("upload-status") and not self.disorder:
            yield self._found(
                step, "must", "uploads.status", "row 44", "the status of an open session is not 204",
                "nothing ended the session",
            )  # fmt: skip

    def _told(self, step: Step) -> Iterator[Finding]:
        """The place that a status tells lies between what was acknowledged and what was sent."""
        header = step.seen.exchange.header("range")
        offsets = told(header)
        if offsets is None:
            yield self._found(
                step, "must", "uploads.status_range", "row 44",
                "the status of a session has a malformed Range",
                f"Range {header}",
            )  # fmt: skip
        elif not any(step.before.allows(offset) for offset in offsets) and not self.disorder:
            less = max(offsets) < step.before.low
            yield self._found(
                step, "must", "uploads.status_range", "row 44",
                "the status tells less than was acknowledged"
                if less
                else "the status tells more than was sent",
                f"Range {header if header is not None else 'absent'}",
            )  # fmt: skip

    def _cancel(self, step: Step) -> Iterator[Finding]:
        seen, before = step.seen, step.before
        able = self.history.abilities.can("upload-cancel") and self.history.promises.spec == "dev"
        sure = before.life == "open" and able and not before.lost
        allowed = {DONE[seen.call], *EXCUSES}
        if sure and step.answered != "lost" and seen.status not in allowed:
            yield self._found(
                step, "should", "uploads.cancel_code", "row 46",
                "cancelling a session does not answer 204", "",
            )  # fmt: skip

    def committers(self) -> Iterator[Finding]:
        """Of two commits with different content, one is not what the session held."""
        puts = [s.seen for s in self.session.steps if s.seen.call == "upload.put" and s.seen.status == 201]
        for first, second in pairwise(puts):
            one, two = str(first.about.get("digest")), str(second.about.get("digest"))
            same_alg = one.partition(":")[0] == two.partition(":")[0]
            if one != two and same_alg:
                yield found(
                    self.facts, "P6", "must", "uploads.two_committers", "row 43",
                    "one session is committed twice with different content",
                    f"upload {self.session.name}: {at(self.facts, first)} as {one[:19]}…,"
                    f" {at(self.facts, second)} as {two[:19]}…",
                    [self.session.opened, first, second], f"upload {self.session.name}",
                )  # fmt: skip
