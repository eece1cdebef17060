"""What an operation can do: the table that the codec, the executor, the machines and the documentation share.

One row for each kind. An argument is required where its name ends in ``!``; its type follows after the
colon: ``str``, ``int``, ``bool``, ``strs``, ``ints``, ``a|b|c`` (one of these), or a symbol space: ``repo``,
``blob``, ``blobs``, ``manifest``, ``manifests``, ``upload``, ``tag``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Actor = Literal["client", "operator", "collector", "network"]


@dataclass(frozen=True, slots=True)
class ArgSpec:
    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """``barrier``: everything before it in the plan ends first, and everything after it waits for it.
    ``needs``: the control or the capability without which it cannot be tried (``""``: none)."""

    name: str
    actor: Actor
    args: tuple[ArgSpec, ...]
    doc: str
    needs: str = ""
    barrier: bool = False

    def spec(self, name: str) -> ArgSpec | None:
        return next((arg for arg in self.args if arg.name == name), None)


def _args(text: str) -> tuple[ArgSpec, ...]:
    specs = []
    for word in text.split():
        name, _, type_ = word.partition(":")
        specs.append(ArgSpec(name.rstrip("!"), type_, name.endswith("!")))
    return tuple(specs)


_ALG = "alg:sha256|sha512"
_WHICH = "tag:tag manifest:manifest"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        # --- blobs ---------------------------------------------------------------------------------------
        Kind(
            "blob.push",
            "client",
            _args("repo!:repo blob!:blob way:post|put|chunked|stream chunks:ints recover:bool declare:blob"),
            "push a blob: one POST; POST then PUT; POST, a PATCH with Content-Range for each chunk, PUT; or"
            " POST, one PATCH without Content-Range, PUT. `chunks` are sizes in bytes, the rest goes last."
            " `recover`: after a cut, ask the status and go on from there. `declare` another blob's digest:"
            " must be refused",
        ),
        Kind(
            "blob.mount",
            "client",
            _args("repo!:repo blob!:blob from:repo fallback:bool"),
            "mount a blob from another repository; when the answer is 202 the upload is cancelled, or with"
            " `fallback` the blob is sent there, as clients do",
        ),
        Kind(
            "blob.pull",
            "client",
            _args("repo!:repo blob!:blob first:int last:int times:int"),
            "GET a blob; bytes first…last of it where given (`last` alone: a suffix of so many bytes)",
        ),
        Kind("blob.head", "client", _args("repo!:repo blob!:blob times:int"), "HEAD a blob"),
        Kind("blob.delete", "client", _args("repo!:repo blob!:blob"), "DELETE a blob", "blob-delete"),
        # --- upload sessions, step by step ---------------------------------------------------------------
        Kind(
            "upload.start",
            "client",
            _args("repo!:repo upload!:upload " + _ALG),
            "POST: open an upload session",
        ),
        Kind(
            "upload.patch",
            "client",
            _args("repo!:repo upload!:upload blob!:blob first!:int size!:int range:bool claim:int"),
            "PATCH bytes first…first+size-1 of a blob into a session; with Content-Range unless `range` is"
            " false; `claim` another first offset in Content-Range (out of order)",
        ),
        Kind("upload.status", "client", _args("repo!:repo upload!:upload"), "GET: where to resume"),
        Kind(
            "upload.finish",
            "client",
            _args("repo!:repo upload!:upload blob!:blob first:int size:int declare:blob claim:int"),
            "PUT: close the session with the digest of `blob` (of `declare` where given); with the last bytes"
            " first…first+size-1 in it where given",
        ),
        Kind(
            "upload.cancel",
            "client",
            _args("repo!:repo upload!:upload"),
            "DELETE: cancel a session",
            "upload-cancel",
        ),
        # --- manifests and tags --------------------------------------------------------------------------
        Kind(
            "manifest.put",
            "client",
            _args("repo!:repo manifest:manifest tag:tag tags:strs times:int with:manifest"),
            "PUT a manifest, by `tag`, or by digest where no tag is given, or by digest with `?tag=` for each"
            " of `tags`. The name `manifest` defaults to the operation's id. With `times`, again and again,"
            " in turn with the manifest `with` where given (a tag that moves to and fro)",
        ),
        Kind(
            "manifest.get",
            "client",
            _args("repo!:repo " + _WHICH + " accept:str times:int"),
            "GET a manifest by tag or by digest",
        ),
        Kind(
            "manifest.head",
            "client",
            _args("repo!:repo " + _WHICH + " accept:str times:int"),
            "HEAD a manifest by tag or by digest",
        ),
        Kind(
            "manifest.delete",
            "client",
            _args("repo!:repo manifest!:manifest"),
            "DELETE a manifest by digest",
            "manifest-delete",
        ),
        Kind("tag.delete", "client", _args("repo!:repo tag!:tag"), "DELETE a tag", "tag-delete"),
        Kind(
            "image.pull",
            "client",
            _args("repo!:repo " + _WHICH),
            "pull an image: its manifest, all children, configs and layers",
        ),
        # --- discovery -----------------------------------------------------------------------------------
        Kind(
            "tags.list",
            "client",
            _args("repo!:repo n:int last:tag pages:bool times:int look:bool"),
            "GET the tag list; with `pages` follow every Link; with `look` HEAD, at once, what it lists for"
            " the first time",
        ),
        Kind(
            "referrers.list",
            "client",
            _args("repo!:repo manifest!:manifest type:str pages:bool"),
            "GET the referrers of a manifest, filtered by artifact type where given",
        ),
        # --- anything else -------------------------------------------------------------------------------
        Kind(
            "request",
            "client",
            _args("case!:str repo:repo blob:blob manifest:manifest tag:tag upload:upload a:str b:str n:int"),
            "one request of the protocol table (`checkers/protocol/cases.py`): the case names the request"
            " and the answers that are allowed",
        ),
        Kind(
            "again",
            "client",
            _args("of!:str"),
            "send the last request of operation `of` again, byte for byte: a client whose answer got lost",
        ),
        # --- operator and accidents ----------------------------------------------------------------------
        Kind(
            "quiet",
            "operator",
            _args(""),
            "wait until nothing runs, then read back everything",
            "",
            True,
        ),
        Kind(
            "collect",
            "collector",
            _args("untagged:bool online:bool"),
            "run the collector; beside other operations only when `online` or held",
            "collect",
        ),
        Kind("kill", "operator", _args(""), "SIGKILL the registry", "kill"),
        Kind(
            "restart",
            "operator",
            _args(""),
            "start the registry (again; it is ended with SIGTERM where it still runs)",
            "restart",
            True,
        ),
        Kind("pause", "operator", _args(""), "SIGSTOP the registry", "pause"),
        Kind("continue", "operator", _args(""), "SIGCONT the registry", "pause"),
        Kind(
            "power",
            "operator",
            _args(""),
            "cut the power: what was not synced is gone, and the registry is dead; `restart` brings it back",
            "power",
        ),
        Kind(
            "disk.full",
            "operator",
            _args("free:int"),
            "fill the disk of the storage folder, but for `free` bytes; until `heal`",
            "disk",
        ),
        Kind(
            "disk.readonly", "operator", _args(""), "mount the storage folder read-only; until `heal`", "disk"
        ),
        Kind(
            "disk.slow",
            "operator",
            _args("ms!:int"),
            "each change of the storage folder takes `ms` milliseconds more; until `heal`",
            "syscall",
        ),
        Kind(
            "disk.flip",
            "operator",
            _args("blob:blob manifest:manifest repo:repo tag:tag at:int"),
            "flip a bit in byte `at` of what is stored of a blob, a manifest, or the link of a tag of `repo`",
            "files",
        ),
        Kind(
            "disk.cut",
            "operator",
            _args("blob:blob manifest:manifest repo:repo tag:tag size:int"),
            "cut what is stored of a blob, a manifest, or the link of a tag of `repo`, to `size` bytes",
            "files",
        ),
        Kind(
            "limit",
            "operator",
            _args("what!:files|memory value!:int"),
            "let the registry open no more than `value` files, or use no more than `value` MiB of memory;"
            " until `heal`",
            "limit",
        ),
        Kind(
            "net",
            "network",
            _args(
                "toxic!:latency|bandwidth|slow_close|timeout|reset_peer|slicer|limit_data|down"
                " side:client|backend stream:up|down value:int"
            ),
            "a toxic between clients and registry, or between the registry and its backend; until `heal`."
            " `value`: ms of latency, slow_close, timeout and reset_peer; KB/s of bandwidth; bytes of a slice"
            " and of limit_data",
            "net",
        ),
        Kind(
            "net.unplug",
            "network",
            _args(""),
            "disconnect the registry's container from its network; until `heal`",
            "unplug",
        ),
        Kind("heal", "operator", _args(""), "end all faults of disk, network and limits"),
    )
}
