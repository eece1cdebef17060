"""What a store must hold: recorded while it is filled, compared with what a registry then serves."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from reference_impl.registry import documents

from ..unit.reference.images import descriptor, image, index, put_manifest, sha

ACCEPT = ", ".join(sorted(documents.MANIFEST_TYPES))
"""Distribution 2.8 says that a manifest is not there unless its very type is asked for."""

CHUNK_BYTES = 30_000


@dataclass
class Repository:
    """By digest: what a blob or a manifest is; by tag: the digest it points to."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Contents:
    """``gone`` are paths that must not be found."""

    repositories: dict[str, Repository] = field(default_factory=lambda: defaultdict(Repository))
    gone: set[str] = field(default_factory=set)

    def named(self) -> set[str]:
        """The digests by which any manifest refers to anything, and the manifests' own."""
        found = set()
        for repository in self.repositories.values():
            for digest, body in repository.manifests.items():
                found.add(digest)
                found |= set(_digests(json.loads(body)))
        return found

    def unnamed(self) -> set[bytes]:
        """The blobs to which no manifest refers, by any of their digests."""
        named = self.named()
        blobs = [one for repository in self.repositories.values() for one in repository.blobs.items()]
        return {data for _, data in blobs} - {data for digest, data in blobs if digest in named}

    def without_blobs(self, lost: Iterable[bytes]) -> Contents:
        """The same, after this content was lost: its blobs are gone under every name."""
        left, lost = copy.deepcopy(self), set(lost)
        for name, repository in left.repositories.items():
            for digest in [digest for digest, data in repository.blobs.items() if data in lost]:
                del repository.blobs[digest]
                left.gone.add(f"/v2/{name}/blobs/{digest}")
        return left

    def with_blob(self, name: str, data: bytes) -> Contents:
        """The same, after content came back."""
        more = copy.deepcopy(self)
        more.repositories[name].blobs[sha(data)] = data
        more.gone.discard(f"/v2/{name}/blobs/{sha(data)}")
        return more


class Filler:
    """Pushes to a registry, and records what must be there then.

    All names begin with ``below``. As the usual clients do, one that ``looks`` leaves out what a HEAD says is
    there.
    """

    def __init__(self, client: httpx.Client, *, below: str = "", looks: bool = False) -> None:
        self._client = client
        self._below = below
        self._looks = looks
        self.contents = Contents()

    def blob(self, name: str, data: bytes, algorithm: str = "sha256") -> str:
        """Push in chunks, as every registry can."""
        name, digest = self._below + name, sha(data, algorithm)
        if not self._there(f"/v2/{name}/blobs/{digest}"):
            location = begin(self._client, name)
            for first in range(0, len(data), CHUNK_BYTES):
                location = send(self._client, location, data[first : first + CHUNK_BYTES])
            finish(self._client, location, digest)
        repository = self.contents.repositories[name]
        repository.blobs[digest] = repository.blobs[sha(data)] = data
        return digest

    def mount(self, name: str, data: bytes, source: str) -> None:
        name, query = self._below + name, {"mount": sha(data), "from": self._below + source}
        answer = self._client.post(f"/v2/{name}/blobs/uploads/", params=query)
        assert answer.status_code == 201, answer.text
        self.contents.repositories[name].blobs[sha(data)] = data

    def manifest(self, name: str, body: bytes, tag: str | None = None, algorithm: str = "sha256") -> bytes:
        name, digest = self._below + name, sha(body, algorithm)
        media_type = str(json.loads(body).get("mediaType") or documents.OCI_IMAGE)
        if not self._there(f"/v2/{name}/manifests/{tag or digest}", digest):
            answer = put_manifest(self._client, name, tag or digest, body, media_type)
            assert answer.status_code == 201, answer.text
        repository = self.contents.repositories[name]
        repository.manifests[digest] = repository.manifests[sha(body)] = body
        if tag is not None:
            repository.tags[tag] = sha(body)
        return body

    def image(self, name: str, tag: str | None, *layers: bytes, **more: Any) -> bytes:
        """Push an image with its layers, in a manifest of its own."""
        config = json.dumps({"image": [name, tag, [sha(layer) for layer in layers]]}).encode()
        for data in (config, *layers):
            self.blob(name, data)
        return self.manifest(name, image(config, *layers, **more), tag)

    def delete_manifest(self, name: str, body: bytes) -> None:
        name = self._below + name
        self._delete(f"/v2/{name}/manifests/{sha(body)}")
        repository = self.contents.repositories[name]
        del repository.manifests[sha(body)]
        for tag in [tag for tag, digest in repository.tags.items() if digest == sha(body)]:
            del repository.tags[tag]
            self.contents.gone.add(f"/v2/{name}/manifests/{tag}")

    def delete_tag(self, name: str, tag: str) -> None:
        name = self._below + name
        self._delete(f"/v2/{name}/manifests/{tag}")
        del self.contents.repositories[name].tags[tag]

    def delete_blob(self, name: str, data: bytes) -> None:
        name = self._below + name
        self._delete(f"/v2/{name}/blobs/{sha(data)}")
        del self.contents.repositories[name].blobs[sha(data)]

    def _there(self, path: str, digest: str | None = None) -> bool:
        if not self._looks:
            return False
        answer = self._client.head(path, headers={"Accept": ACCEPT})
        assert answer.status_code in (200, 404), f"{path}: {answer.status_code}"
        return answer.status_code == 200 and digest in (None, answer.headers["docker-content-digest"])

    def _delete(self, path: str) -> None:
        answer = self._client.delete(path)
        assert answer.status_code == 202, answer.text
        self.contents.gone.add(path)


