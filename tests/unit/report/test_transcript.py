"""Transcripts and exports: they run, and they hold no secrets."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from harness.plan.operation import Operation
from harness.plan.plan import Plan
from harness.report.export import FORMATS, NotPlain, export
from harness.report.requests import why_not_plain
from harness.report.timeline import timeline
from harness.report.transcript import transcript
from tests.unit.report.samples import LOST, PLAIN, RACE, race_history, scenario


def test_no_secret_is_shown() -> None:
    history = race_history()
    assert "s3cret" in repr(history)
    text = transcript(history)
    assert "s3cret" not in text
    assert "_state=x" in text
    assert "s3cret" not in timeline(history, findings=[LOST])


def test_every_exchange_is_a_command_with_its_answer() -> None:
    text = transcript(race_history())
    assert text.count("curl -sS") == 7
    assert "-X PATCH" in text
    assert "# → 404 BLOB_UNKNOWN (Not Found)" in text
    assert transcript(race_history(), only={5}).count("curl -sS") == 1


def test_bodies_are_made_as_the_harness_made_them(tmp_path: Path) -> None:
    history = race_history()
    text = transcript(history)
    assert "body layer 0 4097 |" in text
    function = text[text.index("body() {") : text.index('"$@"; }') + len('"$@"; }')]
    for first, size in ((0, 4097), (4000, 97)):
        made = subprocess.run(
            ["bash", "-c", f"{function}\nbody layer {first} {size}"], capture_output=True, check=True
        )
        assert made.stdout == history.symbols.blob("layer")[first : first + size]
    command = next(line for line in text.split("\n\n") if "manifest.put" in line)
    source = command[command.index("printf") : command.index(" | curl")]
    made = subprocess.run(["bash", "-c", source], capture_output=True, check=True)
    assert made.stdout == history.symbols.manifest("image")


def test_a_plain_plan_becomes_a_pytest_file_on_its_own() -> None:
    text = export(scenario(PLAIN), "pytest")
    tree = ast.parse(text)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "httpx" in imported
    assert not any(name and name.startswith("harness") for name in imported)
    for op in PLAIN:
        assert f"# {op.id}: " in text


def test_its_content_is_consistent_with_any_salt() -> None:
    text = export(scenario(PLAIN), "pytest")
    kept = [n for n in ast.parse(text).body if not isinstance(n, ast.ClassDef)]
    space: dict[str, object] = {}
    exec(compile(ast.Module(kept, []), "export", "exec"), space)
    blob, manifest = space["blob"], space["manifest"]
    assert callable(blob)
    assert callable(manifest)
    image = manifest("image")
    layer = json.loads(image)["layers"][0]
    assert layer["digest"] == f"sha512:{hashlib.sha512(blob('layer')).hexdigest()}"
    assert layer["size"] == len(blob("layer")) == 4097
    child = json.loads(manifest("all"))["manifests"][0]
    assert child["digest"] == f"sha256:{hashlib.sha256(image).hexdigest()}"
    assert child["size"] == len(image)


def test_a_plan_with_faults_calls_replay() -> None:
    text = export(scenario(RACE), "pytest", "--target-file distribution-2.8")
    ast.parse(text)
    assert '"replay"' in text
    assert "['--target-file', 'distribution-2.8']" in text
    assert 'do = "collect"' in text


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "pytest"])
def test_what_is_not_plain_is_refused(form: str) -> None:
    with pytest.raises(NotPlain, match="collect has a hold"):
        export(scenario(RACE), form)


def test_a_shell_script_that_bash_understands() -> None:
    text = export(scenario(PLAIN), "curl")
    checked = subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert text.count("send PATCH") == 2


def test_an_http_file_names_sessions() -> None:
    text = export(scenario(PLAIN), "http")
    assert "# @name r1" in text
    assert "PATCH {{r1.response.headers.Location}}" in text
    assert "< ./layer.0-9.bin" in text


def test_lanes_are_plain_only_in_order() -> None:
    first = Operation("a", 1, "blob.head", {"repo": "r", "blob": "b"})
    second = Operation("b", 2, "blob.head", {"repo": "r", "blob": "b"})
    ordered = Operation("b", 2, "blob.head", {"repo": "r", "blob": "b"}, ("a",))
    assert why_not_plain(Plan((first, second)))
    assert not why_not_plain(Plan((first, ordered)))
    assert "operator" not in why_not_plain(Plan((Operation("k", "operator", "kill"),)))
    assert "kill" in why_not_plain(Plan((Operation("k", "operator", "kill"),)))
