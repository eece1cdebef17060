"""From exchanges to facts: what each answer says about which object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import unquote, urlsplit

from harness.history import FOREVER_NS, Body, Exchange, History
from harness.model import circumstances
from harness.model.facts import ANY, Fact, FactKind, Facts, Obj, ObjKind, Seen, TagKind, TagOp
from harness.plan.content import ALL_MANIFEST_TYPES

SESSION_CALLS = frozenset({"upload.patch", "upload.put", "upload.get", "upload.cancel"})
OPENING_CALLS = frozenset({"upload.post", "upload.single", "upload.mount"})
OWN_ERRORS = frozenset({"cut", "stopped"})
"""Errors of an exchange that the harness made itself."""
_NO_WEIGHT = re.compile(r";\s*q=0(\.0*)?\s*(,|;|$)")


def facts_of(history: History) -> Facts:
    """The facts of a history, made once for each history (it keeps them, as a cached property would)."""
    found = history.__dict__.get("_facts")
    if not isinstance(found, Facts):
        found = _read(history)
        history.__dict__["_facts"] = found
    return found


def right(facts: Facts, body: Body, digest: str, name: str | None) -> bool | None:
    """Whether a body is the content of a digest; `None` where the record does not tell."""
    if not body.sha256:
        return None
    alg, _, encoded = digest.partition(":")
    if alg == "sha256":
        return body.sha256 == encoded
    if alg == "sha512" and body.sha512:
        return body.sha512 == encoded
    if name is None:
        return None
    symbols = facts.symbols
    own = name in facts.blobs.values() and facts.blobs.get(digest) == name
    known = symbols.blob_digest(name, "sha256") if own else symbols.manifest_digest(name, "sha256")
    return f"sha256:{body.sha256}" == known


def restricted(exchange: Exchange) -> bool:
    """Whether a manifest was asked for with less than every media type: then any refusal is legal (row
    27)."""
    accept = exchange.about.get("accept")
    if accept is None:
        accept = next((v for k, v in exchange.request_headers if k.lower() == "accept"), None)
    if accept is None:
        return False
    # A weight says what is preferred, not what is accepted; only one of zero does.
    refused = _NO_WEIGHT.search(accept) is not None
    return refused or not all(known in accept for known in ALL_MANIFEST_TYPES)


def session_repo(history: History, exchange: Exchange) -> str | None:
    """The repository that the path of an upload session's URL names, where it can be read."""
    path = unquote(urlsplit(exchange.target).path)
    _, found, rest = path.partition("/v2/")
    name, uploads, _ = rest.partition("/blobs/uploads/")
    return history.symbols.symbolic_repo(name) if found and uploads else None


def _read(history: History) -> Facts:
    facts = Facts(
        history,
        outages=circumstances.outages(history),
        pauses=circumstances.pauses(history),
        holds=circumstances.holds(history),
        faults=circumstances.faults(history),
        collects=circumstances.collects(history),
        damages=circumstances.damages(history),
    )
    _names(facts)
    homes: dict[str, str] = {}
    for exchange in history.exchanges:
        seen = _resolve(facts, exchange, homes)
        facts.seen.append(seen)
    for seen in facts.seen:
        _Reader(facts, seen).read()
    for (repo, _), ops in facts.tag_ops.items():
        ops.extend(facts.memo.get(("erased", repo), ()))
        ops.sort(key=lambda op: (op.start_ns, op.index))
    return facts


def _resolve(facts: Facts, exchange: Exchange, homes: dict[str, str]) -> Seen:
    history = facts.history
    call, about = exchange.call, exchange.about
    repo = str(about.get("repo", ""))
    upload = about.get("upload")
    if call in OPENING_CALLS and isinstance(upload, str):
        homes[upload] = repo
    elif call in SESSION_CALLS and isinstance(upload, str):
        at = session_repo(history, exchange)
        known = {*homes.values(), repo}
        repo = at if at in known and at is not None else homes.get(upload, repo)
    excused = exchange.cut is not None or exchange.error in OWN_ERRORS
    if not excused and facts.outages + facts.pauses + facts.faults:
        end = exchange.completed_ns
        spans = chain(facts.outages, facts.pauses, facts.faults)
        excused = any(span.overlaps(exchange.invoked_ns, end) for span in spans)
    return Seen(exchange, call, about, repo, excused)


