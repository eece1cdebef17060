"""No text of a client becomes a path but through ``registry/names.py``: no path that it sends leads out."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reference_impl.api.app import build
from reference_impl.drivers.base import Driver, Stat
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout, names
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .conftest import PROJECT

REFERENCE = PROJECT / "reference_impl"
SHA256 = "sha256:" + "a" * 64
SESSION = "00000000-0000-4000-8000-000000000000"
HOSTILE = [
    "..", ".", "../..", "a/../../b", "/etc/passwd", "//", "a//b", "a/", "/a", "_layers", "a/_uploads",
    "a/_manifests/x", "_ociref", "a\0b", "a\nb", "a\\b", "..\\..", "%2e%2e", "A", "é", "a" * 300, "", " ",
    "~root", "-", "a/./b", "a:b", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 61 + "/..",
    "sha256:../../../../etc/passwd", "md5:" + "a" * 32, "../" + SHA256, SHA256 + "/data",
    "sha256:" + "../" * 21 + "a", "../tags/t", "t/../../../x", SESSION.upper(), SESSION + "/..",
    "../" + SESSION, SESSION[:-1], SESSION + "\n", "{name}",
]  # fmt: skip

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = rf"{COMPONENT}(?:/{COMPONENT})*"
DIGEST = r"(?:sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})"
HEX = r"[0-9a-f]{32}"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
ALLOWED = re.compile(
    rf"repositories|repositories/{NAME}"
    rf"|repositories/{NAME}/_layers(?:/{DIGEST}(?:/link)?)?"
    rf"|repositories/{NAME}/_uploads(?:/{UUID}(?:/(?:data|startedat|owner|hashstates))?)?"
    rf"|repositories/{NAME}/_manifests"
    rf"|repositories/{NAME}/_manifests/revisions(?:/sha256|/sha512|/{DIGEST}(?:/link)?)?"
    rf"|repositories/{NAME}/_manifests/tags(?:/{TAG}(?:/current/link|/index/{DIGEST}/link)?)?"
    rf"|blobs/(?:sha256/[0-9a-f]{{2}}/[0-9a-f]{{64}}|sha512/[0-9a-f]{{2}}/[0-9a-f]{{128}})(?:/data)?"
    rf"|_ociref/tmp|_ociref/tmp/{HEX}(?:/(?:current|index/{DIGEST})/link)?"
    rf"|_ociref/types/{NAME}/_types/{DIGEST}"
    rf"|_ociref/locks/(?:digest/sha256-[0-9a-f]{{2}}|repository/[0-9a-f]{{2}})"
)


class Watching(MemoryDriver):
    """Knows every path that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()


def _watch(method: str) -> Callable[..., Any]:
    original = getattr(MemoryDriver, method)
    signature = inspect.signature(original)

    def watched(self: Watching, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments
        for name in ("path", "source", "target"):
            if name in given:
                self.asked.add(given[name])
        for name in ("files", "pairs"):
            if name in given:
                given[name] = list(given[name])
                paths = [pair[:1] if name == "files" else pair for pair in given[name]]
                self.asked |= {path for some in paths for path in some}
        return original(**given)

    return watched


for _name in vars(Driver):
    if not _name.startswith("_"):
        setattr(Watching, _name, _watch(_name))


def ask(app: Any, method: str, path: str, query: str = "", body: bytes = b"{}") -> int:
    """Send a request as the server hands it over, with no client to tidy up its path."""
    statuses: list[int] = []
    bodies: list[dict[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return bodies.pop(0)

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "headers": [(b"host", b"x")], "state": {}, "root_path": "",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return statuses[0]


def requests(text: str) -> list[tuple[str, str, str]]:
    every = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
    places = [
        f"/v2/{text}/manifests/t", f"/v2/{text}/blobs/{SHA256}", f"/v2/{text}/blobs/uploads/",
        f"/v2/{text}/blobs/uploads/{SESSION}", f"/v2/{text}/tags/list", f"/v2/{text}/referrers/{SHA256}",
        f"/v2/a/manifests/{text}", f"/v2/a/blobs/{text}", f"/v2/a/blobs/uploads/{text}",
        f"/v2/a/referrers/{text}",
    ]  # fmt: skip
    asked = [(method, path, f"digest={SHA256}") for path in places for method in every]
    quoted = text.replace("&", "")
    queries = [
        f"mount={SHA256}&from={quoted}",
        f"mount={quoted}&from=a",
        f"digest={quoted}",
        f"digest-algorithm={quoted}",
    ]
    asked += [("POST", "/v2/a/blobs/uploads/", query) for query in queries]
    asked += [("PUT", f"/v2/a/manifests/{SHA256}", f"tag={quoted}")]
    asked += [("GET", path, f"n=1&last={quoted}") for path in ("/v2/_catalog", "/v2/a/tags/list")]
    return asked


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_hostile_text_in_every_place(text: str) -> None:
    driver = Watching()
    driver.make_folder(layout.layers("a"))
    app = build(Registry(driver))
    for method, path, query in requests(text):
        status = ask(app, method, path, query)
        assert status < 500, (method, path)
    odd = {path for path in driver.asked if not ALLOWED.fullmatch(path)}
    assert not odd


def test_the_watching_driver_sees_what_is_asked() -> None:
    """Or the test above would prove nothing."""
    driver = Watching()
    app = build(Registry(driver))
    assert ask(app, "POST", "/v2/a/b/blobs/uploads/") == 202
    assert {layout.uploads("a/b")} <= {path.rpartition("/")[0].rpartition("/")[0] for path in driver.asked}
    assert ask(app, "GET", f"/v2/a/b/blobs/{SHA256}") == 404
    assert any(path.startswith(layout.layer_folder("a/b", names.digest(SHA256))) for path in driver.asked)
    assert isinstance(driver.stat("repositories"), Stat)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_what_the_grammar_lets_through_leads_down(text: str) -> None:
    checks: list[Callable[[str], object]] = [names.repository, names.tag, names.session, names.digest]
    for check in checks:
        try:
            parts = str(check(text)).split("/")
        except Refusal:
            continue
        assert all(part not in ("", ".", "..") for part in parts)
        if check is names.repository:  # what the layout puts there itself begins like this
            assert not any(part.startswith("_") for part in parts)


def test_paths_are_made_in_the_layout_alone() -> None:
    """But for drivers and the collector, who walk, and for what is wrong on purpose; whatever else adds to a
    path was looked at."""
    known = {
        "registry/manifests.py",  # the name of an algorithm, from our table
        "registry/sessions.py",  # a name of our own in the scratch folder
        "registry/store.py",  # the places where drivers keep what is theirs
        "registry/tags.py",  # a name of our own in the scratch folder
        "stores.py",  # to see whether anything can be written
    }
    found = {
        path.relative_to(REFERENCE).as_posix()
        for path in sorted(REFERENCE.rglob("*.py"))
        if path.relative_to(REFERENCE).parts[0] not in ("drivers", "collect", "defects", "variants")
        and path != REFERENCE / "registry/layout.py"
        and _joined(path)
    }
    assert found == known


def _joined(path: Path) -> bool:
    """Whether a text in the file puts something behind what is of the layout, and a slash."""
    tree = ast.parse(path.read_text())
    return any(
        isinstance(node, ast.JoinedStr)
        and any(
            isinstance(part, ast.FormattedValue) and "layout." in ast.unparse(part.value)
            for part in node.values
        )
        and any(isinstance(part, ast.Constant) and str(part.value).startswith("/") for part in node.values)
        for node in ast.walk(tree)
    )
