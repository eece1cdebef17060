"""A plan as plain requests, one after the other: what the exports are made from (pure).

Only what clients do can be put so; cuts, holds, accidents, and operations that run at the same time cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.plan.content import ALL_MANIFEST_TYPES, BlobSpec, Symbols
from harness.plan.kinds import KINDS
from harness.plan.operation import Operation
from harness.plan.plan import Plan

ACCEPT_ALL = (("Accept", ", ".join(ALL_MANIFEST_TYPES)),)
BINARY = ("Content-Type", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Body:
    """``kind`` ``blob``: bytes ``first`` … ``first+size-1`` of the blob ``name``; ``manifest``: all of it."""

    kind: str
    name: str
    first: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One request. ``path`` and header values hold ``<blob:NAME>``, ``<manifest:NAME>`` (digests) and
    ``<repo:NAME>``; a path that begins with ``<upload:NAME>`` is the location that the session ``NAME`` had
    last, and ``keeps`` names the session whose location the answer gives. ``query`` is added to a path that
    may have one already. ``allowed`` holds the statuses of a registry that does as it was asked; empty where
    any answer may be right."""

    op: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    keeps: str = ""
    allowed: tuple[int, ...] = ()
    gets: str = field(default="")
    """What the body of the answer must be: ``blob:NAME`` or ``manifest:NAME``."""


class NotPlain(ValueError):
    """A plan that is more than plain requests. Its text says why."""


def why_not_plain(plan: Plan) -> str:
    """Why a plan cannot be put as requests one after the other; empty where it can."""
    for op in plan:
        if op.cut is not None or op.hold is not None:
            return f"{op.id} has a {'cut' if op.cut else 'hold'}"
        if KINDS[op.do].actor != "client":
            if op.do == "quiet":
                continue
            return f"{op.id} is {op.do}, which no request can do"
        if op.do in ("request", "again") or op.get("recover") or op.get("fallback"):
            return f"{op.id} ({op.do}) sends what only the harness can send"
    if len({op.lane for op in plan if op.do != "quiet"}) > 1 and not _in_order(plan):
        return "operations run at the same time"
    return ""


def _in_order(plan: Plan) -> bool:
    """Whether each operation waits for the one before it."""
    ops = list(plan)
    return all(ops[i].id in plan.waits[ops[i + 1].id] for i in range(len(ops) - 1))


def steps(plan: Plan, names: Symbols) -> list[Step]:
    """The requests of a plan, in order. Raises `NotPlain`."""
    why = why_not_plain(plan)
    if why:
        raise NotPlain(why)
    return [step for op in plan for step in _STEPS[op.do](op, plan, names)]


def _blobs(op: Operation) -> str:
    return f"/v2/<repo:{op['repo']}>/blobs/"


def _uploads(op: Operation) -> str:
    return _blobs(op) + "uploads/"


def _manifests(op: Operation, reference: str) -> str:
    return f"/v2/<repo:{op['repo']}>/manifests/{reference}"


def _which(op: Operation) -> tuple[str, str]:
    """(reference, symbolic manifest or empty)"""
    if "tag" in op.args:
        return op["tag"], ""
    return f"<manifest:{op['manifest']}>", op["manifest"]


def _range(first: int, size: int) -> tuple[tuple[str, str], ...]:
    return (("Content-Range", f"{first}-{first + max(size, 1) - 1}"),)


def _algorithm(op: Operation, plan: Plan) -> tuple[tuple[str, str], ...]:
    alg = op.get("alg") or (plan.blobs.get(op["blob"], BlobSpec()).alg if "blob" in op.args else "sha256")
    return (("digest-algorithm", alg),) if alg != "sha256" else ()


