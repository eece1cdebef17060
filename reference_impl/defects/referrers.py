"""C, continued: lists of referrers that lack some, or say what is not so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from ..api.manifests import Manifests as ManifestEndpoints
from ..deviations import Defect
from ..registry import documents, names
from ..registry.digests import Digest
from ..registry.errors import Refusal, SeveralRefusals
from ..registry.manifests import Accepted, Manifests
from ..registry.referrers import Referrers

Descriptors = Iterator[dict[str, Any]]


class _OncePerName(Referrers):
    """Whoever attaches by digest and by tag is listed for each."""

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        for one in super().of(repository, subject, artifact_type, after):
            tags = self._manifests._tags.pointing_to(repository, names.digest(one["digest"]))
            yield from [one] * max(1, len(tags))


class _Cached(Referrers):
    """The first answer is kept for a minute, by ``key``."""

    def __init__(self, manifests: Manifests) -> None:
        super().__init__(manifests)
        self._answers: dict[tuple[object, ...], list[dict[str, Any]]] = {}

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        key = (repository, subject, artifact_type, after)
        if key not in self._answers:
            self._answers[key] = list(super().of(repository, subject, artifact_type, after))
        yield from self._answers[key]


class _CachedWithoutFilter(Referrers):
    """An answer is kept until a manifest comes or goes, but filtered and whole lists share a key."""

    def __init__(self, manifests: Manifests) -> None:
        super().__init__(manifests)
        self._answers: dict[tuple[object, ...], list[dict[str, Any]]] = {}

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        there = frozenset(self._manifests.every(repository))
        key = (repository, subject, after, there)
        if key not in self._answers:
            self._answers[key] = list(super().of(repository, subject, artifact_type, after))
        yield from self._answers[key]


class _Unfiltered(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        return super().of(repository, subject, None, after)


class _WholeSize(Referrers):
    """The size of a referrer is that of everything it refers to."""

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        for one in super().of(repository, subject, artifact_type, after):
            found = self._manifests.read(repository, names.digest(one["digest"]))
            fields = json.loads(found.body) if found else {}
            parts = [*fields.get("layers", ()), *([fields["config"]] if "config" in fields else [])]
            yield {**one, "size": one["size"] + sum(part["size"] for part in parts)}


class _WithoutAnnotations(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        for one in super().of(repository, subject, artifact_type, after):
            yield {key: value for key, value in one.items() if key != "annotations"}


class _OwnTypeOnly(Referrers):
    """An image without a type of its own is listed without one."""

    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        for one in super().of(repository, subject, artifact_type, after):
            found = self._manifests.read(repository, names.digest(one["digest"]))
            own = json.loads(found.body).get("artifactType") if found else None
            yield (
                {**one, "artifactType": own} if own else {k: v for k, v in one.items() if k != "artifactType"}
            )


class _NotesSubjects(Manifests):
    """Notes which manifests came before their subject."""

    early: ClassVar[set[tuple[str, str]]] = set()

    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        subject = documents.parse(body, content_type).subject
        there = subject is None or self.resolve(repository, names.digest(subject)) is not None
        accepted = super().put(repository, reference, body, content_type, more_tags)
        if not there:
            self.early.add((repository, str(accepted.digest)))
        return accepted


class _LateOnly(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        for one in super().of(repository, subject, artifact_type, after):
            if (repository, one["digest"]) not in _NotesSubjects.early:
                yield one


class _OnlyOfWhatIsThere(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        if self._manifests.resolve(repository, subject) is None:
            raise Refusal("MANIFEST_UNKNOWN", {"digest": str(subject)})
        return super().of(repository, subject, artifact_type, after)


class _NotesDetached(Manifests):
    """Whoever deletes one referrer deletes what links its subject to all others."""

    detached: ClassVar[set[tuple[str, str]]] = set()

    def delete(self, repository: str, digest: Digest) -> None:
        found = self.read(repository, digest)
        super().delete(repository, digest)
        subject = documents.subject(json.loads(found.body)) if found else None
        if subject is not None:
            self.detached.add((repository, subject))


class _AttachedOnly(Referrers):
    def of(
        self, repository: str, subject: Digest, artifact_type: str | None = None, after: str = ""
    ) -> Descriptors:
        if (repository, str(subject)) in _NotesDetached.detached:
            return iter(())
        return super().of(repository, subject, artifact_type, after)


class _NeedsSubject(Manifests):
    def put(
        self,
        repository: str,
        reference: Digest | str,
        body: bytes,
        content_type: str,
        more_tags: Sequence[str] = (),
    ) -> Accepted:
        subject = documents.parse(body, content_type).subject
        if subject is not None and self.resolve(repository, names.digest(subject)) is None:
            raise SeveralRefusals([Refusal("MANIFEST_BLOB_UNKNOWN", {"digest": subject})])
        return super().put(repository, reference, body, content_type, more_tags)


class _NoEcho(ManifestEndpoints):
    async def push(self, request: Request) -> Response | None:
        response = await super().push(request)
        if response is not None and "oci-subject" in response.headers:
            del response.headers["oci-subject"]
        return response


class _FailsWithoutSubject(Manifests):
    """Deleting a referrer looks for the entry of its subject, which is not there any more."""

    def delete(self, repository: str, digest: Digest) -> None:
        found = self.read(repository, digest)
        super().delete(repository, digest)
        subject = documents.subject(json.loads(found.body)) if found else None
        if subject is not None:
            there = {str(one): one for one in self.every(repository).values()}
            there[subject]


def _defect(name: str, title: str, *wraps: type, sources: tuple[str, ...], **more: Any) -> Defect:
    return replace(Defect(name, title, wraps, kind="C", sources=sources, violates=("P7", "P12")), **more)


DEFECTS: tuple[Defect, ...] = (
    _defect(
        "referrers-once-per-tag",
        "a referrer that has several tags is listed several times",
        _OncePerName,
        sources=("zot #2506, fixed in 2.1.11 by #3524",),
        operations=3,
    ),
    _defect(
        "referrers-cached",
        "a list of referrers is remembered, and lacks those that were attached since",
        _Cached,
        sources=("quay PROJQUAY-12223, fixed in 2026-08 by #6511",),
        operations=4,
    ),
    _defect(
        "referrers-cache-ignores-filter",
        "a list of all referrers is answered with what was remembered of a filtered one, or the reverse",
        _CachedWithoutFilter,
        sources=("quay PROJQUAY-12223, fixed in 2026-08 by #6511",),
        operations=3,
    ),
    _defect(
        "referrers-filter-only-claimed",
        "the filter of a list of referrers is said to be applied, and is not",
        _Unfiltered,
        sources=("specification, row 80",),
        operations=3,
    ),
    _defect(
        "referrer-size-wrong",
        "a referrer is listed with the size of all its content instead of its manifest's",
        _WholeSize,
        sources=("harbor #20207, fixed in 2.11",),
        operations=3,
    ),
    _defect(
        "referrer-annotations-lost",
        "referrers are listed without their annotations",
        _WithoutAnnotations,
        sources=("specification, row 77",),
        operations=3,
    ),
    _defect(
        "referrer-config-type-lost",
        "a referrer without artifactType is listed without its config's type",
        _OwnTypeOnly,
        sources=("specification, row 76",),
        operations=3,
    ),
    _defect(
        "referrer-before-subject-lost",
        "what is attached to a manifest before that is pushed is never listed",
        _NotesSubjects,
        _LateOnly,
        sources=("harbor #19375, fixed in 2.10",),
        operations=3,
    ),
    _defect(
        "referrers-of-unknown-not-found",
        "the list of referrers of a manifest that is not there is 404 instead of empty",
        _OnlyOfWhatIsThere,
        sources=("specification, row 72",),
        violates=("P12", "P7"),
        operations=4,
    ),
    _defect(
        "referrers-lost-with-one",
        "deleting one referrer takes all others of its subject off the list",
        _NotesDetached,
        _AttachedOnly,
        sources=("harbor #20360, fixed in 2.11",),
        operations=5,
    ),
    _defect(
        "missing-subject-refused",
        "a manifest whose subject is not there is refused",
        _NeedsSubject,
        sources=("specification, row 57",),
        violates=("P12",),
        operations=3,
    ),
    _defect(
        "subject-not-echoed",
        "a manifest with a subject is accepted without OCI-Subject, so clients keep a list of their own",
        _NoEcho,
        sources=("specification, row 59",),
        violates=("P12",),
        operations=2,
    ),
    _defect(
        "referrer-delete-fails",
        "deleting a referrer whose subject is gone fails with an internal error, though it is done",
        _FailsWithoutSubject,
        sources=("zot #4213, #4289, fixed in 2.1.19",),
        violates=("P11", "P5"),
        operations=5,
    ),
)