def fill(filler: Filler, salt: str) -> Contents:
    """Push everything that both registries take; for one salt always the same."""
    shared, big = (f"{salt} shared ".encode() * 100, f"{salt} big ".encode() * 20_000)

    # Names and tags that begin alike, and repositories within repositories.
    for name in ("x", "x-y", "x0", "x/y", "x/y/z", "team/app"):
        filler.image(name, "t", shared, f"{salt} {name}".encode())
    for tag in ("a", "A", "a-1", "a.b", "a0", "_", "0" * 128):
        filler.image("x", tag, shared, f"{salt} {tag}".encode())

    # An index with its children, which nothing else names; an index above it; one with nothing.
    children = [filler.image("multi", None, big, f"{salt} {name}".encode()) for name in ("amd64", "arm64")]
    top = filler.manifest("multi", index(*children), "arch")
    filler.manifest("multi", index(top, media_type=documents.OCI_INDEX), "above")
    filler.manifest("multi", index(annotations={"salt": salt}), "nothing")

    # Docker's media types.
    docker = json.loads(filler.image("docker", "image", shared, f"{salt} docker".encode()))
    docker |= {"mediaType": documents.DOCKER_IMAGE}
    body = filler.manifest("docker", json.dumps(docker).encode(), "image")
    listed = json.loads(index(body, media_type=documents.DOCKER_IMAGE))
    filler.manifest("docker", json.dumps(listed | {"mediaType": documents.DOCKER_LIST}).encode(), "list")

    # Moved tags: the manifests stay, under their digests.
    first = filler.image("moved", "t", f"{salt} 1".encode())
    filler.image("moved", "t", f"{salt} 2".encode())
    filler.image("moved", "forth-and-back", f"{salt} 3".encode())
    filler.manifest("moved", first, "forth-and-back")

    # Mounted from elsewhere, and never pushed.
    filler.mount("mounted/here", shared, "x")
    filler.blob("mounted/here", b"{}")
    filler.manifest("mounted/here", image(b"{}", shared, annotations={"salt": salt}), "t")

    # What is attached to a manifest, and to one that is not there.
    filler.blob("attached", b"{}")
    subject = filler.image("attached", "t", f"{salt} subject".encode())
    for number, one in enumerate((descriptor(subject, documents.OCI_IMAGE), descriptor(b"nowhere"))):
        kind = {"artifactType": f"application/vnd.example.{number}", "subject": one}
        filler.manifest("attached", image(b"{}", **kind, annotations={"salt": salt}))

    # The empty blob, one byte, and a name of another algorithm for content that has the usual one, too.
    filler.image("odd", "sizes", b"", salt.encode()[:1])
    filler.blob("odd", f"{salt} both names".encode(), "sha512")
    both = image(b"{}", f"{salt} both names".encode(), annotations={"salt": salt})
    filler.blob("odd", b"{}")
    filler.manifest("odd", both, "names")

    # Deleted.
    filler.delete_manifest("deleted", filler.image("deleted", "t", f"{salt} gone".encode()))
    filler.image("deleted", "stays", f"{salt} stays".encode())
    filler.blob("deleted", f"{salt} deleted blob".encode())
    filler.delete_blob("deleted", f"{salt} deleted blob".encode())
    return filler.contents


