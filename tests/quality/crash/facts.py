"""What may be true of a store: kept while something is done to it, compared with what is there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reference_impl.drivers.base import Driver, NotFound
from reference_impl.registry import layout, names, repositories
from reference_impl.registry.digests import digest_of
from reference_impl.registry.errors import Refusal
from reference_impl.registry.links import read_link
from reference_impl.registry.store import Registry

Value = bool | str | int | None
ABSENT = frozenset({"BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"})


class Key(NamedTuple):
    """``kind`` is blob, manifest, tag or session.

    What is true of it: whether it is there, for the first two; the digest that a tag points to; the size of a
    session. None for a tag or session that is not there.
    """

    kind: str
    repo: str
    name: str

    @property
    def absent(self) -> Value:
        return False if self.kind in ("blob", "manifest") else None


@dataclass
class Facts:
    """``allowed``: what each key may be.

    Whoever does something enters what it may become, and when it is acknowledged, that it is nothing else.
    ``uploads``: what is being uploaded in each session. ``in_trash``: what a collector was wrong about and
    was killed before it could know; until the next one ends, it may be missing. ``purged``: what a collector
    removed; nobody was promised that it stays away when the power is cut. ``noted`` is called after each
    change of what is allowed.
    """

    allowed: dict[Key, frozenset[Value]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[Key, bytes] = field(default_factory=dict)
    in_trash: set[Key] = field(default_factory=set)
    purged: set[Key] = field(default_factory=set)
    noted: Callable[[], None] = lambda: None

    def of(self, key: Key) -> frozenset[Value]:
        return self.allowed.get(key, frozenset({key.absent}))

    def is_surely(self, key: Key, value: Value) -> bool:
        return self.of(key) == {value}

    def allow(self, changes: Mapping[Key, frozenset[Value]]) -> None:
        self.allowed |= changes
        self.noted()

    @contextlib.contextmanager
    def doing(
        self, becomes: Mapping[Key, Value], meanwhile: Mapping[Key, Value] | None = None
    ) -> Iterator[None]:
        """While something is done that makes it so, or that may be seen ``meanwhile``; a refusal leaves
        everything as it was."""
        before = {key: self.of(key) for key in becomes}
        during = {key: before[key] | {value} for key, value in becomes.items()}
        for key, value in (meanwhile or {}).items():
            during[key] |= {value}
        self.allow(during)
        try:
            yield
        except Exception:
            self.allow(before)
            raise
        self.allow({key: frozenset({value}) for key, value in becomes.items()})

    def copy(self) -> Facts:
        """What it is now; contents are shared."""
        return Facts(dict(self.allowed), self.bodies, self.uploads, set(self.in_trash), set(self.purged))

    def present(self, kind: str) -> list[Key]:
        """What surely is there."""
        return sorted(
            key for key, allowed in self.allowed.items() if key.kind == kind and key.absent not in allowed
        )

    def reachable(self) -> set[str]:
        """The digests of all manifests that are there, and of all that they lead to."""
        found: set[str] = set()
        left = [key.name for key in self.present("manifest")]
        while left:
            digest = left.pop()
            if digest not in found:
                found.add(digest)
                left += references(self.bodies.get(digest, b"{}"))
        return found


def references(body: bytes) -> list[str]:
    """The digests that a manifest refers to; none of anything else."""
    try:
        fields = json.loads(body)
    except ValueError:
        return []
    if not isinstance(fields, dict):
        return []
    described = [fields.get("config"), *fields.get("layers", []), *fields.get("manifests", [])]
    return [one["digest"] for one in described if one]


def settle(registry: Registry, facts: Facts, *, power: bool = False) -> list[str]:
    """Compare with what is there, and from now on allow nothing else; returns what is wrong.

    After a power cut, a session of which nothing was kept may be gone.
    """
    wrong = []
    for key in sorted(facts.allowed):
        allowed = facts.of(key)
        try:
            actual = _READERS[key.kind](registry, key, facts)
        except AssertionError as error:
            wrong.append(f"{key}: {error}")
            continue
        if not _fits(key, actual, allowed, power=power) and not (power and key in facts.purged):
            wrong.append(f"{key}: {actual}, allowed are {sorted(allowed, key=str)}")
        if key not in facts.in_trash:
            facts.allowed[key] = frozenset({actual})
    for key in facts.present("manifest"):
        for digest in references(facts.bodies[key.name]):
            kind = "manifest" if Key("manifest", key.repo, digest) in facts.allowed else "blob"
            below = Key(kind, key.repo, digest)
            if not facts.is_surely(below, True) and below not in facts.in_trash:
                wrong.append(f"{key}: refers to {digest}, which is not there")
    for repo in sorted({key.repo for key in facts.allowed}):
        tags = [key.name for key in facts.present("tag") if key.repo == repo]
        if (listed := _listed(registry, repo)) != tags:
            wrong.append(f"{repo}: the tags {tags} are listed as {listed}")
    return wrong


def _fits(key: Key, actual: Value, allowed: frozenset[Value], *, power: bool) -> bool:
    if actual in allowed:
        return True
    sizes = [value for value in allowed if isinstance(value, int) and key.kind == "session"]
    if not sizes:
        return False
    if actual is None:
        return power and min(sizes) == 0
    return isinstance(actual, int) and min(sizes) <= actual <= max(sizes)


def _read_blob(registry: Registry, key: Key, facts: Facts) -> Value:
    try:
        _, reader = registry.content.open(key.repo, names.digest(key.name))
    except Refusal as refusal:
        if refusal.reason not in ABSENT:
            raise
        return False
    try:
        data = reader.read_at(0, reader.size_bytes)
    finally:
        reader.close()
    assert data == facts.bodies[key.name], f"{len(data)} bytes are not those that were pushed"
    return True


def _read_manifest(registry: Registry, key: Key, facts: Facts) -> Value:
    try:
        body = registry.manifests.get(key.repo, names.digest(key.name)).body
    except Refusal as refusal:
        if refusal.reason not in ABSENT:
            raise
        return False
    assert body == facts.bodies[key.name], "other bytes than were pushed"
    return True


def _read_tag(registry: Registry, key: Key, facts: Facts) -> Value:
    if registry.tags.resolve(key.repo, key.name) is None:
        return None
    try:
        manifest = registry.manifests.get(key.repo, key.name)
    except Refusal as refusal:
        raise AssertionError(f"the tag dangles: {refusal}") from None
    return str(digest_of(manifest.body))


def _read_session(registry: Registry, key: Key, facts: Facts) -> Value:
    try:
        return registry.sessions.size(key.repo, key.name)
    except Refusal as refusal:
        if refusal.reason not in ABSENT:
            raise
        return None


_READERS = {"blob": _read_blob, "manifest": _read_manifest, "tag": _read_tag, "session": _read_session}


def _listed(registry: Registry, repo: str) -> list[str]:
    try:
        return registry.tags.page(repo, None, 1000)[0]
    except Refusal as refusal:
        if refusal.reason not in ABSENT:
            raise
        return []


def torn(driver: Driver, *, dangling: bool = False) -> list[str]:
    """What another reader of the layout would trip over: tags without a link, links that are no digest,
    manifests without their bytes, and blobs without unless they may be ``dangling``."""
    wrong = []
    for path, _ in driver.walk(layout.REPOSITORIES):
        if not path.endswith("/link"):
            continue
        try:
            target = names.digest(driver.read(path).decode())
        except Refusal:
            wrong.append(f"{path} is torn")
            continue
        if (dangling and "/_layers/" in path) or "/index/" in path:
            continue
        try:
            driver.stat(layout.blob_data(target))
        except NotFound:
            wrong.append(f"{path} leads to nothing")
    for repo in repositories.every(driver):
        with contextlib.suppress(NotFound):
            for tag in driver.list(layout.tags(repo)):
                if read_link(driver, layout.tag_current_link(repo, tag)) is None:
                    wrong.append(f"{repo}: the tag {tag} has no link")
    return wrong


def stray(driver: Driver, facts: Facts) -> list[str]:
    """The files of a collected store that nothing accounts for."""
    reachable = facts.reachable()
    expected = {layout.blob_data(digest_of(facts.bodies[digest])) for digest in reachable}
    for key, allowed in facts.allowed.items():
        if key.kind == "session" or key.absent in allowed:
            continue
        if key.kind == "tag":
            (value,) = allowed
            expected.add(layout.tag_current_link(key.repo, key.name))
            expected.add(layout.tag_index_link(key.repo, key.name, names.digest(str(value))))
            continue
        canonical = digest_of(facts.bodies[key.name])
        link = layout.layer_link if key.kind == "blob" else layout.revision_link
        expected |= {link(key.repo, names.digest(key.name)), link(key.repo, canonical)}
    there = {path for top in (layout.BLOBS, layout.REPOSITORIES) for path, _ in driver.walk(top)}
    private = {path for path, _ in driver.walk(layout.PRIVATE) if not path.startswith(f"{layout.LOCKS}/")}
    history = {path for path in there if "/_manifests/tags/" in path and "/index/" in path}
    missing = [f"missing: {path}" for path in sorted(expected - there)]
    return missing + sorted((there - expected - history) | private)
