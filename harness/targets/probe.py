"""What a registry can do, found by trying it once.

Each ability of `harness.history.ABILITIES` is tried in fresh repositories, with fresh content. Any unclear
answer counts as not supported: the harness then does not ask for it, and says so. But whoever accepts a
request, in whatever way, can do it: that it does it wrong is for the checkers to find.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from harness.history import ABILITIES
from harness.wire import Answer, Request, bytes_source

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARTIFACTS = ("application/vnd.seatrial.probe.one", "application/vnd.seatrial.probe.two")


class Sender(Protocol):
    """What the probe needs of `harness.wire.Client`."""

    def send(self, request: Request) -> Answer: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Probed:
    """``supports`` goes into `harness.history.Abilities`; ``reasons`` has a line for each ability."""

    supports: frozenset[str]
    reasons: Mapping[str, str]


class _Unsupported(Exception):
    """An ability that the registry does not have; the text says what was asked and what was answered."""


def probe(target_url: str, client_factory: Callable[[], Sender], namespace: str) -> Probed:
    """Try everything, in repositories under `namespace` (a repository name, without slashes at its ends), and
    remove what was made as far as the registry allows. Never raises for what the registry does."""
    client = client_factory()
    try:
        trial = _Trial(target_url, client, f"{namespace}/probe-{secrets.token_hex(5)}")
        supports, reasons = set(), {}
        for ability, needs, attempt in _ATTEMPTS:
            lacking = next((need for need in needs if need not in supports), None)
            if lacking is not None:
                reasons[ability] = f"not tried: needs {lacking!r}, which is not supported"
                continue
            try:
                reasons[ability] = attempt(trial)
                supports.add(ability)
            except _Unsupported as refusal:
                reasons[ability] = str(refusal)
            except Exception as error:
                # Whatever a registry answers, a half-understood answer is no ability, and no reason to stop.
                reasons[ability] = f"unclear: {type(error).__name__}: {error}"
        trial.clean_up()
        return Probed(frozenset(supports), reasons)
    finally:
        client.close()


@dataclass
class _Trial:
    """The content of one probing, and the requests it is made of."""

    url: str
    client: Sender
    base: str
    made: dict[tuple[str, str, str], None] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def repo(self, letter: str) -> str:
        return f"{self.base}/{letter}"

    def content(self, name: str) -> bytes:
        return f"{self.base} {name}".encode()

    def ask(
        self, method: str, target: str, *wanted: int, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send; raise `_Unsupported` unless the answer is complete and its status one of `wanted` (where
        any are given)."""
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        source = None if body is None else bytes_source(body)
        answer = self.client.send(Request(method, target, named, body=source))
        if wanted and (answer.error is not None or answer.status not in wanted):
            path = _HEX.sub(r"\1…", urlsplit(target).path.replace(self.base, "…"))
            raise _Unsupported(f"{method} {path} answered {_shown(answer)}")
        return answer

    def session(self, repo: str, query: str = "") -> str:
        answer = self.ask("POST", f"/v2/{repo}/blobs/uploads/{query}", 202, body=b"")
        return self.location(answer, f"/v2/{repo}/blobs/uploads/")

    def location(self, answer: Answer, asked: str) -> str:
        location = answer.header("Location")
        if not location:
            raise _Unsupported(f"{answer.status} without a Location")
        return urljoin(urljoin(self.url + "/", asked), location)

    def put_blob(self, repo: str, data: bytes, algorithm: str = "sha256") -> str:
        digest = _digest(data, algorithm)
        query = "" if algorithm == "sha256" else f"?digest-algorithm={algorithm}"
        return self.commit(repo, self.session(repo, query), digest, data)

    def commit(self, repo: str, location: str, digest: str, data: bytes) -> str:
        joint = "&" if "?" in location else "?"
        self.ask("PUT", f"{location}{joint}digest={digest}", 201, body=data, Content_Type=_OCTETS)
        self.made[repo, "blobs", digest] = None
        return digest

    def put_manifest(
        self, repo: str, manifest: Mapping[str, Any], reference: str = "", algorithm: str = "sha256"
    ) -> tuple[Answer, str]:
        """PUT by `reference`, or by digest where it is empty or begins with ``?``. Returns the digest too."""
        body = json.dumps(manifest).encode()
        digest = _digest(body, algorithm)
        by_digest = not reference or reference.startswith("?")
        target = f"/v2/{repo}/manifests/{digest if by_digest else ''}{reference}"
        answer = self.ask("PUT", target, 201, body=body, Content_Type=str(manifest["mediaType"]))
        self.made[repo, "manifests", digest] = None
        self.known.setdefault(f"size {digest}", str(len(body)))
        return answer, digest

    def image(self, repo: str, name: str, **more: Any) -> dict[str, Any]:
        """An image manifest whose blobs are pushed."""
        config, layer = self.content("config"), self.content("layer")
        for data in (config, layer):
            if (repo, "blobs", _digest(data)) not in self.made:
                self.put_blob(repo, data)
        return _image(config, layer, name, **more)

    def clean_up(self) -> None:
        """Delete what was made, manifests before the blobs that they name."""
        for repo, kind, reference in sorted(self.made, key=lambda each: each[1] != "manifests"):
            try:
                self.ask("DELETE", f"/v2/{repo}/{kind}/{reference}")
            except Exception:  # it is a courtesy
                continue


