"""Plans and a history built by hand: the design's example, and a plain plan."""

from __future__ import annotations

import json
from typing import Any

from harness.checkers.finding import Finding
from harness.history import Abilities, Body, Control, Exchange, History, Promises
from harness.plan.codec import Expect, Scenario
from harness.plan.content import BlobSpec, ManifestSpec
from harness.plan.operation import Hold, Lane, Operation
from harness.plan.plan import Plan, symbols
from harness.report.result import FoundFinding, PropertyResult, RunResult

MS = 1_000_000

RACE = Plan(
    (
        Operation("push", 1, "blob.push", {"repo": "a/b", "blob": "layer", "way": "chunked"}),
        Operation("collect", "collector", "collect", {}, ("push",), Hold("put", line="blobs marked")),
        Operation(
            "put", 1, "manifest.put", {"repo": "a/b", "tag": "t", "manifest": "image"}, ("collect.held",)
        ),
        Operation("pull", 1, "image.pull", {"repo": "a/b", "tag": "t"}, ("collect",)),
    ),
    {"layer": BlobSpec(4097)},
    {"image": ManifestSpec(layers=("layer",))},
)

PLAIN = Plan(
    (
        Operation("push", 1, "blob.push", {"repo": "a/b", "blob": "layer", "way": "chunked", "chunks": (9,)}),
        Operation("put", 1, "manifest.put", {"repo": "a/b", "tag": "t", "manifest": "image"}),
        Operation("index", 1, "manifest.put", {"repo": "a/b", "manifest": "all"}),
        Operation("pull", 1, "image.pull", {"repo": "a/b", "manifest": "all"}),
        Operation("list", 1, "tags.list", {"repo": "a/b", "n": 1}),
    ),
    {"layer": BlobSpec(4097, "sha512")},
    {
        "image": ManifestSpec(layers=("layer",), config="{}"),
        "all": ManifestSpec(kind="index", children=("image",)),
    },
)

LOST = Finding(
    "P2",
    "must",
    "blob.lost",
    "promise: closure",
    "the collector removed a blob that an acknowledged manifest needs",
    "put acknowledged image (exchange 3); afterwards pull got 404 for layer (exchange 5).",
    ("put", "collect", "pull", "closing.read"),
    (3, 5),
    "layer",
)


def scenario(plan: Plan) -> Scenario:
    witness = tuple(id_ for id_ in ("put", "collect", "pull") if id_ in plan)
    return Scenario("a sample with 'quotes'", plan, expect=Expect("P2", witness))


def found(**changes: Any) -> FoundFinding:
    fields: dict[str, Any] = {
        "id": "P2-lost-3f2a",
        "finding": LOST,
        "plan": RACE,
        "scenario": "out/scenarios/P2-lost-3f2a.toml",
        "history": "",
        "rate": (19, 20),
        "executions": 18,
        "operations_before": 50,
        **changes,
    }
    return FoundFinding(**fields)


def prop(id_: str = "P2", **changes: Any) -> PropertyResult:
    fields: dict[str, Any] = {
        "id": id_,
        "title": "closure",
        "status": "held",
        "plans": 31,
        "operations": 412,
        "exchanges": 999,
        "facts": 77,
        "elapsed_s": 3.14,
        **changes,
    }
    return PropertyResult(**fields)


def result(*properties: PropertyResult, findings: tuple[FoundFinding, ...] = ()) -> RunResult:
    return RunResult(
        "sample", 7, "quick", properties, findings, (("kill", "no control; give --kill-cmd"),), 9.9, 0
    )


class Recorder:
    """Builds exchanges with rising indexes and times."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def add(
        self, op: str, lane: Lane, call: str, method: str, target: str, status: int | None, **fields: Any
    ) -> None:
        index = len(self.exchanges)
        text = fields.pop("text", None)
        body = Body(len(text), "ab" * 32, text=text) if text is not None else None
        known: dict[str, Any] = {
            "index": index,
            "op": op,
            "lane": lane,
            "call": call,
            "about": {"repo": "a/b", **fields.pop("about", {})},
            "method": method,
            "target": target,
            "request_headers": (("Authorization", "Bearer s3cret"), ("Accept", "*/*")),
            "request_size_bytes": 0,
            "invoked_ns": (10 * index + 1) * MS,
            "completed_ns": (10 * index + 3) * MS,
            "status": status,
            "body": body,
        }
        self.exchanges.append(Exchange(**{**known, **fields}))


def race_history() -> History:
    """What happened to `RACE` on a registry with an unsafe collector."""
    unknown = json.dumps({"errors": [{"code": "BLOB_UNKNOWN"}]})
    uploads = "/v2/s/a/b/blobs/uploads/"
    blob = "/v2/s/a/b/blobs/sha256:00"
    it = Recorder()
    location = (("Location", f"{uploads}1?token=s3cret&_state=x"), ("Set-Cookie", "id=s3cret"))
    it.add("push", 1, "upload.post", "POST", uploads, 202, headers=location)
    part = {"about": {"blob": "layer", "first": 0, "size": 4097}, "request_size_bytes": 4097}
    it.add("push", 1, "upload.patch", "PATCH", f"{uploads}1?token=s3cret&_state=x", 202, **part)
    it.add("push", 1, "upload.put", "PUT", f"{uploads}1?digest=sha256:00", 201)
    names = symbols(RACE, "salt", "s")
    it.add(
        "put",
        1,
        "manifest.put",
        "PUT",
        "/v2/s/a/b/manifests/t",
        201,
        about={"tag": "t", "manifest": "image"},
        request_size_bytes=len(names.manifest("image")),
    )
    it.add("pull", 1, "manifest.get", "GET", "/v2/s/a/b/manifests/t", 200, about={"tag": "t"})
    it.add("pull", 1, "blob.get", "GET", blob, 404, about={"blob": "layer"}, text=unknown)
    it.add("closing.read", "operator", "blob.get", "GET", blob, 404, about={"blob": "layer"}, text=unknown)
    controls = (
        Control("op.start", 0, "push", 1),
        Control("op.end", 24 * MS, "push", 1, {"ok": True}),
        Control("op.start", 25 * MS, "collect", "collector"),
        Control("op.held", 26 * MS, "collect", "collector"),
        Control("op.start", 30 * MS, "put", 1),
        Control("op.end", 34 * MS, "put", 1, {"ok": True}),
        Control("op.released", 35 * MS, "collect", "collector"),
        Control("collect.end", 36 * MS, "collect", "collector", {"code": 0, "removed": 1}),
        Control("op.end", 37 * MS, "collect", "collector", {"ok": True}),
        Control("op.start", 38 * MS, "pull", 1),
        Control("op.end", 58 * MS, "pull", 1, {"ok": False}),
        Control("closing", 59 * MS, "closing.read", "operator", {"part": "read"}),
    )
    return History(
        RACE, names, Promises(), Abilities(), tuple(it.exchanges), controls, target="http://u:s3cret@h:1"
    )
