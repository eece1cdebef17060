"""Clients of the soak: they push, mount, move tags, delete, and hold the registry to what it acknowledged."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_SHARED_LAYERS = 40
_LAYER_MAX_BYTES = 20_000
_IMAGES_MAX = 10
_TRIES = 30
_TIMEOUT_S = 60.0


class Loss(Exception):
    """The registry broke a promise."""


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content(name: str) -> bytes:
    """Bytes that follow from a name; up to some KiB."""
    drawn = random.Random(name)
    return drawn.randbytes(drawn.randrange(1, _LAYER_MAX_BYTES))


@dataclass(eq=False)
class Image:
    """What was pushed: its manifest, the blobs of it, the manifests below it or attached to it.

    ``promised``: acknowledged, and not yet asked to be removed.  ``says`` is the story of it.
    """

    repo: str
    body: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()
    children: tuple[Image, ...] = ()
    attached: list[Image] = field(default_factory=list)
    promised: bool = False
    tags: set[str] = field(default_factory=set)
    says: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return sha(self.body)

    def tell(self, what: str) -> None:
        self.says.append(f"{time.strftime('%H:%M:%S')} {time.monotonic():.3f} {what}")


class Ledger:
    """What all clients together did and were promised."""

    def __init__(self, seed: int, repositories: int) -> None:
        self.seed = seed
        self.repos = [f"soak/r{number}" for number in range(repositories)]
        self.counts: Counter[str] = Counter()
        self.losses: list[str] = []
        self._guard = threading.Lock()
        self._images: list[Image] = []
        self._places: dict[str, set[str]] = {}

    def count(self, what: str) -> None:
        with self._guard:
            self.counts[what] += 1

    def promise(self, image: Image) -> None:
        with self._guard:
            image.promised = True
            self._images.append(image)

    def release(self, image: Image) -> None:
        """Say, before asking for it, that an image may go, with what hangs on it."""
        with self._guard:
            for one in (image, *image.children, *image.attached):
                one.promised = False
            self._images = [one for one in self._images if one.promised]

    def promised(self) -> list[Image]:
        with self._guard:
            return list(self._images)

    def put_in(self, digest: str, repo: str) -> None:
        with self._guard:
            self._places.setdefault(digest, set()).add(repo)

    def seen_in(self, digest: str, but: str) -> str | None:
        """Return another repository that had a blob once."""
        with self._guard:
            return next(iter(sorted(self._places.get(digest, set()) - {but})), None)

    def lose(self, image: Image, why: str) -> None:
        with self._guard:
            if image.promised:
                story = "\n    ".join(image.says)
                self.losses.append(f"{image.repo}@{image.digest}: {why}\n    {story}")

    @property
    def lost(self) -> bool:
        return bool(self.losses)


class Client(threading.Thread):
    """One client, until ``done`` says so; what it does follows from the seed and its number."""

    def __init__(self, ledger: Ledger, url: str, number: int, done: Callable[[], bool]) -> None:
        super().__init__(name=f"client-{number}")
        self._ledger = ledger
        self._number = number
        self._done = done
        self._drawn = random.Random(f"{ledger.seed}-{number}")
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)
        self._own: list[Image] = []
        self._made = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        actions = [
            (self._push_image, 8), (self._push_index, 3), (self._attach, 2), (self._move_tag, 4),
            (self._delete_manifest, 3), (self._delete_tag, 2), (self._verify_one, 4), (self._garbage, 2),
        ]  # fmt: skip
        chosen, weights = zip(*actions, strict=True)
        try:
            while not self._done() and not self._ledger.lost:
                if len(self._own) >= _IMAGES_MAX:
                    self._delete_manifest()
                self._drawn.choices(chosen, weights)[0]()
        except BaseException as error:
            self.error = error
        finally:
            self._http.close()

    # -- pushing ---------------------------------------------------------------------------

    def _push_image(self) -> None:
        image = self._new_image(self._drawn.choice(self._ledger.repos))
        tag = f"c{self._number}-{self._drawn.randrange(4)}"
        self._put_tagged(image, tag)

    def _push_index(self) -> None:
        repo = self._drawn.choice(self._ledger.repos)
        children = tuple(self._new_image(repo) for _ in range(self._drawn.randrange(1, 4)))
        described = [_described(child.body, child.media_type) for child in children]
        body = _document(INDEX, manifests=described, annotations={"n": self._unique()})
        self._put_tagged(Image(repo, body, INDEX, children=children), f"c{self._number}-i")

    def _new_image(self, repo: str, **more: Any) -> Image:
        layers = [
            content(f"{self._ledger.seed} layer {self._drawn.randrange(_SHARED_LAYERS)}")
            for _ in range(self._drawn.randrange(1, 5))
        ]
        layers.append(content(f"{self._ledger.seed} only {self._unique()}"))
        config = json.dumps({"n": self._unique()}).encode()
        blobs = (config, *dict.fromkeys(layers))
        described = [_described(layer, "application/vnd.oci.image.layer.v1.tar") for layer in blobs[1:]]
        config_described = _described(config, "application/vnd.oci.image.config.v1+json")
        body = _document(IMAGE, config=config_described, layers=described, **more)
        return Image(repo, body, IMAGE, blobs)

    def _unique(self) -> str:
        self._made += 1
        return f"{self._number}.{self._made}"

    def _put_tagged(self, image: Image, tag: str) -> None:
        before = [one for one in self._own if tag in one.tags and one.repo == image.repo]
        for old in before:
            self._untag(old, tag)
        if self._put(image, tag):
            image.tags.add(tag)
            self._own.append(image)
            for one in (*image.children, image):
                self._ledger.promise(one)
        self._own = [one for one in self._own if one.promised]

    def _untag(self, image: Image, tag: str) -> None:
        """Whatever comes of the move, the image may lose this tag now; without another it may go."""
        image.tags.discard(tag)
        image.tell(f"may lose the tag {tag}")
        if not image.tags:
            self._ledger.release(image)

    def _put(self, image: Image, reference: str) -> bool:
        """Push an image with all below it; whether it was acknowledged.

        A manifest may be refused as something that it refers to is gone again: then all is pushed again.
        """
        for _ in range(_TRIES):
            if all(self._put(child, child.digest) for child in image.children):
                for data in image.blobs:
                    self._push_blob(image.repo, data)
                answer = self._http.put(
                    f"/v2/{image.repo}/manifests/{reference}",
                    content=image.body,
                    headers={"Content-Type": image.media_type},
                )
                image.tell(f"PUT {reference}: {answer.status_code}")
                if answer.status_code == 201:
                    self._ledger.count("manifests")
                    return True
                if answer.status_code != 404 or "MANIFEST_BLOB_UNKNOWN" not in answer.text:
                    raise Loss(f"PUT of a manifest: {answer.status_code} {answer.text}")
                self._ledger.count("refused")
        self._ledger.count("given up")
        return False

    def _push_blob(self, repo: str, data: bytes) -> None:
        digest = sha(data)
        self._ledger.put_in(digest, repo)
        look = self._http.head(f"/v2/{repo}/blobs/{digest}")
        if look.status_code == 200:
            self._ledger.count("already there")
            return
        self._expect(look, 404)
        way = self._drawn.choice(("single", "put", "chunked", "mount"))
        uploads = f"/v2/{repo}/blobs/uploads/"
        if way == "mount":
            source = self._ledger.seen_in(digest, repo) or self._drawn.choice(self._ledger.repos)
            answer = self._http.post(uploads, params={"mount": digest, "from": source})
            if answer.status_code == 201:
                self._ledger.count("mounts")
                return
            self._expect(answer, 202)
            self._finish(answer.headers["location"], digest, data)
        elif way == "single":
            self._expect(self._http.post(uploads, params={"digest": digest}, content=data), 201)
        else:
            answer = self._http.post(uploads)
            self._expect(answer, 202)
            location = answer.headers["location"]
            at = self._drawn.randrange(len(data) + 1) if way == "chunked" else 0
            for chunk in (data[:at], data[at:]) if way == "chunked" else ():
                if chunk:
                    answer = self._http.patch(location, content=chunk)
                    self._expect(answer, 202)
                    location = answer.headers["location"]
            self._finish(location, digest, b"" if way == "chunked" else data)
        self._ledger.count(f"blobs {way if way != 'mount' else 'put'}")

    def _finish(self, location: str, digest: str, data: bytes) -> None:
        self._expect(self._http.put(location, params={"digest": digest}, content=data), 201)

    def _expect(self, answer: httpx.Response, *statuses: int) -> None:
        if answer.status_code not in statuses:
            request = answer.request
            raise Loss(f"{request.method} {request.url}: {answer.status_code} {answer.text[:300]}")

    def _garbage(self) -> None:
        self._push_blob(self._drawn.choice(self._ledger.repos), content(f"garbage {self._unique()}"))

    def _attach(self) -> None:
        """Attach a signature to an image of ours: it has no tag, its subject keeps it."""
        if not self._own:
            return
        subject = self._drawn.choice(self._own)
        described = _described(subject.body, subject.media_type)
        image = self._new_image(subject.repo, subject=described, artifactType="application/example")
        image.tell(f"attached to {subject.digest}")
        if self._put(image, image.digest):
            subject.attached.append(image)
            self._ledger.promise(image)
            self._ledger.count("attached")

    # -- moving and deleting ---------------------------------------------------------------

    def _move_tag(self) -> None:
        """Point a tag of ours to another image of ours, in the same repository."""
        if not self._own:
            return
        image = self._drawn.choice(self._own)
        tag = f"c{self._number}-{self._drawn.randrange(4)}"
        for old in [
            one for one in self._own if tag in one.tags and one.repo == image.repo and one is not image
        ]:
            self._untag(old, tag)
        answer = self._http.put(
            f"/v2/{image.repo}/manifests/{tag}",
            content=image.body,
            headers={"Content-Type": image.media_type},
        )
        image.tell(f"tag {tag}: {answer.status_code}")
        if answer.status_code == 404:
            self._ledger.lose(image, f"tagging it again was refused: {answer.text}")
        self._expect(answer, 201)
        image.tags.add(tag)
        self._ledger.count("tag moves")
        self._own = [one for one in self._own if one.promised]

    def _delete_manifest(self) -> None:
        if not self._own:
            return
        image = self._own.pop(self._drawn.randrange(len(self._own)))
        self._ledger.release(image)
        image.tell("DELETE")
        answer = self._http.delete(f"/v2/{image.repo}/manifests/{image.digest}")
        self._expect(answer, 202)
        self._expect(self._http.get(f"/v2/{image.repo}/manifests/{image.digest}"), 404)
        self._ledger.count("deletes")

    def _delete_tag(self) -> None:
        if not self._own:
            return
        image = self._drawn.choice(self._own)
        tag = self._drawn.choice(sorted(image.tags))
        self._untag(image, tag)
        self._expect(self._http.delete(f"/v2/{image.repo}/manifests/{tag}"), 202)
        self._ledger.count("tag deletes")
        self._own = [one for one in self._own if one.promised]

    # -- verifying -------------------------------------------------------------------------

    def _verify_one(self) -> None:
        promised = self._ledger.promised()
        if promised:
            verify(self._http, self._ledger, self._drawn.choice(promised))


def verify(http: httpx.Client, ledger: Ledger, image: Image) -> None:
    """Pull an image with all its blobs and tags; what is not as it was promised is a loss."""
    tags = sorted(image.tags)
    places = [(f"/v2/{image.repo}/manifests/{image.digest}", image.body, "its manifest")]
    places += [(f"/v2/{image.repo}/blobs/{sha(data)}", data, f"its blob {sha(data)}") for data in image.blobs]
    accept = {"Accept": f"{IMAGE}, {INDEX}"}
    for path, data, what in places:
        answer = http.get(path, headers=accept)
        if answer.status_code != 200:
            ledger.lose(image, f"{what}: {answer.status_code} {answer.text[:200]}")
        elif answer.content != data:
            ledger.lose(image, f"{what}: {len(answer.content)} other bytes, of {len(data)}")
    for tag in tags:
        answer = http.head(f"/v2/{image.repo}/manifests/{tag}", headers=accept)
        if answer.headers.get("docker-content-digest") != image.digest and tag in image.tags:
            ledger.lose(image, f"its tag {tag}: {answer.status_code} {answer.headers}")
    ledger.count("verified")


def _described(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha(data), "size": len(data)}


def _document(media_type: str, **fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, **fields}).encode()
