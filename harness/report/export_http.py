"""A scenario as an ``.http`` file, as editors run them (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote

from harness.plan.codec import Scenario
from harness.plan.content import EMPTY_JSON, Symbols
from harness.report.export_common import REFERENCE, names_of, title_of, words_of
from harness.report.requests import steps

_HTTP = """\
{title}
# Bodies of blobs are files beside this one; make them first:
#   python3 - <<'END'
{make}
#   END
@registry = http://127.0.0.1:5000

{body}
"""


def http_file(scenario: Scenario) -> str:
    salt = scenario.plan.digest[:8]
    names = names_of(scenario, salt, f"seatrial/{salt}")
    blocks: list[str] = []
    files: dict[str, tuple[str, int, int]] = {}
    last: dict[str, str] = {}
    for number, step in enumerate(steps(scenario.plan, names), 1):
        known = _references(names, last)
        path = REFERENCE.sub(known, step.path)
        query = "&".join(
            f"{key}={quote(REFERENCE.sub(known, value), safe=':/')}" for key, value in step.query
        )
        if query:
            path += ("&" if "?" in path else "?") + query
        lines = [f"### {words_of(scenario, step.op)}"]
        if step.keeps:
            lines.append(f"# @name r{number}")
            last[step.keeps] = f"r{number}"
        if step.allowed:
            lines.append(f"# expects {' or '.join(map(str, step.allowed))}")
        host = "" if path.startswith("{{") else "{{registry}}"
        lines.append(f"{step.method} {host}{path}")
        lines += [f"{name}: {value}" for name, value in step.headers]
        if step.body is not None and step.body.kind == "manifest":
            lines += ["", names.manifest(step.body.name).decode()]
        elif step.body is not None:
            file = f"{_file(step.body.name)}.{step.body.first}-{step.body.size}.bin"
            files[file] = (step.body.name, step.body.first, step.body.size)
            lines += ["", f"< ./{file}"]
        blocks.append("\n".join(lines))
    return _HTTP.format(
        title="\n".join(f"# {line}" for line in title_of(scenario)),
        make="\n".join(f"#   {line}" for line in _maker(names, files)),
        body="\n\n".join(blocks),
    )


def _references(names: Symbols, last: dict[str, str]) -> Callable[[re.Match[str]], str]:
    values = {"blob": names.blob_digest, "manifest": names.manifest_digest, "repo": names.repo}

    def value(found: re.Match[str]) -> str:
        if found[1] == "upload":
            return f"{{{{{last.get(found[2], found[2])}.response.headers.Location}}}}"
        return values[found[1]](found[2])

    return value


def _maker(names: Symbols, files: dict[str, tuple[str, int, int]]) -> list[str]:
    """A few lines of Python that write the files."""
    lines = [
        "import hashlib",
        "def write(file, name, first, size):",
        "    blocks = range((first + size) // 65536 + 1)",
        f'    data = b"".join(hashlib.shake_128(f"{names.salt}/{{name}}/{{i}}".encode()).digest(65536)'
        " for i in blocks)",
        '    open(file, "wb").write(data[first : first + size])',
    ]
    for file, (name, first, size) in files.items():
        spec = names.blobs[name]
        if spec.of or name == EMPTY_JSON:
            data = names.blob(name)[first : first + size].decode()
            lines.append(f'open({file!r}, "w").write({json.dumps(data)})')
        else:
            lines.append(f"write({file!r}, {name!r}, {first}, {size})")
    return lines


def _file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
