"""Somebody who uses a registry, without HTTP, and remembers what was acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence

from reference_impl.collect.events import Emit, Event
from reference_impl.collect.run import Policy, Summary, collect
from reference_impl.registry import layout, names
from reference_impl.registry.digests import digest_of
from reference_impl.registry.documents import OCI_IMAGE, OCI_INDEX
from reference_impl.registry.errors import Refusal
from reference_impl.registry.sessions import Upload
from reference_impl.registry.store import Registry

from .facts import ABSENT, Facts, Key, Value, references


def sha(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def image(config: bytes, *layers: bytes) -> bytes:
    fields = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": _described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [_described(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
    }
    return json.dumps(fields).encode()


def index(*children: bytes) -> bytes:
    manifests = [_described(child, OCI_IMAGE) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()


def _described(data: bytes, media_type: str) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": sha(data), "size": len(data)}


class Client:
    """Whatever it does can be done again: what is there, or gone, already counts as done."""

    def __init__(self, registry: Registry, facts: Facts) -> None:
        self.registry = registry
        self.facts = facts

    # -- blobs -----------------------------------------------------------------------------

    def push(self, repo: str, data: bytes, algorithm: str = "sha256") -> None:
        """In one request."""
        digest = self._knows(data, algorithm)
        upload = self.registry.sessions.unnamed(repo)
        with self.facts.doing(_blob(repo, data, algorithm)), _let_go(upload):
            upload.write(data)
            upload.commit(names.digest(digest))

    def push_if_absent(self, repo: str, data: bytes) -> None:
        """As most clients do: what is there is not sent."""
        try:
            self.registry.content.find(repo, digest_of(data))
        except Refusal as refusal:
            if refusal.reason not in ABSENT:
                raise
            self.push(repo, data)

    def push_wrong(self, repo: str, data: bytes) -> None:
        """Claim a digest that is not the content's: refused, and nothing is to be seen of it."""
        self._knows(data)
        key = Key("blob", repo, sha(data))
        self.facts.allow({key: self.facts.of(key)})
        session = self.begin(repo, b"not " + data)
        self.patch(session, len(data))
        try:
            self.finish(session, claimed=sha(data))
        except Refusal as refusal:
            if refusal.reason != "DIGEST_INVALID":
                raise
        else:
            raise AssertionError("a wrong digest was accepted")

    def push_chunked(self, repo: str, data: bytes, *cuts: int) -> None:
        """POST, a PATCH up to each of ``cuts``, and a PUT with the rest."""
        session = self.begin(repo, data)
        for cut in cuts:
            self.patch(session, cut)
        self.finish(session)

    def begin(self, repo: str, data: bytes) -> Key:
        self._knows(data)
        session = Key("session", repo, self.registry.sessions.create(repo))
        self.facts.uploads[session] = data
        self.facts.allow({session: frozenset({0})})
        return session

    def patch(self, session: Key, cut: int) -> None:
        data = self.facts.uploads[session]
        upload = self.registry.sessions.resume(session.repo, session.name)
        with self.facts.doing({session: cut}), _let_go(upload):
            upload.write(data[upload.size_bytes : cut])
            upload.keep()

    def finish(self, session: Key, claimed: str = "") -> None:
        data = self.facts.uploads[session]
        upload = self.registry.sessions.resume(session.repo, session.name)
        becomes: dict[Key, Value] = {session: None}
        if not claimed:
            becomes |= _blob(session.repo, data)
        # Until it is acknowledged, what this request sends may have been kept.
        with self.facts.doing(becomes, {session: len(data)}), _let_go(upload):
            upload.write(data[upload.size_bytes :])
            upload.commit(names.digest(claimed or sha(data)))

    def cancel(self, session: Key) -> None:
        if None not in self.facts.of(session):
            with self.facts.doing({session: None}):
                self.registry.sessions.cancel(session.repo, session.name)

    def mount(self, repo: str, data: bytes, source: str) -> None:
        with self.facts.doing(_blob(repo, data)):
            assert self.registry.mounts.mount(repo, names.digest(sha(data)), source) is not None

    def delete_blob(self, repo: str, data: bytes) -> None:
        key = Key("blob", repo, sha(data))
        with self._or_gone(key), self.facts.doing({key: False}):
            self.registry.content.delete(repo, digest_of(data))

    # -- manifests -------------------------------------------------------------------------

    def put(self, repo: str, body: bytes, *tags: str, algorithm: str = "sha256") -> None:
        """Under tags, or by digest only."""
        digest = self._knows(body, algorithm)
        manifest = self._accepted(repo, body, digest)
        if not tags:
            with self.facts.doing(manifest):
                self.registry.manifests.put(repo, names.digest(digest), body, "")
        for tag in tags:
            with self.facts.doing(manifest | {Key("tag", repo, tag): sha(body)}):
                self.registry.manifests.put(repo, tag, body, "")

    def _accepted(self, repo: str, body: bytes, digest: str) -> dict[Key, Value]:
        """What a manifest's acceptance says: it is there, and so is all that it refers to."""
        accepted: dict[Key, Value] = {Key("manifest", repo, name): True for name in {sha(body), digest}}
        for text in references(body):
            child = Key("manifest", repo, text)
            accepted[child if child in self.facts.allowed else Key("blob", repo, text)] = True
        return accepted

    def put_as_others_do(self, repo: str, body: bytes) -> None:
        """As another registry on the same store: without locks, and nothing is leased."""
        digest, driver = digest_of(body), self.registry.driver
        self._knows(body)
        with self.facts.doing({Key("manifest", repo, str(digest)): True}):
            driver.write(layout.blob_data(digest), body)
            driver.write(layout.revision_link(repo, digest), str(digest).encode())

    def push_image(self, repo: str, config: bytes, layers: Sequence[bytes], *tags: str) -> bytes:
        for data in (config, *layers):
            self.push(repo, data)
        body = image(config, *layers)
        self.put(repo, body, *tags)
        return body

    def delete_manifest(self, repo: str, body: bytes) -> None:
        aliases = [one for one in self.facts.allowed if one.kind == "manifest" and one.repo == repo]
        becomes: dict[Key, Value] = {one: False for one in aliases if self.facts.bodies[one.name] == body}
        for tag in [key for key in self.facts.allowed if key.kind == "tag" and key.repo == repo]:
            if sha(body) in self.facts.of(tag):
                becomes[tag] = None
        with self._or_gone(Key("manifest", repo, sha(body))), self.facts.doing(becomes):
            self.registry.manifests.delete(repo, digest_of(body))

    def delete_tag(self, repo: str, tag: str) -> None:
        key = Key("tag", repo, tag)
        with self._or_gone(key), self.facts.doing({key: None}):
            self.registry.manifests.delete_tag(repo, tag)

    @contextlib.contextmanager
    def _or_gone(self, key: Key) -> Iterator[None]:
        """To delete again what may be gone is refused: that tells what is seen, and promises nothing."""
        try:
            yield
        except Refusal as refusal:
            if refusal.reason not in ABSENT or key.absent not in self.facts.of(key):
                raise

    # -- collection ------------------------------------------------------------------------

    def collect(self, *, delete_untagged: bool = False, session_age_s: float = 7 * 86400.0) -> Summary:
        """Collect to the end, which is a clean one."""
        facts = self.facts
        becomes: dict[Key, Value] = {}
        if delete_untagged:
            tagged = {str(value) for key in facts.present("tag") for value in facts.of(key)}
            below = {text for digest in tagged for text in _all_below(facts, facts.bodies[digest])}
            becomes |= {key: False for key in facts.present("manifest") if key.name not in tagged | below}
        if session_age_s == 0:
            becomes |= {key: None for key in facts.allowed if key.kind == "session"}
        after = facts.copy()
        after.allowed |= {key: frozenset({value}) for key, value in becomes.items()}
        kept = {sha(facts.bodies[digest]) for digest in after.reachable()}
        becomes |= {
            key: sha(facts.bodies[key.name]) in kept for key in {*facts.present("blob"), *facts.in_trash}
        }
        policy = Policy(delete_untagged=delete_untagged, session_age_s=session_age_s)
        return self._collect(policy, becomes, lambda _: None)

    def collect_beside_others(self, repo: str, data: bytes, body: bytes) -> Summary:
        """Collect while another registry makes a manifest that refers to what was found to be garbage, after
        the mark, and without a lease. In the end the collector has noticed."""

        def beside(event: Event) -> None:
            if event.step == "counted":
                self.put_as_others_do(repo, body)

        key = Key("blob", repo, sha(data))
        self._in_trash(key)
        return self._collect(Policy(), {key: True}, beside)

    def _collect(self, policy: Policy, becomes: dict[Key, Value], emit: Emit) -> Summary:
        self.facts.purged |= {key for key, value in becomes.items() if value == key.absent}
        with self.facts.doing(becomes):
            summary = collect(self.registry, policy, emit)
            self.facts.in_trash.clear()
        assert not summary.problems, summary.problems
        return summary

    def lose_in_trash(self, repo: str, data: bytes) -> None:
        """As if a collector had taken content for garbage, and been killed before it looked again."""
        driver, digest = self.registry.driver, digest_of(data)
        driver.link(layout.blob_data(digest), layout.trashed("killed", digest))
        driver.discard(layout.blob_data(digest))
        self._in_trash(Key("blob", repo, str(digest)))

    def _in_trash(self, key: Key) -> None:
        self.facts.in_trash.add(key)
        self.facts.allow({key: frozenset({True, False})})

    def _knows(self, data: bytes, algorithm: str = "sha256") -> str:
        for name in (sha(data), sha(data, algorithm)):
            self.facts.bodies[name] = data
        return sha(data, algorithm)


@contextlib.contextmanager
def _let_go(upload: Upload) -> Iterator[None]:
    """Whoever is killed lets go of its files."""
    try:
        yield
    finally:
        upload._appender.close()


def _blob(repo: str, data: bytes, algorithm: str = "sha256") -> dict[Key, Value]:
    return {Key("blob", repo, name): True for name in {sha(data), sha(data, algorithm)}}


def _all_below(facts: Facts, body: bytes) -> set[str]:
    alone = Facts(bodies=facts.bodies, allowed={Key("manifest", "", sha(body)): frozenset({True})})
    return alone.reachable()
