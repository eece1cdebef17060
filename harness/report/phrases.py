"""Operations, places, answers and clauses in a few plain words (pure).

Everything that a person reads about a plan goes through here, so that the drawing, the explanation of a
finding, the transcript and the timeline call the same thing by the same name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from harness.checkers.protocol.rows import ROWS
from harness.checkers.protocol.rows import SPEC as SPEC_URL
from harness.history import Exchange, History
from harness.plan.content import EMPTY_JSON, BlobSpec, ManifestSpec
from harness.plan.operation import Call, Cut, Hold, Lane, Operation, Place, Strike, mark_owner
from harness.plan.plan import Plan

KIB, MIB = 1 << 10, 1 << 20
NEAR_BYTES = 16
"""Sizes so near to a whole MiB (or 64 KiB) are said as the distance from it: that is why they are drawn."""


def size(size_bytes: int) -> str:
    """A size with its unit: ``4097 B``, ``5 MiB``, ``5 MiB + 1 B``. Never rounded."""
    for unit, name in ((MIB, "MiB"), (64 * KIB, "KiB")):
        whole = round(size_bytes / unit)
        rest = size_bytes - whole * unit
        if whole and abs(rest) <= NEAR_BYTES:
            count = whole if unit == MIB else whole * 64
            sign = "+" if rest > 0 else "−"
            return f"{count} {name}" + (f" {sign} {abs(rest)} B" if rest else "")
    return f"{size_bytes} B"


def lane(name: Lane) -> str:
    """``client 1``, ``collector``, ``operator``."""
    return f"client {name}" if isinstance(name, int) else str(name)


def place(where: Place) -> str:
    """Where in an exchange: ``byte 4097 of PATCH``, ``the answer of the 2nd PUT``."""
    which = where.on.upper() or "the request"
    if where.nth > 1:
        which = f"{where.on.upper() or 'request'} no. {where.nth}"
    if where.part == "answer":
        return f"the answer to {which}" if not where.at_bytes else f"answer byte {where.at_bytes} of {which}"
    if where.part == "head":
        return f"header byte {where.at_bytes} of {which}"
    return f"byte {where.at_bytes} of {which}"


def hold(held: Hold) -> str:
    """``held at "blobs marked" until put ends``."""
    if held.call is not None:
        at = call(held.call)
    else:
        at = place(held.place) if held.place is not None else f"“{held.line}”"
        if held.place is None and held.nth > 1:
            at += f" no. {held.nth}"
    until = mark_owner(held.until)
    return f"held at {at} until {until} {'is held' if until != held.until else 'ends'}"


def cut(vanish: Cut) -> str:
    """``client vanishes at byte 4097 of PATCH (RST)``."""
    how = {"close": "FIN", "reset": "RST", "half": "stops sending"}[vanish.how]
    return f"client vanishes at {place(vanish.place)} ({how})"


def call(at: Call) -> str:
    """``the 3rd rename of blobs/*``."""
    what = "change" if at.call == "any" else at.call
    where = "" if at.path == "*" else f" of {at.path}"
    return f"system call {what} no. {at.nth}{where}"


STRIKES: dict[str, str] = {
    "kill": "killed right before",
    "power": "power cut right before",
    "enospc": "no space left (ENOSPC) at",
    "eio": "input/output error (EIO) at",
    "emfile": "too many open files (EMFILE) at",
}


def strike(struck: Strike) -> str:
    """``killed right before system call rename no. 3``."""
    return f"{STRIKES[struck.act]} {call(struck.at)}{' and all after it' if struck.rest else ''}"


def operation(op: Operation, plan: Plan | None = None) -> str:
    """An operation in a few words, without its fault: ``push layer to a/b, 4097 B chunked``.

    With a plan, sizes and contents of what it names are said too. Unknown kinds give their name and
    arguments, so that a report never fails on a plan of a newer version.
    """
    say = _SAY.get(op.do)
    plan = plan or Plan(())
    try:
        words = say(op, plan) if say else _any(op, plan)
    except KeyError:
        words = _any(op, plan)
    return words


CLOSING: dict[str, str] = {
    "closing.read": "at the end everything is read back",
    "closing.restart": "the registry is restarted, and everything is read back again",
    "closing.repush": "what is missing is pushed again",
}
"""What the closing part of a plan is called: its names stand in a finding's witness like operations."""


def _any(op: Operation, plan: Plan) -> str:
    return " ".join([op.do, *(f"{k}={v}" for k, v in op.args.items())])


def blob(name: str, plan: Plan) -> str:
    """Facts about a blob: its size, and its algorithm where it is not sha256."""
    spec = plan.blobs.get(name, BlobSpec())
    if name == EMPTY_JSON:
        return "2 B"
    facts = f"the bytes of manifest {spec.of}" if spec.of else size(spec.size_bytes)
    return facts + (f" {spec.alg}" if spec.alg != "sha256" else "")


def manifest(name: str, plan: Plan) -> str:
    """What a manifest says: ``image of layer``, ``index of m1, m2``, ``artifact about m1``."""
    spec = plan.manifests.get(name)
    if spec is None:
        return f"image of {name}-layer"
    return _manifest_spec(spec)


def _manifest_spec(spec: ManifestSpec) -> str:
    parts = spec.children if spec.kind == "index" else spec.blobs
    words = spec.kind + (f" of {_few(parts)}" if parts else "" if spec.kind != "index" else " of nothing")
    if spec.subject:
        words += f" about {spec.subject}"
    if spec.alg != "sha256":
        words += f", {spec.alg}"
    if spec.pad_bytes:
        words += f", padded with {size(spec.pad_bytes)}"
    return words


def _few(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _times(op: Operation) -> str:
    return f", {op['times']} times" if op.get("times", 1) > 1 else ""


def _which(op: Operation) -> str:
    return f"{op['repo']}:{op['tag']}" if "tag" in op.args else f"{op['repo']}@{op.get('manifest', '?')}"


def _span(op: Operation) -> str:
    if "size" not in op.args:
        return ""
    first, count = op.get("first", 0), op["size"]
    return f"bytes {first}–{first + count - 1}" if count else f"0 bytes at {first}"


def _blob_push(op: Operation, plan: Plan) -> str:
    words = f"push {op['blob']} to {op['repo']}, {blob(op['blob'], plan)}"
    if "way" in op.args:
        words += {"post": " in one POST", "put": " in one PUT"}.get(op["way"], f" {op['way']}")
    if op.get("chunks"):
        words += f" ({' + '.join(str(chunk) for chunk in op['chunks'])} + rest)"
    if "declare" in op.args:
        words += f", declared as {op['declare']}"
    return words + (", resumed" if op.get("recover") else "")


def _blob_pull(op: Operation, plan: Plan) -> str:
    first, last = op.get("first"), op.get("last")
    words = f"get {op['blob']} from {op['repo']}"
    if first is not None:
        words += f", bytes {first}–{'' if last is None else last}"
    elif last is not None:
        words += f", last {size(last)}"
    return words + _times(op)


def _manifest_put(op: Operation, plan: Plan) -> str:
    name = op.get("manifest", op.id)
    where = f"{op['repo']}:{op['tag']}" if "tag" in op.args else f"{op['repo']}@{name}"
    words = f"put {where}"
    if op.get("tags"):
        words += f" with tags {_few(op['tags'])}"
    if "with" in op.args:
        return f"{words} = {name} and {op['with']} in turn{_times(op)}"
    if "tag" in op.args and name != op.id:
        words += f" = {name}"
    return f"{words} ({manifest(name, plan)}){_times(op)}"


def _patch(op: Operation, plan: Plan) -> str:
    words = f"PATCH {op['upload']}: {_span(op)} of {op['blob']}"
    if "claim" in op.args:
        words += f", claims {op['claim']}–{op['claim'] + max(op['size'], 1) - 1}"
    return words + ("" if op.get("range", True) else ", no Content-Range")


def _finish(op: Operation, plan: Plan) -> str:
    words = f"PUT {op['upload']}: commit {op['blob']}"
    if "declare" in op.args:
        words += f" as {op['declare']}"
    if span := _span(op):
        words += f", {span} in it"
    return words + (f", claims {op['claim']}" if "claim" in op.args else "")


def _request(op: Operation, plan: Plan) -> str:
    rest = ", ".join(f"{k} {v}" for k, v in op.args.items() if k not in ("case", "a", "b", "n"))
    return f"request “{op['case']}”" + (f" ({rest})" if rest else "")


def _list(op: Operation, plan: Plan) -> str:
    page = f", n={op['n']}" if "n" in op.args else ""
    page += f", after {op['last']}" if "last" in op.args else ""
    return f"list tags of {op['repo']}{page}{', all pages' if op.get('pages') else ''}{_times(op)}"


def _referrers(op: Operation, plan: Plan) -> str:
    only = f", only {op['type']}" if "type" in op.args else ""
    return f"list referrers of {op['repo']}@{op['manifest']}{only}"


def _mount(op: Operation, plan: Plan) -> str:
    words = f"mount {op['blob']} into {op['repo']} from {op.get('from', 'anywhere')}"
    return words + (", else push it" if op.get("fallback") else "")


def _collect(op: Operation, plan: Plan) -> str:
    words = "collect garbage" + (", untagged too" if op.get("untagged") else "")
    return words + (", online" if op.get("online") else "")


_Say = Callable[[Operation, Plan], str]


def _form(text: str) -> _Say:
    def say(op: Operation, plan: Plan) -> str:
        return text.format_map(dict(op.args)) + _times(op)

    return say


def _named(text: str) -> _Say:
    return lambda op, plan: f"{text} {_which(op)}{_times(op)}"


LIMITED = {"files": "open files", "memory": "MiB of memory"}


def _stored(op: Operation) -> str:
    if "blob" in op.args:
        return f"what is stored of {op['blob']}"
    if "manifest" in op.args:
        return f"what is stored of manifest {op['manifest']}"
    return f"the link of tag {op.get('tag')} of {op.get('repo')}"


_SAY: dict[str, _Say] = {
    "blob.push": _blob_push,
    "blob.mount": _mount,
    "blob.pull": _blob_pull,
    "blob.head": _form("HEAD {blob} in {repo}"),
    "blob.delete": _form("delete blob {blob} from {repo}"),
    "upload.start": _form("POST {upload}: open an upload in {repo}"),
    "upload.patch": _patch,
    "upload.status": _form("GET {upload}: ask where to resume"),
    "upload.finish": _finish,
    "upload.cancel": _form("DELETE {upload}: cancel the upload"),
    "manifest.put": _manifest_put,
    "manifest.get": _named("get"),
    "manifest.head": _named("HEAD"),
    "manifest.delete": _form("delete {repo}@{manifest}"),
    "tag.delete": _form("delete tag {repo}:{tag}"),
    "image.pull": _named("pull"),
    "tags.list": _list,
    "referrers.list": _referrers,
    "request": _request,
    "again": _form("send {of} again, byte for byte"),
    "quiet": _form("quiet: everything is read back"),
    "collect": _collect,
    "kill": _form("kill: SIGKILL to the registry"),
    "restart": _form("restart the registry"),
    "pause": _form("pause: SIGSTOP to the registry"),
    "power": _form("power cut: what was not synced is gone"),
    "disk.full": lambda op, plan: f"the disk is full, but for {op.get('free', 0)} B",
    "disk.readonly": _form("the disk is read-only"),
    "disk.slow": _form("the disk is slow: {ms} ms more for each change"),
    "disk.flip": lambda op, plan: f"a bit of {_stored(op)} is flipped, in byte {op.get('at', 0)}",
    "disk.cut": lambda op, plan: f"{_stored(op)} is cut to {op.get('size', 0)} B on the disk",
    "limit": lambda op, plan: f"{LIMITED[op['what']]} for the registry: {op['value']}",
    "net": lambda op, plan: (
        f"toxic {op['toxic']} {op.get('value', '')} on the way to the {op.get('side', 'client')}"
    ),
    "net.unplug": _form("the registry's network is disconnected"),
    "heal": _form("disk, network and limits are well again"),
    "continue": _form("continue: SIGCONT to the registry"),
}


# --- answers -------------------------------------------------------------------------------------------

OK, FAIL, UNKNOWN = "✓", "✗", "?"


def answer(op: Operation, history: History) -> str:
    """How an operation ended: ``✓ 201``, ``✗ 404 BLOB_UNKNOWN``, ``? connection reset``, ``✓ exit 0``.

    Of several exchanges the one that decided is said: the last where the operation did what it says, else
    the first that was not answered with success. Where it was repeated, the statuses are counted. Empty
    when the operation never started.
    """
    controls = [control for control in history.controls if control.op == op.id]
    end = next((c for c in controls if c.what == "op.end"), None)
    good = None if end is None else end.data.get("ok")
    collected = next((c for c in controls if c.what == "collect.end"), None)
    if collected is not None:
        code, removed = collected.data.get("code"), collected.data.get("removed")
        if code is None:
            return f"{UNKNOWN} did not end"
        return f"{FAIL if code else OK} exit {code}" + ("" if removed is None else f", {removed} removed")
    exchanges = history.by_op.get(op.id, ())
    if not exchanges:
        if end is None:
            return f"{UNKNOWN} never ended" if any(c.what == "op.start" for c in controls) else ""
        return OK if good is not False else f"{FAIL} {end.data.get('why', '')}".strip()
    if op.get("times", 1) > 1 and len(exchanges) > 1:
        return _counted(exchanges)
    decided = exchanges[-1]
    if good is not True:
        decided = next((e for e in exchanges if e.outcome != "ok"), decided)
    what = decided.about.get("blob") or decided.about.get("manifest")
    about = f" ({what})" if op.do == "image.pull" and decided.outcome != "ok" and what else ""
    return f"{sign(decided, good)} {status(decided)}{about}"


def sign(exchange: Exchange, good: bool | None = None) -> str:
    """One character: did it, was refused, nobody knows."""
    if exchange.outcome == "ok":
        return FAIL if good is False else OK
    return FAIL if exchange.outcome == "fail" else UNKNOWN


def status(exchange: Exchange) -> str:
    """``201``, ``404 BLOB_UNKNOWN``, or what went wrong instead of an answer."""
    if exchange.status is None:
        return exchange.error or (f"client vanished ({exchange.cut})" if exchange.cut else "no answer")
    words = str(exchange.status)
    if exchange.error:
        return f"{words}, {exchange.error}"
    code = error_code(exchange)
    return f"{words} {code}" if code else words


def error_code(exchange: Exchange) -> str:
    """The registry's error code, ``""`` where it gave none."""
    found = exchange.body.json() if exchange.body and (exchange.status or 0) >= 400 else None
    errors = found.get("errors") if isinstance(found, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    code = first.get("code") if isinstance(first, dict) else None
    return code if isinstance(code, str) else ""


def _counted(exchanges: tuple[Exchange, ...]) -> str:
    counts = Counter(str(e.status) if e.status is not None else "no answer" for e in exchanges)
    outcomes = {e.outcome for e in exchanges}
    mark = UNKNOWN if "info" in outcomes else FAIL if "fail" in outcomes else OK
    return f"{mark} " + ", ".join(f"{n} × {status}" for status, n in counts.most_common())


# --- clauses -------------------------------------------------------------------------------------------


def clause(text: str) -> tuple[str, str]:
    """(words, link) of a clause: ``row 41`` gives the row of the specification in words and where it stands;
    anything else (``promise: durable``) is said as it is, without a link."""
    head, _, number = text.partition(" ")
    if head != "row" or not number.strip().isdigit():
        return text, ""
    try:
        row = ROWS[int(number)]
    except KeyError:
        return text, SPEC_URL
    return f"{text}: {row.words}", row.url