def compare(client: httpx.Client, contents: Contents) -> None:
    """Fail unless a registry serves just what it should, byte for byte."""
    listed = client.get("/v2/_catalog", params={"n": 1000}).json()["repositories"]
    assert sorted(listed) == sorted(contents.repositories)
    for name, repository in contents.repositories.items():
        tags = client.get(f"/v2/{name}/tags/list").json()["tags"] or []
        assert sorted(tags) == sorted(repository.tags), name
        for digest, data in repository.blobs.items():
            _compare_body(client, f"/v2/{name}/blobs/{digest}", data)
        for reference, digest in [*repository.tags.items(), *((one, one) for one in repository.manifests)]:
            body = repository.manifests[digest]
            answer = _compare_body(client, f"/v2/{name}/manifests/{reference}", body)
            assert answer.headers["docker-content-digest"] in (sha(body), digest)
            declared = json.loads(body).get("mediaType")
            assert answer.headers["content-type"] == (declared or documents.OCI_IMAGE)
    for path in contents.gone:
        assert client.get(path, headers={"Accept": ACCEPT}).status_code == 404, path


def _digests(value: Any) -> Iterator[str]:
    """Every digest in a manifest, but for what it is attached to."""
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key == "digest")
        value = [below for key, below in value.items() if key != "subject"]
    if isinstance(value, list):
        for below in value:
            yield from _digests(below)


def _compare_body(client: httpx.Client, path: str, data: bytes) -> httpx.Response:
    answer = client.get(path, headers={"Accept": ACCEPT})
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
    assert answer.content == data, path
    looked = client.head(path, headers={"Accept": ACCEPT})
    assert (looked.status_code, looked.headers["content-length"]) == (200, str(len(data))), path
    return answer


# -- uploads ---------------------------------------------------------------------------------


def begin(client: httpx.Client, name: str) -> str:
    """Begin an upload; where it goes on."""
    answer = client.post(f"/v2/{name}/blobs/uploads/")
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def send(client: httpx.Client, location: str, data: bytes, first: int | None = None) -> str:
    """Send a chunk, at an offset if one is given; where it goes on."""
    headers = {"Content-Type": "application/octet-stream"}
    if first is not None:
        headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
    answer = client.patch(location, content=data, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def finish(client: httpx.Client, location: str, digest: str, data: bytes = b"") -> None:
    headers = {"Content-Type": "application/octet-stream"}
    mark = "&" if "?" in location else "?"
    answer = client.put(f"{location}{mark}digest={digest}", content=data, headers=headers)
    assert answer.status_code == 201, answer.text


def session_of(location: str) -> str:
    """The id of an upload."""
    return httpx.URL(location).path.rpartition("/")[2]
