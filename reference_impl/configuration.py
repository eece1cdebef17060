"""Settings from a TOML file, the environment and options, each overruling those before it.

Keys are written as in the file's tables: ``http.port``.  What cannot be used is told in one line each: the
key, where its value came from, what is wrong with it, and what is allowed.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError

from .setting_keys import KEYS, Key, sections
from .settings import ENVIRONMENT_PREFIX, NESTED_BY, Settings

Tree = dict[str, Any]


class BadConfiguration(ValueError):
    """Settings that cannot be used: a line for each error."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value and its source in words, such as ``option --port``."""

    value: str | bool
    source: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """``source`` tells where a key's value is from."""

    settings: Settings
    source: Callable[[str], str]

    def fault(self, key: str, wrong: str, allowed: str | None = None) -> BadConfiguration:
        """Say that a setting cannot be used as it is."""
        return BadConfiguration(_line(key, wrong, allowed, self.source(key)))


def load(file: str | None = None, options: Mapping[str, Given] | None = None) -> Configuration:
    """Merge the sources; ``options`` go by key.  Raises BadConfiguration."""
    options = options or {}
    text = _read(file)
    layers = [_parse(file, text), _environment(), _tree(options)]
    in_file, in_environment = layers[:2]
    merged: Tree = {}
    for layer in layers:
        merged = _merge(merged, layer)

    def source(key: str) -> str:
        if key in options:
            return options[key].source
        if _holds(in_environment, key):
            return f"environment variable {_variable(key)}"
        if file is not None and _holds(in_file, key):
            line = _find_line(text, key)
            return file if line is None else f"{file}, line {line}"
        return "default"

    try:
        return Configuration(Settings(**merged), source)
    except ValidationError as error:
        lines = [_explain(one, source) for one in error.errors(include_url=False)]
        raise BadConfiguration("\n".join(dict.fromkeys(lines))) from None


# -- sources -------------------------------------------------------------------------------


def _read(file: str | None) -> str:
    if file is None:
        return ""
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise BadConfiguration(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadConfiguration(f"{file}: not TOML: it is not UTF-8") from None


def _parse(file: str | None, text: str) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(f"{file}: not TOML: {error}") from None


def _environment() -> Tree:
    known = {section.upper() for section in sections()}
    for name in os.environ:
        section, nested, _ = name.upper().removeprefix(ENVIRONMENT_PREFIX).partition(NESTED_BY)
        if name.upper().startswith(ENVIRONMENT_PREFIX) and nested and section not in known:
            raise BadConfiguration(
                f"environment variable {name}: there is no section {section.lower()}; there are: "
                + ", ".join(sections())
            )
    try:
        tree = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise BadConfiguration(f"environment variables {ENVIRONMENT_PREFIX}…: {error}") from None
    for key in KEYS.values():
        if key.is_list:
            _decode(tree, key)
    return tree


def _decode(tree: Tree, key: Key) -> None:
    """Read a list, which a variable has as JSON."""
    *folders, last = key.name.split(".")
    for folder in folders:
        tree = tree.get(folder, {})
    if isinstance(text := tree.get(last), str):
        try:
            tree[last] = json.loads(text)
        except ValueError:
            raise BadConfiguration(
                _line(key.name, "not JSON", key.allowed, f"environment variable {_variable(key.name)}")
            ) from None


def _tree(options: Mapping[str, Given]) -> Tree:
    tree: Tree = {}
    for key, given in options.items():
        *folders, last = key.split(".")
        level = tree
        for folder in folders:
            level = level.setdefault(folder, {})
        level[last] = given.value
    return tree


def _merge(below: Tree, above: Tree) -> Tree:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _holds(tree: Tree, key: str) -> bool:
    level: object = tree
    for part in key.split("."):
        if not isinstance(level, dict) or part not in level:
            return isinstance(level, list)
        level = level[part]
    return True


def _variable(key: str) -> str:
    name = ENVIRONMENT_PREFIX + key.replace(".", NESTED_BY).upper()
    return next((one for one in os.environ if name.startswith(one.upper()) and one.upper() == name), name)


_TABLE = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\s-]+?)\s*\]\]?\s*(?:#.*)?")
_ENTRY = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=")


def _find_line(text: str, key: str) -> int | None:
    """The line of a file that sets a key, or the table or list that it is in; None if that is not plain."""
    table, best, depth = "", None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.fullmatch(line):
            here = table = re.sub(r"\s", "", found[1])
        elif found := _ENTRY.match(line):
            here = f"{table}.{found[1]}" if table else found[1]
        else:
            continue
        if f"{key}.".startswith(f"{here}.") and len(here) >= depth:
            best, depth = number, len(here) + 1
    return best


# -- errors --------------------------------------------------------------------------------

_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_SHOWN_CHARS = 60


def _explain(error: ErrorDetails, source: Callable[[str], str]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] in _UNKNOWN:
        return _line(name, f"no such setting; {_near(name)}", None, source(name))
    key = KEYS.get(name)
    wrong = "not a table of settings" if name in sections() else error["msg"][:1].lower() + error["msg"][1:]
    given = error["input"]
    if key is not None and not key.is_secret and isinstance(given, str | int | float):
        wrong = f"{json.dumps(given, ensure_ascii=False)[:_SHOWN_CHARS]} is not allowed"
    return _line(name, wrong, key.allowed if key else None, source(name))


def _near(name: str) -> str:
    """What may have been meant: a setting of the same section, one of the same name, or any of those."""
    within = next((key for key in KEYS.values() if name.startswith(f"{key.name}.")), None)
    if within is not None:
        return f"{within.name} has {within.about}"
    folder, _, leaf = name.rpartition(".")
    there = [key for key in KEYS if key.startswith(f"{folder}.")] if folder else sections()
    leaves = {key.rpartition(".")[2]: key for key in [*KEYS, *there]}
    near = difflib.get_close_matches(leaf, [key.rpartition(".")[2] for key in there], 1)
    if near or leaf in leaves:
        return f"perhaps {leaves[near[0] if near else leaf]}"
    return f"there are: {', '.join(there or sections())}"


def _line(key: str, wrong: str, allowed: str | None, source: str) -> str:
    where = "" if source == "default" else f" ({source})"
    return f"{key}: {wrong}" + (f"; allowed: {allowed}" if allowed else "") + where