def _names(facts: Facts) -> None:
    """Digests of everything that the history mentions, under every algorithm that it uses."""
    history, symbols = facts.history, facts.symbols
    blobs = {e.about["blob"] for e in history.exchanges if isinstance(e.about.get("blob"), str)}
    blobs |= {str(op.args["declare"]) for op in history.plan if "declare" in op.args}
    manifests = {e.about["manifest"] for e in history.exchanges if isinstance(e.about.get("manifest"), str)}
    queue = list(manifests)
    while queue:
        spec = symbols.manifest_spec(queue.pop())
        more = {*spec.children, *((spec.subject,) if spec.subject else ())} - manifests
        manifests |= more
        queue.extend(more)
    manifests |= {of for name in blobs if (of := symbols.blob_spec(name).of)}
    for name in sorted(manifests):
        algs = {"sha256", symbols.manifest_spec(name).alg}
        facts.manifests.update({symbols.manifest_digest(name, alg): name for alg in algs})
    for name in sorted(blobs):
        own = symbols.blob_spec(name).alg
        for alg in {own, "sha256"}:
            facts.blobs.setdefault(symbols.blob_digest(name, alg), name)


class _Reader:
    """What one exchange says."""

    def __init__(self, facts: Facts, seen: Seen) -> None:
        self.facts, self.seen, self.exchange = facts, seen, seen.exchange
        self.about, self.repo, self.status = seen.about, seen.repo, seen.status

    def read(self) -> None:
        handler = getattr(self, "_" + self.seen.call.replace(".", "_"), None)
        if handler is not None:
            handler()

    # --- helpers -------------------------------------------------------------------------------------------

    def _digest(self, kind: ObjKind) -> str | None:
        found = self.about.get("digest")
        if isinstance(found, str):
            return found
        name = self.about.get(kind)
        if not isinstance(name, str):
            return None
        symbols = self.facts.symbols
        return symbols.blob_digest(name) if kind == "blob" else symbols.manifest_digest(name)

    def _aliases(self, kind: ObjKind, digest: str) -> Iterator[str]:
        table = self.facts.blobs if kind == "blob" else self.facts.manifests
        if digest not in table:
            return
        same = self.facts.content(kind, digest)
        for other in table:
            # Equal bytes under another algorithm, by whichever name.
            if other != digest and (other == same or self.facts.content(kind, other) == same):
                yield other

    def _fact(self, what: FactKind, kind: ObjKind, digest: str, certain: bool = True, via: str = "") -> None:
        obj = Obj(kind, self.repo, digest)
        end = self.seen.end_ns if what in ("write", "delete") else self.exchange.completed_ns
        fact = Fact(what, obj, self.exchange.index, self.exchange.op, self.seen.start_ns, end, certain, via)
        self.facts.timeline(obj).add(fact)

    def _change(self, what: FactKind, kind: ObjKind, digest: str, certain: bool, via: str) -> None:
        """A write or a removal, and what it may have done to the same content under its other names."""
        self._fact(what, kind, digest, certain, via)
        other: ObjKind = "manifest" if kind == "blob" else "blob"
        for alias in self._aliases(kind, digest):
            self._fact(what, kind, alias, False, "alias")
        if digest in self.facts.manifests and (kind == "manifest" or digest in self.facts.blobs):
            for alias in (digest, *self._aliases("manifest", digest)):
                self._fact(what, other, alias, False, "alias")

    def _tag(
        self, kind: TagKind, tag: str, value: str | None = None, optional: bool = False, lasting: bool = True
    ) -> None:
        end = self.seen.end_ns if lasting else self.exchange.completed_ns
        op = TagOp(kind, value, self.seen.start_ns, end, optional, self.exchange.index, self.exchange.op)
        self.facts.tag_ops.setdefault((self.repo, tag), []).append(op)

    def _outcome(self, acknowledged: Iterable[int]) -> bool | None:
        """Whether a change was certainly made; `None`: certainly not."""
        if self.exchange.outcome == "fail" or 300 <= self.status < 400:
            return None
        return self.status in acknowledged

    # --- blobs ---------------------------------------------------------------------------------------------

    def _read_object(self, kind: ObjKind, digest: str) -> None:
        exchange = self.exchange
        if self.status in (200, 206):
            name = (self.facts.blobs if kind == "blob" else self.facts.manifests).get(digest)
            verdict = None
            if exchange.method == "GET" and self.status == 200 and exchange.body is not None:
                verdict = right(self.facts, exchange.body, digest, name)
            self._fact("wrong" if verdict is False else "present", kind, digest)
        elif self.status == 404:
            self._fact("absent", kind, digest)
        elif self.seen.excused:
            return
        elif self.status >= 500 or exchange.error in ("closed", "reset", "timeout"):
            self._fact("broken", kind, digest)
        elif exchange.error == "short":
            self._fact("wrong", kind, digest)

    def _blob_get(self) -> None:
        digest = self._digest("blob")
        if digest is not None:
            self._read_object("blob", digest)

    _blob_head = _blob_get

    def _remove_object(self, kind: ObjKind, need: str) -> None:
        digest = self._digest(kind)
        if digest is None:
            return
        certain = self._outcome((200, 202, 204))
        if certain is not None:
            self._change("delete", kind, digest, certain, "delete")
            words = f"the {kind} {self.facts.name(Obj(kind, self.repo, digest))} of {self.repo}"
            self.facts.removals.append((self.seen, words))
        elif self.status == 404 and self.facts.history.abilities.can(need):
            self._fact("absent", kind, digest)

    def _blob_delete(self) -> None:
        self._remove_object("blob", "blob-delete")

    def _commit(self, via: str) -> None:
        digest = self._digest("blob")
        if digest is None:
            return
        if self.exchange.outcome == "fail":
            self._fact("refused", "blob", digest)
            name = self.about.get("blob")
            if isinstance(name, str) and via == "push":
                own = self.facts.symbols.blob_digest(name)
                if own != digest:
                    self._fact("refused", "blob", own)
            return
        certain = self._outcome((201,))
        if certain is None or (via != "put" and self.status == 202):
            return
        self._change("write", "blob", digest, certain, "mount" if via == "mount" else "push")
        called = str(self.about.get("repo", ""))
        if called and called != self.repo:
            # Somebody finished a session under another repository's name: it may have landed in either.
            home, self.repo = self.repo, called
            self._change("write", "blob", digest, False, "push")
            self.repo = home

    def _upload_put(self) -> None:
        self._commit("push")

    def _upload_single(self) -> None:
        self._commit("push")

    def _upload_mount(self) -> None:
        self._commit("mount")

    # --- manifests and tags --------------------------------------------------------------------------------

    def _manifest_get(self) -> None:
        if restricted(self.exchange) and self.status in (0, 404, 406, 400):
            return
        tag = self.about.get("tag")
        if not isinstance(tag, str):
            digest = self._digest("manifest")
            if digest is not None and not (restricted(self.exchange) and self.status != 200):
                self._read_object("manifest", digest)
            return
        if self.status == 200:
            value = self._shown()
            if not restricted(self.exchange):
                self._tag("read", tag, ANY if value is None else value, lasting=False)
            name = self.facts.manifests.get(value or "")
            if (
                name is not None
                and value is not None
                and self.facts.symbols.manifest_spec(name).alg == "sha256"
            ):
                self._fact("present", "manifest", value, via=f"tag {tag}")
        elif self.status == 404:
            self._tag("read", tag, None, lasting=False)

    _manifest_head = _manifest_get

    def _shown(self) -> str | None:
        """The manifest that an answer by tag showed, by its sha256 digest; `None` where that is not known."""
        body = self.exchange.body
        if self.exchange.method == "GET" and body is not None and body.sha256:
            digest = f"sha256:{body.sha256}"
        else:
            digest = self.exchange.header("docker-content-digest") or ""
        return self.facts.canonical(digest) if digest in self.facts.manifests else None

    def _manifest_put(self) -> None:
        name = self.about.get("manifest")
        if not isinstance(name, str):
            return
        symbols = self.facts.symbols
        tag, tags = self.about.get("tag"), tuple(self.about.get("tags", ()))
        value = symbols.manifest_digest(name, "sha256")
        digest = value if isinstance(tag, str) else (self._digest("manifest") or value)
        if self.exchange.outcome == "fail":
            self._fact("refused", "manifest", digest)
            for refused in (tag, *tags):
                if isinstance(refused, str):
                    self.facts.refused_tags.setdefault((self.repo, refused, value), []).append(
                        self.exchange.index
                    )
            return
        certain = self._outcome((201,))
        if certain is None:
            return
        exact = not isinstance(tag, str) or symbols.manifest_spec(name).alg == "sha256"
        self._change("write", "manifest", digest, certain and exact, f"tag {tag}" if tag else "put")
        if isinstance(tag, str):
            self._tag("write", tag, value, optional=not certain)
        accepted = {
            word.strip() for header in self.exchange.header_list("oci-tag") for word in header.split(",")
        }
        for more in tags:
            self._tag("write", str(more), value, optional=not (certain and more in accepted))

    def _manifest_delete(self) -> None:
        self._remove_object("manifest", "manifest-delete")
        digest, certain = self._digest("manifest"), self._outcome((200, 202, 204))
        if digest is None or certain is None:
            return
        exact = self.facts.symbols.manifest_spec(self.facts.manifests.get(digest, "")).alg == "sha256"
        op = TagOp(
            "delete_if",
            self.facts.canonical(digest),
            self.seen.start_ns,
            self.seen.end_ns,
            not (certain and exact),
            self.exchange.index,
            self.exchange.op,
        )
        self.facts.memo.setdefault(("erased", self.repo), []).append(op)

    def _tag_delete(self) -> None:
        tag = str(self.about.get("tag", ""))
        certain = self._outcome((200, 202, 204))
        if certain is None:
            if self.status == 404 and self.facts.history.abilities.can("tag-delete"):
                self._tag("read", tag, None, lasting=False)
            return
        self._tag("delete", tag, None, optional=not certain)
        self.facts.removals.append((self.seen, f"the tag {tag} of {self.repo}"))
        if self.facts.history.promises.spec == "1.0":
            # Before 1.1.1 deleting by tag could as well mean deleting the manifest that it points at.
            for op in self.facts.tag_ops.get((self.repo, tag), ()):
                if op.kind == "write" and op.value is not None:
                    self._change("delete", "manifest", op.value, False, "tag delete")
                    wide = TagOp("delete_if", op.value, self.seen.start_ns, FOREVER_NS, True, -1, "")
                    self.facts.memo.setdefault(("erased", self.repo), []).append(wide)

    # --- anything else -------------------------------------------------------------------------------------

    def _request(self) -> None:
        """A request of the protocol table that was not refused may have done anything to what it names."""
        if self.exchange.method in circumstances.READING or self.exchange.outcome == "fail":
            return
        self.facts.wild_repos.add(self.repo)
        for kind in ("blob", "manifest"):
            name = self.about.get(kind)
            if isinstance(name, str):
                digest = self._digest("blob" if kind == "blob" else "manifest")
                assert digest is not None
                self._change("write", "blob" if kind == "blob" else "manifest", digest, False, "request")
                self._change("delete", "blob" if kind == "blob" else "manifest", digest, False, "request")
                if kind == "manifest":
                    symbols = self.facts.symbols
                    for blob in symbols.manifest_spec(name).blobs:
                        self._change("write", "blob", symbols.blob_digest(blob), False, "request")
        upload = self.about.get("upload")
        for name in self._sent_to(upload) if isinstance(upload, str) else ():
            self._change("write", "blob", self.facts.symbols.blob_digest(name), False, "request")
        tag = self.about.get("tag")
        if isinstance(tag, str):
            self._tag("wild", tag, None, optional=True)

    def _sent_to(self, upload: str) -> set[str]:
        """Blobs of which bytes were sent to a session."""
        own = (e.about for e in self.facts.history.exchanges if e.about.get("upload") == upload)
        return {about["blob"] for about in own if isinstance(about.get("blob"), str)}
