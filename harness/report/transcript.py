"""A history as a transcript of ``curl`` commands, for a report to the maintainers of a registry (pure).

Secrets are never shown: `Authorization`, cookies, and tokens in queries and bodies. Bodies of blobs are made
anew by the shell function ``body`` at the top of the transcript; manifests are shown as they were sent.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from http import HTTPStatus

from harness.history import FOREVER_NS, Exchange, History
from harness.plan.content import EMPTY_JSON
from harness.report import phrases

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-registry-auth"}
)
SECRET_QUERY = re.compile(
    r"(?i)([?&](?:access_token|token|refresh_token|password|sig|signature|x-amz-signature"
    r"|x-amz-credential|x-amz-security-token|awsaccesskeyid)=)[^&#\s]+"
)
SECRET_JSON = re.compile(r'(?i)("(?:access_|refresh_|identity)?token"\s*:\s*")[^"]*(")')
SECRET_USERINFO = re.compile(r"(?i)(https?://)[^/@\s]+@")
HIDDEN = "…"
UNSAID_HEADERS = frozenset(
    {"host", "content-length", "user-agent", "accept-encoding", "connection", "expect"}
)
"""Request headers that curl sets by itself."""
SHOWN_HEADERS = (
    "content-type",
    "content-length",
    "content-range",
    "docker-content-digest",
    "docker-upload-uuid",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-subject",
    "oci-tag",
    "range",
    "retry-after",
    "transfer-encoding",
    "www-authenticate",
)
INLINE_BYTES = 16 * 1024
"""A manifest that is larger is not shown."""
ANSWER_CHARS = 400

BODY_FUNCTION = """\
# body NAME FIRST SIZE: bytes of a blob as the harness made them (python3 needed)
body() {{ python3 -c '
import hashlib, sys
name, first, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
while size > 0:
    block = hashlib.shake_128(f"{salt}/{{name}}/{{first // 65536}}".encode()).digest(65536)
    piece = block[first % 65536 :][:size]
    sys.stdout.buffer.write(piece)
    first, size = first + len(piece), size - len(piece)
' "$@"; }}
"""


def transcript(history: History, *, only: Collection[int] | None = None) -> str:
    """The exchanges (``only`` those with these indexes) as commands and answers, in the order in
    which they were sent. Locations of upload sessions are those of the recorded run: use what your registry
    answers."""
    chosen = [e for e in history.exchanges if only is None or e.index in only]
    chosen.sort(key=lambda e: (e.invoked_ns, e.index))
    target = visible(history.target) or "a registry"
    blocks = [
        f"# {len(chosen)} of {len(history.exchanges)} exchanges with {target},"
        f" seed {history.seed}\nREGISTRY=${{REGISTRY:-http://127.0.0.1:5000}}"
    ]
    commands = [_exchange(exchange, history) for exchange in chosen]
    if any("body " in command for command in commands):
        blocks.append(BODY_FUNCTION.format(salt=history.symbols.salt).rstrip())
    return "\n\n".join([*blocks, *commands]) + "\n"


def redacted(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Headers without secrets."""
    return [(k, HIDDEN if k.lower() in SECRET_HEADERS else visible(v)) for k, v in headers]


def visible(text: str) -> str:
    """A text without tokens, passwords and signatures."""
    text = SECRET_USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = SECRET_QUERY.sub(rf"\1{HIDDEN}", text)
    return SECRET_JSON.sub(rf"\1{HIDDEN}\2", text)


def curl(exchange: Exchange, history: History) -> str:
    """One request as a command."""
    words = ["curl -sS -i"]
    if exchange.method == "HEAD":
        words = ["curl -sS -I"]
    elif exchange.method != "GET":
        words.append(f"-X {exchange.method}")
    target = visible(exchange.target)
    url = f'"$REGISTRY"{shlex.quote(target)}' if target.startswith("/") else shlex.quote(target)
    lines = [" ".join([*words, url])]
    for name, value in redacted(exchange.request_headers):
        if name.lower() not in UNSAID_HEADERS:
            lines.append(f"-H {shlex.quote(f'{name}: {value}')}")
    source, sink = _body(exchange, history)
    if sink:
        lines.append(sink)
    command = " \\\n    ".join(lines)
    return f"{source} | {command}" if source else command


def _body(exchange: Exchange, history: History) -> tuple[str, str]:
    """(the command that makes the body, the option that sends it); both empty where there is no body."""
    size, about, names = exchange.request_size_bytes, exchange.about, history.symbols
    if not size:
        return "", ""
    sink = "--data-binary @-"
    if exchange.call == "manifest.put" and about.get("manifest") in names.manifests:
        data = names.manifest(about["manifest"])
        if len(data) == size and size <= INLINE_BYTES:
            return f"printf %s {shlex.quote(data.decode())}", sink
    blob = str(about.get("blob", ""))
    if blob == EMPTY_JSON:
        return "printf %s '{}'", sink
    if blob in names.blobs and names.blobs[blob].of is None:
        return f"body {shlex.quote(blob)} {about.get('first', 0)} {size}", sink
    return "", f"--data-binary @body   # {phrases.size(size)}; `seatrial replay` makes and sends it"


def _exchange(exchange: Exchange, history: History) -> str:
    took = "never answered"
    if exchange.completed_ns != FOREVER_NS:
        took = f"{(exchange.completed_ns - exchange.invoked_ns) / 1e6:.1f} ms"
    said = f"# [{exchange.index}] {exchange.op}, {phrases.lane(exchange.lane)}, {exchange.call}, {took}"
    lines = [said, curl(exchange, history)]
    if exchange.cut:
        lines.append(f"# the client vanished ({exchange.cut}) after {exchange.sent_bytes} bytes of the body")
    lines.append(f"# → {phrases.status(exchange)}{_phrase(exchange.status)}")
    for name, value in redacted(exchange.headers):
        if name.lower() in SHOWN_HEADERS:
            lines.append(f"#   {name}: {value}")
    body = exchange.body
    if body is not None and body.size_bytes:
        text = visible(body.text)[:ANSWER_CHARS].strip() if body.text else ""
        if text and text.isprintable():
            more = " …" if len(body.text or "") > ANSWER_CHARS else ""
            lines.append(f"#   {text}{more}")
        else:
            lines.append(f"#   ({phrases.size(body.size_bytes)}, sha256:{body.sha256})")
    return "\n".join(lines)


def _phrase(status: int | None) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})" if status is not None else ""
    except ValueError:
        return ""