def _push(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    name, size, session = op["blob"], names.blob_size_bytes(op["blob"]), op.id
    digest = (("digest", f"<blob:{op.get('declare', name)}>"),)
    right = (400,) if op.get("declare", name) != name else (201,)
    way = op.get("way", "put")
    if way == "post":
        allowed = right if right != (201,) else (201, 202)
        yield Step(op.id, "POST", _uploads(op), (BINARY,), digest, Body("blob", name, 0, size), "", allowed)
        return
    yield Step(op.id, "POST", _uploads(op), (), _algorithm(op, plan), None, session, (202,))
    here = f"<upload:{session}>"
    if way == "put":
        yield Step(op.id, "PUT", here, (BINARY,), digest, Body("blob", name, 0, size), "", right)
        return
    at = 0
    chunks = [*op.get("chunks", ())] if way == "chunked" else []
    for chunk in [*chunks, size]:
        part = min(chunk, size - at)
        if part <= 0:
            continue
        headers = (BINARY, *(_range(at, part) if way == "chunked" else ()))
        yield Step(op.id, "PATCH", here, headers, (), Body("blob", name, at, part), session, (202,))
        at += part
    yield Step(op.id, "PUT", here, (), digest, None, "", right)


def _mount(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    query = [("mount", f"<blob:{op['blob']}>")]
    if "from" in op.args:
        query.append(("from", f"<repo:{op['from']}>"))
    yield Step(op.id, "POST", _uploads(op), (), tuple(query), None, "", (201, 202))


def _pull(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    first, last = op.get("first"), op.get("last")
    path = _blobs(op) + f"<blob:{op['blob']}>"
    if first is None and last is None:
        step = Step(op.id, "GET", path, allowed=(200,), gets=f"blob:{op['blob']}")
    else:
        span = f"bytes={'' if first is None else first}-{'' if last is None else last}"
        step = Step(op.id, "GET", path, (("Range", span),), allowed=(200, 206, 416))
    yield from [step] * max(1, op.get("times", 1))


def _simple(method: str, path: Callable[[Operation], str], *allowed: int) -> _Lower:
    def lower(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
        for _ in range(max(1, op.get("times", 1))):
            yield Step(op.id, method, path(op), allowed=allowed)

    return lower


def _upload(method: str, *allowed: int) -> _Lower:
    return _simple(method, lambda op: f"<upload:{op['upload']}>", *allowed)


def _start(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    yield Step(op.id, "POST", _uploads(op), (), _algorithm(op, plan), None, op["upload"], (202,))


def _patch(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    first, size = op["first"], op["size"]
    headers = (BINARY, *(_range(op.get("claim", first), size) if op.get("range", True) else ()))
    out_of_order = op.get("range", True) and op.get("claim", first) != first
    allowed = (416,) if out_of_order else (202, 416)
    body = Body("blob", op["blob"], first, size)
    yield Step(op.id, "PATCH", f"<upload:{op['upload']}>", headers, (), body, op["upload"], allowed)


def _finish(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    digest = (("digest", f"<blob:{op.get('declare', op['blob'])}>"),)
    size = op.get("size", 0)
    body = Body("blob", op["blob"], op.get("first", 0), size) if size else None
    headers = [BINARY] if body else []
    if "claim" in op.args:
        headers += _range(op["claim"], size)
    wrong = op.get("declare", op["blob"]) != op["blob"]
    allowed = (400, 404, 416) if wrong else ()
    yield Step(op.id, "PUT", f"<upload:{op['upload']}>", tuple(headers), digest, body, "", allowed)


def _put(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    mine = op.get("manifest", op.id)
    for turn in range(max(1, op.get("times", 1))):
        name = op["with"] if turn % 2 and "with" in op.args else mine
        reference = op["tag"] if "tag" in op.args else f"<manifest:{name}>"
        query = tuple(("tag", tag) for tag in op.get("tags", ()))
        headers = (("Content-Type", names.media_type(name)),)
        body = Body("manifest", name)
        yield Step(op.id, "PUT", _manifests(op, reference), headers, query, body, "", (201, 400, 404))


def _manifest(method: str) -> _Lower:
    def lower(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
        reference, name = _which(op)
        accept = (("Accept", op["accept"]),) if "accept" in op.args else ACCEPT_ALL
        gets = f"manifest:{name}" if name and method == "GET" else ""
        for _ in range(max(1, op.get("times", 1))):
            yield Step(op.id, method, _manifests(op, reference), accept, allowed=(200, 404), gets=gets)

    return lower


def _image(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    yield from _manifest("GET")(op, plan, names)
    name = _which(op)[1] or _tagged(op, plan)
    todo = [name] if name else []
    seen: set[str] = set()
    while todo:
        one = todo.pop(0)
        if one in seen:
            continue
        seen.add(one)
        spec = names.manifest_spec(one)
        for child in spec.children:
            todo.append(child)
            inner = Operation(op.id, op.lane, "manifest.get", {"repo": op["repo"], "manifest": child})
            yield from _manifest("GET")(inner, plan, names)
        for blob in spec.blobs:
            inner = Operation(op.id, op.lane, "blob.pull", {"repo": op["repo"], "blob": blob})
            yield from _pull(inner, plan, names)


def _tagged(op: Operation, plan: Plan) -> str:
    """The manifest that a tag names when the operation runs, by what the plan did before."""
    name = ""
    for other in plan:
        if other.id == op.id:
            break
        if other.do == "manifest.put" and other["repo"] == op["repo"]:
            if other.get("tag") == op["tag"] or op["tag"] in other.get("tags", ()):
                name = other.get("manifest", other.id)
        elif other.do == "tag.delete" and (other["repo"], other["tag"]) == (op["repo"], op["tag"]):
            name = ""
    return name


def _tags(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    query = tuple((key, str(op[key])) for key in ("n", "last") if key in op.args)
    yield Step(op.id, "GET", f"/v2/<repo:{op['repo']}>/tags/list", query=query, allowed=(200, 404))


def _referrers(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    query = (("artifactType", op["type"]),) if "type" in op.args else ()
    path = f"/v2/<repo:{op['repo']}>/referrers/<manifest:{op['manifest']}>"
    yield Step(op.id, "GET", path, query=query, allowed=(200, 404))


def _nothing(op: Operation, plan: Plan, names: Symbols) -> Iterator[Step]:
    return iter(())


_Lower = Callable[[Operation, Plan, Symbols], Iterator[Step]]

_STEPS: dict[str, _Lower] = {
    "blob.push": _push,
    "blob.mount": _mount,
    "blob.pull": _pull,
    "blob.head": _simple("HEAD", lambda op: _blobs(op) + f"<blob:{op['blob']}>", 200, 404),
    "blob.delete": _simple("DELETE", lambda op: _blobs(op) + f"<blob:{op['blob']}>", 202, 400, 404, 405),
    "upload.start": _start,
    "upload.patch": _patch,
    "upload.status": _upload("GET", 204, 404),
    "upload.finish": _finish,
    "upload.cancel": _upload("DELETE", 204, 404, 405),
    "manifest.put": _put,
    "manifest.get": _manifest("GET"),
    "manifest.head": _manifest("HEAD"),
    "manifest.delete": _simple(
        "DELETE", lambda op: _manifests(op, f"<manifest:{op['manifest']}>"), 202, 400, 404, 405
    ),
    "tag.delete": _simple("DELETE", lambda op: _manifests(op, op["tag"]), 202, 400, 404, 405),
    "image.pull": _image,
    "tags.list": _tags,
    "referrers.list": _referrers,
    "quiet": _nothing,
}
