"""A scenario as a shell script with curl (pure)."""

from __future__ import annotations

import re
import shlex

from harness.plan.codec import Scenario
from harness.plan.content import EMPTY_JSON, Symbols
from harness.report.export_common import REFERENCE, SALT, names_of, templates, title_of, words_of
from harness.report.requests import ACCEPT_ALL, Step, steps

VARIABLE = re.compile(r"<(blob|manifest|repo|upload|salt):([^>]*)>")

_CURL = """\
#!/usr/bin/env bash
{title}
# Needs bash, curl and sha256sum. Exits with 1 at the first answer that is not allowed.
set -euo pipefail
REGISTRY=${{REGISTRY:-http://127.0.0.1:5000}}
SALT=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')  # new bytes and new repositories in every run
ROOT=seatrial/$SALT
WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; cd "$WORK"
declare -A upload
{accept}

digest() {{ echo "${{2:-sha256}}:$("${{2:-sha256}}sum" "$1" | cut -d' ' -f1)"; }}
# send METHOD URL KEEPS ALLOWED [CURL OPTIONS]: ALLOWED is a pattern such as "201|202", KEEPS a session
send() {{
  local method=$1 url=$2 keeps=$3 allowed=$4 status; shift 4
  [[ $url == http* ]] || url=$REGISTRY$url
  local way=(-X "$method"); [[ $method == HEAD ]] && way=(-I)
  status=$(curl -sS -o answer -D headers -w '%{{http_code}}' "${{way[@]}}" "$@" "$url")
  echo "$method $url -> $status"
  if [[ -n $keeps ]]; then
    upload[$keeps]=$(tr -d '\\r' < headers | sed -n 's/^[Ll]ocation: //p' | tail -1)
  fi
  [[ -z $allowed || $status =~ ^($allowed)$ ]] || {{
    echo "not allowed: $allowed expected" >&2; cat answer >&2; exit 1
  }}
}}
with() {{ [[ $1 == *\\?* ]] && echo "$1&$2" || echo "$1?$2"; }}

{made}

{body}
"""


def _variable(kind: str, name: str) -> str:
    return f"{kind}_{re.sub(r'[^A-Za-z0-9]', lambda found: f'_{ord(found[0]):x}_', name)}"


def _shell(text: str) -> str:
    """Text inside double quotes, with references as variables."""

    def variable(found: re.Match[str]) -> str:
        kind, name = found[1], found[2]
        if kind == "salt":
            return "$SALT"
        if kind == "repo":
            return f"$ROOT/{name}"
        if kind == "upload":
            return f"${{upload[{name}]}}"
        return f"${_variable(kind, name)}"

    return VARIABLE.sub(variable, re.sub(r'([\\"$`])', r"\\\1", text))


def script(scenario: Scenario) -> str:
    names = names_of(scenario, SALT, "")
    plain = steps(scenario.plan, names)
    made = _files(names)
    body: list[str] = []
    last = ""
    for step in plain:
        if step.op != last:
            body += ["", f"# {words_of(scenario, step.op)}"]
            last = step.op
        body.append(_send(step))
    return _CURL.format(
        title="\n".join(f"# {line}" for line in title_of(scenario)),
        accept=f'ACCEPT="{ACCEPT_ALL[0][1]}"',
        made="\n".join(made),
        body="\n".join(body).strip(),
    )


def _files(names: Symbols) -> list[str]:
    """Commands that make each body and its digest, children before the indexes that name them."""
    lines: list[str] = []
    texts = templates(names)
    done: set[str] = set()

    def make_blob(name: str) -> None:
        spec, file = names.blobs[name], _variable("blob", name)
        if file in done:
            return
        done.add(file)
        if name == EMPTY_JSON:
            lines.append(f"printf %s {shlex.quote(EMPTY_JSON)} > {file}")
        elif spec.of:
            make_manifest(spec.of)
            lines.append(f"cp {_variable('manifest', spec.of)} {file}")
        else:
            lines.append(f"head -c {spec.size_bytes} /dev/urandom > {file}")
        lines.append(f"{file}=$(digest {file} {spec.alg})")

    def make_manifest(name: str) -> None:
        file = _variable("manifest", name)
        if file in done:
            return
        done.add(file)
        for kind, other in REFERENCE.findall(texts[name]):
            (make_blob if kind == "blob" else make_manifest)(other)
        text = texts[name].replace(SALT, "<salt:>")
        lines.append(f'printf %s "{_shell(text)}" > {file}')
        lines.append(f"{file}=$(digest {file} {names.manifest_spec(name).alg})")

    for name in names.blobs:
        make_blob(name)
    for name in names.manifests:
        make_manifest(name)
    return lines


def _send(step: Step) -> str:
    url = f'"{_shell(step.path)}"'
    for key, value in step.query:
        url = f'"$(with {url} "{key}={_shell(value)}")"'
    words = ["send", step.method, url, shlex.quote(step.keeps), shlex.quote("|".join(map(str, step.allowed)))]
    words += [f'-H "{_shell(f"{name}: {value}")}"' for name, value in step.headers]
    if step.headers == ACCEPT_ALL:
        words[-1] = '-H "Accept: $ACCEPT"'
    if step.body is None:
        if step.method in ("POST", "PUT"):
            words.append('-H "Content-Length: 0"')
        return " ".join(words)
    file = _variable(step.body.kind, step.body.name)
    if step.body.kind == "manifest":
        return " ".join([*words, f"--data-binary @{file}"])
    cut = f"tail -c +{step.body.first + 1} {file} | head -c {step.body.size} > part"
    return f"{cut}; " + " ".join([*words, "--data-binary @part"])
