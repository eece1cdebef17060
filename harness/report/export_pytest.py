"""A scenario as a pytest file (pure): with httpx only, or one that calls `seatrial replay`."""

from __future__ import annotations

import pprint
import re
import textwrap

from harness.plan.codec import Scenario, dump
from harness.plan.content import EMPTY_JSON
from harness.report.export_common import SALT, names_of, templates, title_of, words_of
from harness.report.requests import ACCEPT_ALL, Step, steps, why_not_plain

_PYTEST_REPLAY = '''"""{title}

This scenario is more than plain requests ({why}), so the harness carries it out.
Run: REGISTRY=http://127.0.0.1:5000 pytest {name}
"""

import os
import subprocess
import sys

import pytest

SCENARIO = """\\
{scenario}"""


def test_{name}(tmp_path):
    file = tmp_path / "{name}.toml"
    file.write_text(SCENARIO)
    target = {target}
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "replay", str(file), *target], capture_output=True, text=True
    )
    if done.returncode == 4:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
'''

_PYTEST = '''"""{title}

Stand-alone: needs pytest and httpx only.
Run: REGISTRY=http://127.0.0.1:5000 pytest {name}
"""

import hashlib
import os
import re
import uuid
from urllib.parse import urljoin

import httpx
import pytest

REGISTRY = os.environ.get("REGISTRY", "http://127.0.0.1:5000")
SALT = uuid.uuid4().hex[:8]  # new bytes and new repositories in every run
ACCEPT = {accept}
ALGORITHMS = {algorithms}
BLOBS = {blobs}
MANIFESTS = {manifests}


def blob(name):
    what = BLOBS[name]
    if isinstance(what, str):
        return manifest(what)
    if isinstance(what, bytes):
        return what
    return hashlib.shake_128(f"{{SALT}}/{{name}}".encode()).digest(what)


def manifest(name):
    return filled(MANIFESTS[name]).replace("{salt}", SALT).encode()


def digest(kind, name):
    algorithm = ALGORITHMS.get(f"{{kind}}:{{name}}", "sha256")
    data = blob(name) if kind == "blob" else manifest(name)
    return f"{{algorithm}}:{{hashlib.new(algorithm, data).hexdigest()}}"


def filled(text):
    return re.sub(r"<(blob|manifest):([^>]*)>", lambda found: digest(found[1], found[2]), text)


class Registry:
    def __init__(self):
        self.http = httpx.Client(base_url=REGISTRY, timeout=60, follow_redirects=True)
        self.uploads = {{}}

    def send(self, method, path, query=(), headers=(), content=b"", keeps=None, allowed=()):
        path = re.sub(r"<repo:([^>]*)>", rf"seatrial/{{SALT}}/\\1", filled(path))
        path = re.sub(r"<upload:([^>]*)>", lambda found: self.uploads[found[1]], path)
        url = httpx.URL(urljoin(REGISTRY, path))
        for key, value in query:
            value = re.sub(r"<repo:([^>]*)>", rf"seatrial/{{SALT}}/\\1", filled(value))
            url = url.copy_add_param(key, value)
        answer = self.http.request(method, url, headers=list(headers), content=content)
        said = f"{{method}} {{path}} was answered with {{answer.status_code}}: {{answer.text[:300]!r}}"
        assert answer.status_code < 500, said
        assert not allowed or answer.status_code in allowed, f"{{said}}; allowed: {{allowed}}"
        if keeps and "location" in answer.headers:
            self.uploads[keeps] = urljoin(str(answer.url), answer.headers["location"])
        return answer


@pytest.fixture
def registry():
    found = Registry()
    yield found
    found.http.close()


def test_{name}(registry):
{body}
'''


def _identifier(text: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return words[:60].rstrip("_") or "scenario"


def _docstring(scenario: Scenario) -> str:
    return "\n".join(title_of(scenario)).replace("\\", "\\\\").replace('"""', "'''")


def with_replay(scenario: Scenario, target_option: str) -> str:
    option = target_option.split()
    default = (
        repr(option) if option else '["--target", os.environ["REGISTRY"]] if "REGISTRY" in os.environ else []'
    )
    return _PYTEST_REPLAY.format(
        title=_docstring(scenario),
        why=why_not_plain(scenario.plan),
        name=_identifier(scenario.title),
        scenario=dump(scenario).replace("\\", "\\\\").replace('"""', '\\"\\"\\"'),
        target=default,
    )


def stand_alone(scenario: Scenario) -> str:
    names = names_of(scenario, SALT, "")
    body: list[str] = []
    last = ""
    for step in steps(scenario.plan, names):
        if step.op != last:
            body.append(f"# {words_of(scenario, step.op)}")
            last = step.op
        body += _call(step)
    algorithms = {f"blob:{name}": spec.alg for name, spec in names.blobs.items() if spec.alg != "sha256"}
    algorithms |= {f"manifest:{n}": spec.alg for n, spec in names.manifests.items() if spec.alg != "sha256"}
    blobs: dict[str, object] = {
        name: EMPTY_JSON.encode() if name == EMPTY_JSON else spec.of or spec.size_bytes
        for name, spec in names.blobs.items()
    }
    return _PYTEST.format(
        title=_docstring(scenario),
        name=_identifier(scenario.title),
        salt=SALT,
        accept=pprint.pformat(list(ACCEPT_ALL), width=100),
        algorithms=pprint.pformat(algorithms, width=100),
        blobs=pprint.pformat(blobs, width=100, sort_dicts=False),
        manifests=pprint.pformat(templates(names), width=100, sort_dicts=False),
        body=textwrap.indent("\n".join(body) or "pass", "    "),
    )


def _call(step: Step) -> list[str]:
    words = [repr(step.method), repr(step.path)]
    if step.query:
        words.append(f"query={list(step.query)!r}")
    if step.headers == ACCEPT_ALL:
        words.append("headers=ACCEPT")
    elif step.headers:
        words.append(f"headers={list(step.headers)!r}")
    if step.body is not None:
        content = f"{step.body.kind}({step.body.name!r})"
        if step.body.kind == "blob":
            content += f"[{step.body.first} : {step.body.first + step.body.size}]"
        words.append(f"content={content}")
    if step.keeps:
        words.append(f"keeps={step.keeps!r}")
    if step.allowed:
        words.append(f"allowed={step.allowed!r}")
    call = f"registry.send({', '.join(words)})"
    if not step.gets:
        return [call]
    kind, _, name = step.gets.partition(":")
    lines = [f"answer = {call}"]
    if step.allowed == (200,):
        return [*lines, f"assert answer.content == {kind}({name!r})"]
    return [*lines, "if answer.status_code == 200:", f"    assert answer.content == {kind}({name!r})"]
