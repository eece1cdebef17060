"""Who may import whom. The pure core does no input or output, and the rooms depend in one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IO = frozenset(
    {
        *("asyncio", "concurrent", "ctypes", "docker", "fcntl", "h11", "httpx", "multiprocessing", "os"),
        *("pathlib", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile"),
        *("threading", "time", "toxiproxy", "urllib3", "uvicorn"),
    }
)
PURE = ("plan", "history", "model", "machines", "checkers", "shrink")
MAY_IMPORT: dict[str, frozenset[str]] = {
    "plan": frozenset(),
    "history": frozenset({"plan"}),
    "model": frozenset({"plan", "history"}),
    "machines": frozenset({"plan", "history", "model", "checkers"}),
    "checkers": frozenset({"plan", "history", "model"}),
    "shrink": frozenset({"plan", "history", "checkers"}),
    "wire": frozenset(),
    "targets": frozenset({"history", "wire"}),
    "faults": frozenset({"targets"}),
    "report": frozenset({"plan", "history", "checkers"}),
    "run": frozenset(
        {"plan", "history", "model", "machines", "checkers", "shrink", "wire", "targets", "faults", "report"}
    ),
}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / "harness" / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("room", PURE)
def test_the_pure_core_does_no_input_or_output(room: str) -> None:
    assert modules(room)
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        if path.name != "__main__.py"
        for name in imported(path)
        if name.split(".")[0] in IO
    }
    assert not guilty


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_rooms_depend_in_one_direction(room: str) -> None:
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imported(path)
        if name.startswith("harness.")
        and (other := name.split(".")[1]) != room
        and other not in MAY_IMPORT[room]
    }
    assert not guilty


def test_the_reference_and_the_harness_do_not_know_each_other() -> None:
    for folder, other in (("harness", "reference_impl"), ("reference_impl", "harness")):
        guilty = [
            path.relative_to(ROOT)
            for path in sorted((ROOT / folder).rglob("*.py"))
            if any(name.split(".")[0] == other for name in imported(path))
        ]
        assert not guilty


STOREYS: dict[str, frozenset[str]] = {
    "drivers": frozenset(),
    "registry": frozenset({"drivers"}),
    "auth": frozenset(),
    "api": frozenset({"registry", "auth", "drivers"}),
    "collect": frozenset({"registry", "drivers"}),
}


@pytest.mark.parametrize("storey", sorted(STOREYS))
def test_the_storeys_of_the_reference(storey: str) -> None:
    paths = sorted((ROOT / "reference_impl" / storey).rglob("*.py"))
    assert paths
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imported(path)
        if name.startswith("reference_impl.")
        and (other := name.split(".")[1]) in STOREYS
        and other != storey
        and other not in STOREYS[storey]
    }
    assert not guilty


def test_only_the_handlers_know_http() -> None:
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for storey in ("drivers", "registry", "collect")
        for path in sorted((ROOT / "reference_impl" / storey).rglob("*.py"))
        for name in imported(path)
        if name.split(".")[0] in ("starlette", "uvicorn", "http", "httptools")
    }
    assert not guilty
