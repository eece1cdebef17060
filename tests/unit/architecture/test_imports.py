"""Who may import whom. The pure core does no input or output, and the rooms depend in one direction."""

from __future__ import annotations

import ast
import functools
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


@functools.cache
def imported(path: Path, root: Path = ROOT) -> frozenset[str]:
    """Return the full names of all modules that a file imports, and of what it takes out of them."""
    package = path.relative_to(root).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def test_relative_imports_are_seen_as_what_they_are(tmp_path: Path) -> None:
    module, package = tmp_path / "a/b/c.py", tmp_path / "a/b/__init__.py"
    module.parent.mkdir(parents=True)
    text = "from ..x import y\nfrom . import z\nif 0:\n    from .w import v\n"
    seen = {"a.x", "a.x.y", "a.b", "a.b.z", "a.b.w", "a.b.w.v"}
    for path in (module, package):
        path.write_text(text)
        assert imported(path, tmp_path) == seen


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


REFERENCE = ROOT / "reference_impl"
STOREYS: dict[str, frozenset[str]] = {
    # The storeys, and what is beside them.
    "drivers": frozenset(),
    "registry": frozenset({"drivers"}),
    "auth": frozenset(),
    "api": frozenset({"registry", "auth", "drivers", "logs"}),
    "collect": frozenset({"registry", "drivers"}),
    # What makes a program of them.
    "allocator": frozenset(),
    "logs": frozenset(),
    "settings": frozenset({"auth"}),
    "setting_keys": frozenset({"settings"}),
    "configuration": frozenset({"settings", "setting_keys"}),
    "tls": frozenset({"auth"}),
    "connection": frozenset({"api", "registry"}),
    "serve": frozenset({"connection", "tls"}),
    "stores": frozenset({"configuration", "settings", "registry", "drivers", "collect"}),
    "service": frozenset(
        {"configuration", "settings", "stores", "connection", "serve", "tls", "logs", "allocator"}
        | {"api", "auth", "registry", "drivers", "collect"}
    ),
    "commands": frozenset(
        {"configuration", "settings", "setting_keys", "stores", "service", "logs"}
        | {"auth", "registry", "drivers", "collect"}
        | {"deviations", "defects", "variants"}
    ),
    # What is put in on purpose: nothing else knows of it.
    "deviations": frozenset({"api", "collect", "drivers", "registry"}),
    "defects": frozenset({"deviations", "api", "auth", "collect", "drivers", "registry"}),
    "variants": frozenset({"deviations", "serve", "api", "collect", "drivers", "registry"}),
    "__main__": frozenset({"commands"}),
}
"""Every part of the reference, and the other parts that it may know."""
DEVIATE = frozenset({"deviations", "defects", "variants"})
HTTP_PARTS = frozenset({"api", "connection", "serve", "service"}) | DEVIATE
HTTP = frozenset({"starlette", "uvicorn", "http", "httptools", "httpx", "h11"})
OPENS_DRIVERS = frozenset({"registry/store.py", "stores.py"})


def part(path: Path) -> str:
    """The storey, or the module beside them, that a file of the reference is in."""
    return path.relative_to(REFERENCE).parts[0].removesuffix(".py")


def reference_modules() -> list[Path]:
    return [path for path in sorted(REFERENCE.rglob("*.py")) if path != REFERENCE / "__init__.py"]


def test_every_part_of_the_reference_has_a_row() -> None:
    assert {part(path) for path in reference_modules()} == STOREYS.keys()


@pytest.mark.parametrize("storey", sorted(STOREYS))
def test_the_storeys_of_the_reference(storey: str) -> None:
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in reference_modules()
        if part(path) == storey
        for name in imported(path)
        if name.startswith("reference_impl.")
        and (other := name.split(".")[1]) != storey
        and other not in STOREYS[storey]
    }
    assert not guilty


def test_only_the_handlers_know_http() -> None:
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in reference_modules()
        if part(path) not in HTTP_PARTS
        for name in imported(path)
        if name.split(".")[0] in HTTP
    }
    assert not guilty


def test_drivers_are_known_by_their_protocol_alone() -> None:
    """Whatever works over one driver works over all: only what opens a store names one of them."""
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in reference_modules()
        if part(path) not in {"drivers", *DEVIATE} and str(path.relative_to(REFERENCE)) not in OPENS_DRIVERS
        for name in imported(path)
        if name.startswith("reference_impl.drivers.") and name.split(".")[2] != "base"
    }
    assert not guilty
