"""What the exports of a scenario share: names, titles, manifests with holes where digests belong (pure)."""

from __future__ import annotations

import re
import textwrap

from harness.plan.codec import Scenario
from harness.plan.content import Symbols
from harness.plan.plan import symbols
from harness.report import phrases

SALT = "@SALT@@@"
"""Stands for eight characters that an exported file draws anew, so that sizes stay what they are."""
REFERENCE = re.compile(r"<(blob|manifest|repo|upload):([^>]*)>")


def names_of(scenario: Scenario, salt: str, prefix: str) -> Symbols:
    return symbols(scenario.plan, salt, prefix)


def title_of(scenario: Scenario) -> list[str]:
    lines = [scenario.title]
    if scenario.about:
        lines.append(scenario.about)
    if scenario.expect:
        lines.append(f"Where the defect is present, {scenario.expect.property} is violated.")
    return [part for line in lines for part in textwrap.wrap(line, 96)]


def words_of(scenario: Scenario, op: str) -> str:
    return f"{op}: {phrases.operation(scenario.plan[op], scenario.plan)}"


def templates(names: Symbols) -> dict[str, str]:
    """The manifests with ``<blob:NAME>`` and ``<manifest:NAME>`` where digests belong."""
    digests = {names.blob_digest(name): f"<blob:{name}>" for name in names.blobs}
    digests |= {names.manifest_digest(name): f"<manifest:{name}>" for name in names.manifests}
    out = {}
    for name in names.manifests:
        text = names.manifest(name).decode()
        for digest, reference in digests.items():
            text = text.replace(digest, reference)
        out[name] = text
    return out
