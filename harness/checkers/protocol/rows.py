"""The rows of the specification: what a client may hold against a registry, and how it is checked here.

The words are our own; the specification is opencontainers/distribution-spec, versions 1.0.1, 1.1.0, 1.1.1
and what is on its main branch since (``dev``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.checkers.finding import Level

RowLevel = Literal["must", "should", "may", "note"]
Since = Literal["1.0", "1.1", "1.1.1", "dev"]
How = Literal["passive", "case", "model", "none"]

SPEC = "https://github.com/opencontainers/distribution-spec/blob/main/spec.md"
RELEASED: Mapping[str, int] = {"1.0": 0, "1.1": 1, "1.1.1": 1, "dev": 2}
"""Versions in order. Whoever promises 1.1 promises what its patch release made clear as well."""


@dataclass(frozen=True, slots=True)
class Row:
    """``level`` is the strongest that any version of the row states, ``since`` the version that first states
    it so; before that it was ``before`` (``None``: it was not said at all). ``how``: ``passive`` (seen on
    ordinary exchanges), ``case`` (a request of the table of cases), ``model`` (the checker of another
    property, named in ``by``), or ``none``, and then ``why_none`` says why not. A row may be checked in more
    ways than the one that ``how`` names."""

    number: int
    level: RowLevel
    since: Since
    endpoints: str
    words: str
    section: str
    how: How
    by: str = ""
    why_none: str = ""
    before: RowLevel | None = None

    @property
    def url(self) -> str:
        return f"{SPEC}#{self.section}" if self.section else SPEC


_CLIENT = "it asks something of clients only"
_PULL, _PUSH, _DIGEST = "pulling-manifests", "pushing-blobs", "digests"
_BLOB, _HEAD = "pulling-blobs", "checking-if-content-exists-in-the-registry"
_POST, _SINGLE = "post-then-put", "single-post"
_CHUNK, _MOUNT = "pushing-a-blob-in-chunks", "mounting-a-blob-from-another-repository"
_MANIFEST, _SUBJECT = "pushing-manifests", "pushing-manifests-with-subject"
_TAGS, _REFERRERS = "listing-tags", "listing-referrers"
_ERRORS = "error-codes"

# fmt: off
_ROWS: tuple[Row, ...] = (
    # --- the API as a whole ---------------------------------------------------------------------------------
    Row(1, "must", "1.0", "all", "every registry supports pulling", "workflow-categories", "model", "P3"),
    Row(2, "should", "1.0", "all",
        "pushing, discovery and management are supported, each category whole or not"
        " at all", "workflow-categories", "none",
        why_none="a registry declares no categories; probing reports which endpoints it has"),
    Row(3, "note", "1.0", "end-1", "GET /v2/ answers 200 where the API is implemented, else 401 or 404",
        "determining-support", "passive"),
    Row(4, "must", "1.0", "all", "the name of a repository is lower-case components with single separators",
        _PULL, "case"),
    Row(5, "note", "1.1.1", "all", "host and name together should not be longer than 255 characters", _PULL,
        "case"),
    Row(6, "must", "1.1", "end-3 end-7 end-9", "a tag has at most 128 characters of a fixed set", _PULL,
        "case"),
    Row(7, "must", "1.0", "end-3", "a reference is a digest or a tag and nothing else", _PULL, "case"),
    Row(8, "should", "dev", "all", "where the specification says nothing, HTTP's semantics hold", "api",
        "case"),
    Row(9, "may", "dev", "all", "any request may be redirected", "api", "none",
        why_none="redirects are followed and never held against a registry"),
    Row(10, "may", "1.0", "all", "headers and error codes of Docker's older API may be there", _ERRORS,
        "none",
        why_none="optional; its two error codes are accepted"),
    Row(11, "should", "dev", "all", "429 says in Retry-After when to come again", "api", "passive"),
    # --- pull -----------------------------------------------------------------------------------------------
    Row(12, "must", "1.0", "end-3", "a manifest that exists is answered with 200 and its content", _PULL,
        "passive"),
    Row(13, "should", "1.0", "end-3", "Content-Type is the type that was pushed", _PULL, "passive"),
    Row(14, "should", "1.1", "end-3", "Content-Type has no parameters", _PULL, "passive"),
    Row(15, "must", "dev", "end-3", "GET of a manifest answers with Docker-Content-Digest", _PULL, "passive",
        before="should"),
    Row(16, "may", "1.0", "end-3",
        "Docker-Content-Digest may be of another algorithm than what was asked for",
        _PULL, "none", why_none="a permission; only digests of the same algorithm are compared"),
    Row(17, "must", "1.0", "end-3", "a manifest that is not in the repository is answered with 404", _PULL,
        "case"),
    Row(18, "must", "1.0", "end-3", "a pull from a repository that does not exist is answered with 404",
        _PULL,
        "case"),
    Row(19, "must", "1.0", "end-2", "a blob that exists is answered with 200 and its content", _BLOB,
        "passive"),
    Row(20, "must", "dev", "end-2", "GET of a blob answers with Docker-Content-Digest, which is the body's",
        _BLOB, "passive", before="should"),
    Row(21, "must", "1.0", "end-2", "a blob that is not in the repository is answered with 404", _BLOB,
        "case"),
    Row(22, "should", "1.1.1", "end-2", "byte ranges of blobs can be read", _BLOB, "passive"),
    Row(23, "must", "1.0", "end-2 end-3", "HEAD of what exists is answered with 200", _HEAD, "passive"),
    Row(24, "must", "dev", "end-2 end-3", "HEAD answers with Docker-Content-Digest", _HEAD, "passive",
        before="should"),
    Row(25, "must", "dev", "end-2 end-3", "HEAD answers with Content-Length, the number of bytes", _HEAD,
        "passive", before="should"),
    Row(26, "must", "1.0", "end-2 end-3", "HEAD of what does not exist is answered with 404", _HEAD, "case"),
    Row(27, "note", "1.0", "end-3", "the type of a manifest can be negotiated with Accept", "", "case"),
    # --- push: blobs ----------------------------------------------------------------------------------------
    Row(28, "must", "1.0", "end-4a", "POST opens a session: 202 and a Location", _POST, "passive"),
    Row(29, "must", "1.0", "end-4a", "each session's Location is its own", _POST, "passive"),
    Row(30, "may", "1.0", "end-4a", "Location is absolute or relative, may be elsewhere and have a query",
        _POST,
        "none", why_none="a permission; any Location is used as it is"),
    Row(31, "must", "1.0", "end-6", "PUT with the digest closes a session: 201 and the Location of the blob",
        _POST, "passive"),
    Row(32, "may", "1.0", "end-4b", "a blob may be pushed in a single POST, else a session is opened",
        _SINGLE,
        "passive"),
    Row(33, "must", "1.0", "end-4b end-6", "bytes that do not have the digest are refused", _PUSH, "case"),
    Row(34, "must", "1.0", "end-4b end-5 end-6", "bytes that do not have the length are refused", _CHUNK,
        "case"),
    Row(35, "should", "dev", "end-4 end-6 end-7",
        "a digest that is none, or unsupported, is answered with 400",
        _DIGEST, "case"),
    Row(36, "should", "dev", "end-4c", "a session can be opened for another algorithm", _CHUNK, "case"),
    Row(37, "should", "1.1", "end-4a", "OCI-Chunk-Min-Length says how short a chunk may be", _CHUNK,
        "passive"),
    Row(38, "must", "1.0", "end-5", "Content-Range of a chunk is <first>-<last>, in order from 0", _CHUNK,
        "case"),
    Row(39, "must", "1.0", "end-5", "a chunk is accepted with 202 and a Location", _CHUNK, "passive"),
    Row(40, "must", "1.1", "end-5", "Range says 0-<last byte of the blob so far>", _CHUNK, "passive"),
    Row(41, "must", "1.0", "end-5", "a chunk out of order is answered with 416", _CHUNK, "case"),
    Row(42, "must", "dev", "end-6", "a last chunk out of order is answered with 416", _CHUNK, "case"),
    Row(43, "must", "1.0", "end-5 end-6", "PUT closes a session; the last chunk may be in it or before it",
        _CHUNK, "model", "P6"),
    Row(44, "must", "1.1", "end-13", "the status of a session: 204, its Location and its Range", _CHUNK,
        "passive"),
    Row(45, "must", "1.0", "end-5 end-6 end-13 end-14", "a session that is unknown or closed is answered with"
        " 404", "endpoints", "case"),
    Row(46, "should", "dev", "end-14", "a session can be cancelled: 204", "canceling-a-blob-upload",
        "passive"),
    Row(47, "should", "dev", "end-4 end-5 end-6", "uploads that nobody ends time out", _PUSH, "none",
        why_none="it takes as long as the registry likes, and no plan waits for the clock"),
    Row(48, "must", "1.0", "end-11", "a mount is answered with 201 and the Location of the blob", _MOUNT,
        "passive"),
    Row(49, "may", "1.1", "end-11", "the source of a mount may be left out", _MOUNT, "none",
        why_none="a permission; 201 and 202 are both allowed (a case sends it)"),
    Row(50, "should", "1.0", "end-11", "what cannot be mounted is answered with 202, and uploaded", _MOUNT,
        "case"),
    Row(51, "note", "1.0", "end-5", "a chunk may be sent without Content-Range", _CHUNK, "model", "P6"),
    # --- push: manifests ------------------------------------------------------------------------------------
    Row(52, "must", "1.0", "end-7", "a manifest is accepted with 201 and its Location", _MANIFEST, "passive"),
    Row(53, "must", "1.1", "end-7", "the bytes of a manifest are kept as they are", _MANIFEST, "model", "P1"),
    Row(54, "must", "1.1", "end-7", "Docker-Content-Digest of a push is the client's digest", _MANIFEST,
        "passive"),
    Row(55, "should", "1.1", "end-7", "parameters of the pushed Content-Type are ignored", _MANIFEST, "case"),
    Row(56, "may", "1.0", "end-7", "a manifest may list nothing", _MANIFEST, "case"),
    Row(57, "must", "1.1", "end-7", "a valid manifest is accepted before its subject", _SUBJECT, "case"),
    Row(58, "must", "1.0", "end-7", "a manifest that is refused for what it references is refused with"
        " MANIFEST_BLOB_UNKNOWN", _MANIFEST, "case"),
    Row(59, "must", "1.1", "end-7",
        "OCI-Subject answers a manifest with a subject, where referrers are listed",
        _SUBJECT, "passive"),
    Row(60, "note", "1.0", "end-7", "a malformed manifest is refused", _MANIFEST, "case"),
    Row(61, "should", "1.1", "end-7", "a manifest that is too large is answered with 413", _MANIFEST, "case"),
    Row(62, "should", "1.1", "end-7", "manifests of four megabytes are accepted", _MANIFEST, "case"),
    Row(63, "must", "dev", "end-7b", "OCI-Tag names each tag that a push with ?tag= has set", _MANIFEST,
        "passive"),
    Row(64, "note", "1.0", "end-7", "a push moves its tag, and makes the digest readable", _MANIFEST, "model",
        "P4"),
    # --- discovery ------------------------------------------------------------------------------------------
    Row(65, "must", "1.0", "end-8a", "the tags of a repository: 200, or 404 where there is none", _TAGS,
        "case"),
    Row(66, "must", "1.0", "end-8a", "the list is JSON with the name and the tags", _TAGS, "passive"),
    Row(67, "must", "1.0", "end-8", "the tags are in order", _TAGS, "model", "P7"),
    Row(68, "must", "1.0", "end-8b", "a list has n tags, unless there are fewer, or a Link to the rest",
        _TAGS,
        "case"),
    Row(69, "must", "1.1.1", "end-8b", "Link of a list is to the next page, by the rules of web linking",
        _TAGS,
        "passive"),
    Row(70, "must", "1.0", "end-8b", "a limit of 0 gives an empty list without a Link", _TAGS, "case"),
    Row(71, "must", "1.0", "end-8b", "a list begins strictly after the tag `last`", _TAGS, "case"),
    Row(72, "must", "1.1", "end-12a", "where referrers are listed, their list is never 404", _REFERRERS,
        "case"),
    Row(73, "must", "1.1", "end-12a", "referrers of what is no digest are answered with 400", _REFERRERS,
        "case"),
    Row(74, "must", "1.1", "end-12a", "a list of referrers is an image index, and typed as one", _REFERRERS,
        "passive"),
    Row(75, "must", "1.1", "end-12a", "each referrer is a manifest of the repository with that subject",
        _REFERRERS, "model", "P7"),
    Row(76, "must", "1.1", "end-12a", "a referrer's artifactType is the manifest's, else its config's type",
        _REFERRERS, "passive"),
    Row(77, "must", "1.1", "end-12a", "a referrer has the manifest's annotations", _REFERRERS, "passive"),
    Row(78, "must", "1.1", "end-12a", "where nothing refers to it, the list is empty", _REFERRERS, "case"),
    Row(79, "must", "1.1", "end-12a", "a list that is too long is continued with Link", _REFERRERS,
        "passive"),
    Row(80, "must", "1.1", "end-12b", "a filter that was applied is named in OCI-Filters-Applied", _REFERRERS,
        "passive"),
    Row(81, "must", "1.1", "end-12", "all manifests with a subject are listed, older ones too",
        "enabling-the-referrers-api", "model", "P7"),
    Row(82, "note", "1.1", "end-12", "a referrer that was deleted is no longer listed", _REFERRERS, "model",
        "P7"),
    Row(83, "must", "1.1", "tags", "without the API, clients keep referrers under a tag",
        "unavailable-referrers-api", "none", why_none=_CLIENT),
    # --- management -----------------------------------------------------------------------------------------
    Row(84, "must", "1.0", "end-9", "deleting a tag: 202, or 400 or 405 where that is disabled",
        "deleting-tags", "passive"),
    Row(85, "must", "1.1.1", "end-9", "a tag that was deleted is answered with 404", "deleting-tags", "model",
        "P5"),
    Row(86, "must", "1.0", "end-9", "deleting a manifest: 202, or 400 or 405 where that is disabled",
        "deleting-manifests", "passive"),
    Row(87, "must", "1.1.1", "end-9", "a manifest that was deleted, and its tags, are answered with 404",
        "deleting-manifests", "model", "P5"),
    Row(88, "must", "1.0", "end-10", "deleting a blob: 202, 404 where it is unknown, 400 or 405 where that is"
        " disabled", "deleting-blobs", "passive"),
    Row(89, "note", "1.0", "end-9 end-10", "only what was named is deleted", "content-management", "model",
        "P5"),
    # --- errors, warnings, extensions -----------------------------------------------------------------------
    Row(90, "must", "1.0", "all", "an error in JSON is an object with a list of errors, each with a code",
        _ERRORS, "passive"),
    Row(91, "must", "1.0", "all", "the code of an error is one of the specification's", _ERRORS, "passive"),
    Row(92, "must", "1.1", "all", "a warning is `299 - \"text\"`, at most 4096 bytes in all", "warnings",
        "passive"),
    Row(93, "may", "dev", "end-2 end-3", "a proxy may be asked for another registry's content with ?ns=",
        "registry-proxying", "case"),
    Row(94, "must", "1.1", "extensions", "extensions live under names that begin with an underscore",
        "extensions", "case"),
)
# fmt: on

ROWS: Mapping[int, Row] = {row.number: row for row in _ROWS}


def released(row: Row, spec: str) -> bool:
    """Whether the version that a target promises (``1.0``, ``1.1``, ``dev``) states the row as it is here."""
    return RELEASED[row.since] <= RELEASED.get(spec, 1)


def at_most(level: Level, row: Row, spec: str) -> Level:
    """The level of a finding against a row: what only a later version demands is no more than advice."""
    if level in ("must", "promise") and not released(row, spec):
        return "should"
    return level
