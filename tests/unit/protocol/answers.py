"""Answers of registries, told one at a time: no server, no clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from harness.checkers.protocol import check
from harness.checkers.protocol.cases import CASES, render
from harness.history import ABILITIES, Abilities, Body, Control, Exchange, History, Promises
from harness.plan.content import BlobSpec, ManifestSpec, Symbols
from harness.plan.operation import Operation
from harness.plan.plan import Plan

BLOBS = {"b": BlobSpec(100), "empty": BlobSpec(0), "b512": BlobSpec(100, "sha512")}
MANIFESTS = {
    "m": ManifestSpec(layers=("b",)),
    "m512": ManifestSpec(layers=("b",), alg="sha512"),
    "index": ManifestSpec("index", children=("m",)),
    "signature": ManifestSpec(
        "artifact", layers=("b",), subject="m", type="application/x.sig", annotations=2
    ),
    "plain": ManifestSpec("image", layers=("b",), subject="m"),
}
SYMBOLS = Symbols("salt", "ns", BLOBS, MANIFESTS)
ALL = frozenset(ABILITIES)
REPO = SYMBOLS.repo("r")
UNKNOWN_DIGEST = "sha256:" + "0" * 64
DIGEST = {name: SYMBOLS.blob_digest(name) for name in BLOBS} | {
    name: SYMBOLS.manifest_digest(name) for name in MANIFESTS
}
METHODS = {
    "get": "GET",
    "head": "HEAD",
    "delete": "DELETE",
    "put": "PUT",
    "patch": "PATCH",
    "cancel": "DELETE",
}

Headers = Mapping[str, str] | tuple[tuple[str, str], ...]
Raw = bytes | str | dict[str, Any] | list[Any] | None


def answer(
    call: str,
    status: int | None,
    headers: Headers = (),
    body: Raw = None,
    *,
    op: str = "",
    at: int = 0,
    method: str = "",
    target: str = "",
    error: str | None = None,
    cut: str | None = None,
    **about: Any,
) -> Exchange:
    """One exchange, ``at`` a place in the order of the history."""
    if isinstance(body, dict | list):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    found = None
    if data is not None:
        found = Body(len(data), hashlib.sha256(data).hexdigest(), "", data.decode("utf-8", "ignore"))
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else headers
    verb = method or METHODS.get(call.partition(".")[2], "POST" if call.startswith("upload") else "GET")
    return Exchange(
        at,
        op or f"op{at}",
        1,
        call,
        {"repo": "r", **about},
        verb,
        target or f"http://registry/v2/{REPO}/x",
        (),
        0,
        at * 10,
        at * 10 + 5,
        0,
        status,
        pairs,
        found,
        error,
        "",
        cut,
    )


def told(
    *exchanges: Exchange,
    spec: str = "dev",
    supports: frozenset[str] = ALL,
    ops: tuple[Operation, ...] = (),
    controls: tuple[Control, ...] = (),
) -> History:
    """A history of these exchanges; operations that are not given are put in as they are named."""
    named = {op.id: op for op in ops}
    ids = dict.fromkeys(exchange.op for exchange in exchanges)
    every = tuple(named.get(id_, Operation(id_, 1, "quiet")) for id_ in ids if not id_.startswith("closing"))
    plan = Plan(every, BLOBS, MANIFESTS)
    return History(plan, SYMBOLS, Promises(spec=spec), Abilities(supports), exchanges, controls)


def flaws(history: History) -> set[tuple[str, str]]:
    """(level, check) of everything that is found."""
    return {(finding.level, finding.check.removeprefix("protocol.")) for finding in check(history).findings}


def asked(case: str, **args: Any) -> Operation:
    return Operation(f"ask-{case}", 1, "request", {"case": case, "repo": "r", **args})


def replied(
    op: Operation,
    status: int | None,
    headers: Headers = (),
    body: Raw = None,
    *,
    at: int = 5,
    location: str | None = None,
    **more: Any,
) -> Exchange:
    """The answer to a request of the table, sent as the case says."""
    made = render(CASES[op["case"]], op, SYMBOLS, location)
    target = made.target if "://" in made.target else f"http://registry{made.target}"
    about = {**op.args, **more.pop("about", {})}
    return answer(
        "request", status, headers, body, op=op.id, at=at, method=made.method, target=target, **about, **more
    )


def judged(op: Operation, reply: Exchange, *before: Exchange, **more: Any) -> set[tuple[str, str]]:
    """(level, check) of what is said of a reply; the names of row and case are cut off."""
    found = flaws(told(*before, reply, ops=(op,), **more))
    return {(level, name.replace(f"{op['case']}.", "")) for level, name in found}


def errors(*codes: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": "no"} for code in codes]}


def index(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": list(entries),
    }


def referrer(name: str, **changes: Any) -> dict[str, Any]:
    """The right entry of a manifest in a list of referrers, changed."""
    document = SYMBOLS.manifest_document(name)
    config = document.get("config")
    type_ = document.get("artifactType") or (config["mediaType"] if isinstance(config, dict) else None)
    entry = {**SYMBOLS.descriptor(name), "artifactType": type_, "annotations": SYMBOLS.annotations(name)}
    return {**entry, **changes}