_OCTETS = "application/octet-stream"
_ACCEPTED = range(200, 300)
_HEX = re.compile(r"([0-9a-f]{8})[0-9a-f]{24,}")


def _digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _image(config: bytes, layer: bytes, name: str, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": _descriptor(config, CONFIG),
        "layers": [_descriptor(layer, LAYER)],
        "annotations": {"seatrial.probe": name},
        **more,
    }


def _shown(answer: Answer) -> str:
    if answer.status is None or answer.error is not None:
        return f"nothing usable ({answer.error}: {answer.detail})"
    try:
        codes = [str(error["code"]) for error in json.loads(answer.text or b"")["errors"]]
    except (ValueError, KeyError, TypeError):
        codes = []
    return " ".join([str(answer.status), *codes])


# --- attempts: each returns how it showed, or raises


def _push(t: _Trial) -> str:
    t.known["blob"] = t.put_blob(t.repo("a"), t.content("blob"))
    return "POST, PUT: 201"


def _single_post(t: _Trial) -> str:
    data = t.content("single")
    target = f"/v2/{t.repo('a')}/blobs/uploads/?digest={_digest(data)}"
    answer = t.ask("POST", target, 201, 202, body=data, Content_Type=_OCTETS)
    if answer.status == 202:
        if answer.header("Location"):
            t.ask("DELETE", t.location(answer, target))
        raise _Unsupported("POST with ?digest= answered 202: it opened a session instead")
    t.made[t.repo("a"), "blobs", _digest(data)] = None
    return "201"


def _chunked(t: _Trial) -> str:
    data = t.content("chunked")
    location = t.session(t.repo("a"))
    answer = t.ask(
        "PATCH", location, *_ACCEPTED, body=data, Content_Type=_OCTETS, Content_Range=f"0-{len(data) - 1}"
    )
    if answer.header("Location"):
        location = t.location(answer, location)
    with suppress(_Unsupported):
        t.commit(t.repo("a"), location, _digest(data), b"")
    return f"POST, PATCH: {answer.status}"


def _upload_status(t: _Trial) -> str:
    location = t.session(t.repo("a"))
    t.known["session"] = location
    return str(t.ask("GET", location, *_ACCEPTED).status)


def _upload_cancel(t: _Trial) -> str:
    return str(t.ask("DELETE", t.known.get("session") or t.session(t.repo("a")), *_ACCEPTED).status)


def _mount(t: _Trial) -> str:
    return _mounted(t, "b", f"&from={t.repo('a')}")


def _mount_anywhere(t: _Trial) -> str:
    return _mounted(t, "c", "")


def _mounted(t: _Trial, letter: str, source: str) -> str:
    target = f"/v2/{t.repo(letter)}/blobs/uploads/?mount={t.known['blob']}{source}"
    answer = t.ask("POST", target, 201, 202, body=b"")
    if answer.status == 202:
        if answer.header("Location"):
            t.ask("DELETE", t.location(answer, target))
        raise _Unsupported("POST with ?mount= answered 202: it opened a session instead")
    t.made[t.repo(letter), "blobs", t.known["blob"]] = None
    return "201"


def _range(t: _Trial) -> str:
    t.ask("GET", f"/v2/{t.repo('a')}/blobs/{t.known['blob']}", 206, Range="bytes=2-4")
    return "206"


def _oci(t: _Trial) -> str:
    _, t.known["image"] = t.put_manifest(t.repo("a"), t.image(t.repo("a"), "image"), "probe")
    return "201"


def _index(t: _Trial) -> str:
    child = {"mediaType": IMAGE, "digest": t.known["image"], "size": int(t.known[f"size {t.known['image']}"])}
    t.put_manifest(t.repo("a"), {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}, "index")
    return "201"


def _missing_blobs_refused(t: _Trial) -> str:
    manifest = _image(t.content("no such config"), t.content("no such layer"), "missing")
    body = json.dumps(manifest).encode()
    target = f"/v2/{t.repo('a')}/manifests/{_digest(body)}"
    answer = t.ask("PUT", target, 201, *range(400, 500), body=body, Content_Type=IMAGE)
    if answer.status == 201:
        t.made[t.repo("a"), "manifests", _digest(body)] = None
        raise _Unsupported("a manifest that names unknown blobs was accepted")
    return _shown(answer)


