"""Reading one repository for a collection: its manifests, what they say, and what its tags lead to.

Three things can be wrong with what is stored.  *Torn* links (0 bytes, or no digest in them: a crash of
another writer) count as absent where their path does not tell what they stood for.  *Damage* is content
that the backend certainly does not have as it should be: it costs no other repository its collection.
Anything else, `OSError` or `DriverError`, says nothing about the store, and is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..drivers.base import Driver, NotFound
from ..registry import documents, layout, links, names
from ..registry.digests import CANONICAL, ENCODED_CHARS, Digest, digest_of
from ..registry.errors import Refusal


@dataclass(frozen=True, slots=True)
class Node:
    """What one manifest says: the digests in it, and whether they may be manifests."""

    references: tuple[tuple[Digest, bool], ...]
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """Content that is not what its digest promises; or it is (``whole``), but it is not a manifest."""

    reason: str
    whole: bool = False


Content = Node | Damaged | None
"""None: it is not there."""


@dataclass(slots=True)
class Survey:
    """``aliases`` are all names of manifests that are not canonical; ``torn`` those that lead nowhere."""

    repository: str
    links: dict[Digest, int] = field(default_factory=dict)
    """Canonical digest of each manifest, to the time of its link in ns."""
    aliases: dict[Digest, Digest] = field(default_factory=dict)
    torn: set[Digest] = field(default_factory=set)
    nodes: dict[Digest, Node] = field(default_factory=dict)
    nested: dict[Digest, Digest] = field(default_factory=dict)
    """Children of indexes that were pushed as blobs: the name they are referred to by, to the canonical."""
    damage: list[str] = field(default_factory=list)

    def resolve(self, digest: Digest) -> Digest | None:
        """Return the canonical digest of a manifest of this repository, None if it is not one."""
        return digest if digest in self.links else self.aliases.get(digest) or self.nested.get(digest)

    def names(self) -> dict[Digest, Digest]:
        """Return for each manifest the name it was pushed by."""
        return {canonical: canonical for canonical in self.links} | {
            canonical: alias for alias, canonical in self.aliases.items()
        }


def revisions(driver: Driver, repository: str) -> Survey:
    """List the manifests of a repository, without reading them."""
    survey = Survey(repository)
    for name in linked(driver, layout.revisions(repository)):
        try:
            mtime_ns = driver.stat(layout.revision_link(repository, name)).mtime_ns
        except NotFound:  # a folder that was left, or went away meanwhile
            continue
        if name.algorithm == CANONICAL:  # whatever is in the link, it can only mean itself
            survey.links[name] = mtime_ns
            continue
        target = links.read_digest_link(driver, layout.revision_link(repository, name), name)
        if target is None:
            survey.torn.add(name)
        else:
            survey.aliases[name] = target
            survey.links.setdefault(target, mtime_ns)
    return survey


def read(driver: Driver, repository: str, known: Survey | None = None) -> Survey:
    """Read all manifests of a repository; none again that was read by ``known``: content never changes.

    Raises DriverError, OSError.
    """
    return read_listed(driver, revisions(driver, repository), known)


def read_listed(driver: Driver, survey: Survey, known: Survey | None = None) -> Survey:
    """Read the manifests that are in ``survey.links``; see `read`."""
    repository = survey.repository
    for canonical in list(survey.links):
        node: Content = known.nodes.get(canonical) if known is not None else None
        if node is None or survey.torn:
            node = content(driver, canonical, torn_in=survey)
        if isinstance(node, Node):
            survey.nodes[canonical] = node
            continue
        if node is None:
            link = links.read_link(driver, layout.revision_link(repository, canonical))
            if link is None and canonical not in survey.aliases.values():
                del survey.links[canonical]  # torn, and nothing behind it: as if it were not there
                continue
            node = Damaged("missing")
        survey.damage.append(f"{repository}: manifest {canonical}: {node.reason}")
    _read_nested(driver, survey)
    return survey


def _read_nested(driver: Driver, survey: Survey) -> None:
    """Read what indexes call manifests, and what is in the repository only as a blob; to any depth."""
    left = list(survey.nodes.values())
    while left:
        for name, is_manifest in left.pop().references:
            if not is_manifest or survey.resolve(name) is not None:
                continue
            canonical = layer(driver, survey.repository, name)
            if canonical is None:
                continue
            survey.nested[name] = canonical
            node = content(driver, canonical, limit_bytes=documents.SIZE_MAX_BYTES)
            if isinstance(node, Node):
                survey.nodes.setdefault(canonical, node)
                left.append(node)
            elif node is not None and not node.whole:
                survey.damage.append(f"{survey.repository}: manifest {canonical}: {node.reason}")


def layer(driver: Driver, repository: str, name: Digest) -> Digest | None:
    """Return the canonical digest of a blob that is linked in a repository."""
    path = layout.layer_link(repository, name)
    target = links.read_digest_link(driver, path, name)
    if target is None and name.algorithm == CANONICAL and exists(driver, path):
        return name  # torn, but it can only have meant this
    return target


def content(
    driver: Driver, canonical: Digest, *, limit_bytes: int | None = None, torn_in: Survey | None = None
) -> Content:
    """Read content as a manifest; what is larger than the limit is none.

    Names of it whose link is torn are mended ``torn_in`` a survey.
    """
    try:
        reader = driver.open(layout.blob_data(canonical))
    except NotFound:
        return None
    try:
        if limit_bytes is not None and reader.size_bytes > limit_bytes:
            return Damaged("too large for a manifest", whole=True)
        body = reader.read_at(0, reader.size_bytes)
    finally:
        reader.close()
    if digest_of(body) != canonical:
        return Damaged("the content does not match the digest")
    if torn_in is not None:
        for alias in [one for one in torn_in.torn if digest_of(body, one.algorithm) == one]:
            torn_in.torn.discard(alias)
            torn_in.aliases[alias] = canonical
    try:
        fields = documents.load(body)
    except Refusal:
        return Damaged("not JSON", whole=True)
    found = ((_digest(text), is_manifest) for text, is_manifest in documents.references(fields))
    subject = documents.subject(fields)
    return Node(
        tuple((digest, is_manifest) for digest, is_manifest in found if digest is not None),
        None if subject is None else _digest(subject),
    )


def _digest(text: str) -> Digest | None:
    """Of a text that is a digest by the grammar; None if its algorithm is unknown to us."""
    algorithm, _, encoded = text.partition(":")
    return Digest(algorithm, encoded) if algorithm in ENCODED_CHARS else None


def linked(driver: Driver, folder: str) -> Iterator[Digest]:
    """Yield the digests that have a folder in ``<folder>/<algorithm>/``."""
    for algorithm, chars in sorted(ENCODED_CHARS.items()):
        try:
            entries = driver.list(f"{folder}/{algorithm}")
        except NotFound:
            continue
        for encoded in entries:
            if len(encoded) == chars and names.is_digest_syntax(f"{algorithm}:{encoded}"):
                yield Digest(algorithm, encoded)


def tagged(driver: Driver, repository: str) -> set[Digest]:
    """Return what tags point to, whether it is there or not.

    A tag whose link is torn may have pointed to any manifest that it ever pointed to.  Raises DriverError,
    OSError.
    """
    found: set[Digest] = set()
    folder = layout.tags(repository)
    try:
        tags = driver.list(folder)
    except NotFound:
        return found
    for tag in tags:
        path = layout.tag_current_link(repository, tag)
        target = links.read_link(driver, path)
        if target is not None:
            found.add(target)
        elif exists(driver, path):
            found.update(linked(driver, f"{folder}/{tag}/index"))
    return found


def live(driver: Driver, survey: Survey) -> set[Digest]:
    """Return the manifests that a tag leads to, through indexes, or from a subject to what is attached.

    Raises DriverError, OSError.
    """
    attached: dict[Digest, list[Digest]] = {}
    for canonical, node in survey.nodes.items():
        target = survey.resolve(node.subject) if node.subject is not None else None
        if target is not None:
            attached.setdefault(target, []).append(canonical)
    found: set[Digest] = set()
    left: list[Digest | None] = [survey.resolve(name) for name in tagged(driver, survey.repository)]
    while left:
        one = left.pop()
        if one is None or one in found:
            continue
        found.add(one)
        left += attached.get(one, [])
        if one in survey.nodes:
            left += [survey.resolve(name) for name, _ in survey.nodes[one].references]
    return found


def led_to(driver: Driver, survey: Survey) -> set[Digest]:
    """Return everything that a tag or a manifest names, whether it is there or not."""
    named = {name for node in survey.nodes.values() for name, _ in node.references}
    return named | tagged(driver, survey.repository)


def exists(driver: Driver, path: str) -> bool:
    try:
        driver.stat(path)
    except NotFound:
        return False
    return True