def _tag_params(t: _Trial) -> str:
    manifest = t.image(t.repo("a"), "tag parameters")
    answer, _ = t.put_manifest(t.repo("a"), manifest, "?tag=one&tag=two")
    if answer.header("OCI-Tag") is None:
        raise _Unsupported("PUT with ?tag= answered 201 without OCI-Tag")
    return "201 with OCI-Tag"


def _sha512(t: _Trial) -> str:
    digest = t.put_blob(t.repo("a"), t.content("sha512"), "sha512")
    answer = t.ask("GET", f"/v2/{t.repo('a')}/blobs/{digest}", 200)
    if answer.text != t.content("sha512"):
        raise _Unsupported("what comes back is not what was pushed")
    return "201, and 200"


def _sha512_manifest(t: _Trial) -> str:
    manifest = t.image(t.repo("a"), "sha512")
    _, digest = t.put_manifest(t.repo("a"), manifest, algorithm="sha512")
    t.ask("HEAD", f"/v2/{t.repo('a')}/manifests/{digest}", 200, Accept=IMAGE)
    return "201, and 200"


def _referrers(t: _Trial) -> str:
    found = _list(t, "")
    return f"200 with {len(found)} of them"


def _referrers_filter(t: _Trial) -> str:
    subject = {
        "mediaType": IMAGE,
        "digest": t.known["image"],
        "size": int(t.known[f"size {t.known['image']}"]),
    }
    for kind in ARTIFACTS:
        t.put_manifest(t.repo("a"), t.image(t.repo("a"), kind, subject=subject, artifactType=kind))
    kinds = {each.get("artifactType") for each in _list(t, f"?artifactType={ARTIFACTS[0]}")}
    if kinds != {ARTIFACTS[0]}:
        raise _Unsupported(f"filtered by artifactType, the list has {sorted(map(str, kinds)) or 'nothing'}")
    return "the list is filtered"


def _list(t: _Trial, query: str) -> list[dict[str, Any]]:
    answer = t.ask("GET", f"/v2/{t.repo('a')}/referrers/{t.known['image']}{query}", 200)
    document = json.loads(answer.text or b"")
    if not isinstance(document, dict) or not isinstance(document.get("manifests"), list):
        raise _Unsupported("200 with something else than an index")
    found: list[dict[str, Any]] = document["manifests"]
    return found


def _catalog(t: _Trial) -> str:
    answer = t.ask("GET", "/v2/_catalog?n=1", 200)
    if not isinstance(json.loads(answer.text or b"").get("repositories"), list):
        raise _Unsupported("200 without a list of repositories")
    return "200"


def _tag_delete(t: _Trial) -> str:
    t.put_manifest(t.repo("a"), t.image(t.repo("a"), "image"), "probe")
    return str(t.ask("DELETE", f"/v2/{t.repo('a')}/manifests/probe", *_ACCEPTED).status)


def _manifest_delete(t: _Trial) -> str:
    _, digest = t.put_manifest(t.repo("a"), t.image(t.repo("a"), "to be deleted"))
    answer = t.ask("DELETE", f"/v2/{t.repo('a')}/manifests/{digest}", *_ACCEPTED)
    t.made.pop((t.repo("a"), "manifests", digest), None)
    return str(answer.status)


def _blob_delete(t: _Trial) -> str:
    digest = t.put_blob(t.repo("a"), t.content("to be deleted"))
    answer = t.ask("DELETE", f"/v2/{t.repo('a')}/blobs/{digest}", *_ACCEPTED)
    t.made.pop((t.repo("a"), "blobs", digest), None)
    return str(answer.status)


_ATTEMPTS: tuple[tuple[str, tuple[str, ...], Callable[[_Trial], str]], ...] = (
    ("push", (), _push),
    ("single-post", ("push",), _single_post),
    ("chunked", ("push",), _chunked),
    ("upload-status", ("push",), _upload_status),
    ("upload-cancel", ("push",), _upload_cancel),
    ("mount", ("push",), _mount),
    ("mount-anywhere", ("push",), _mount_anywhere),
    ("range", ("push",), _range),
    ("sha512", ("push",), _sha512),
    ("oci", ("push",), _oci),
    ("index", ("oci",), _index),
    ("missing-blobs-refused", ("oci",), _missing_blobs_refused),
    ("tag-params", ("oci",), _tag_params),
    ("sha512-manifest", ("oci",), _sha512_manifest),
    ("referrers", ("oci",), _referrers),
    ("referrers-filter", ("referrers",), _referrers_filter),
    ("catalog", (), _catalog),
    ("tag-delete", ("oci",), _tag_delete),
    ("manifest-delete", ("oci",), _manifest_delete),
    ("blob-delete", ("push",), _blob_delete),
)
assert {name for name, _, _ in _ATTEMPTS} == ABILITIES.keys()
