"""Every key of the settings: what is allowed, what it is for; as a table, and as a file with values."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr

from .settings import ENVIRONMENT_PREFIX, FAR, NESTED_BY, Settings

HIDDEN = "********"


@dataclass(frozen=True, slots=True)
class Key:
    """``name`` as in ``http.port``; ``allowed`` and ``about`` in words."""

    name: str
    default: Any
    allowed: str
    about: str
    is_list: bool
    is_secret: bool

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.replace(".", NESTED_BY).upper()


def sections() -> list[str]:
    return list(Settings.model_fields)


def _keys(default: Any, prefix: str) -> Iterator[Key]:
    for name, annotation, limits, about in _fields(type(default)):
        value = getattr(default, name)
        if _is_group(value):
            yield from _keys(value, f"{prefix}{name}.")
            continue
        kind, more = _kind(annotation)
        yield Key(
            f"{prefix}{name}",
            value,
            _allowed(kind, limits + more),
            about,
            is_list=get_origin(kind) is tuple,
            is_secret=kind is SecretStr,
        )


def _fields(group: type[Any]) -> Iterator[tuple[str, Any, list[Any], str]]:
    """Yield name, type, limits and description."""
    if issubclass(group, BaseModel):
        for name, field in group.model_fields.items():
            yield name, field.annotation, field.metadata, field.description or ""
    else:
        hints = get_type_hints(group)
        for entry in dataclasses.fields(group):
            yield entry.name, hints[entry.name], [], entry.metadata.get("about", "")


def _is_group(value: object) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _kind(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without None, and its limits."""
    if get_origin(annotation) in (types.UnionType, Union):
        [annotation] = (one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is Annotated:
        return annotation.__origin__, [limit for one in annotation.__metadata__ for limit in one.metadata]
    return annotation, []


def _allowed(kind: Any, limits: list[Any]) -> str:
    if get_origin(kind) is Literal:
        *others, last = (json.dumps(value) for value in get_args(kind))
        return f"{', '.join(others)} or {last}"
    if get_origin(kind) is tuple:
        return "a list"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text") + _bounds(
        limits
    )


def _bounds(limits: list[Any]) -> str:
    found = {name: getattr(one, name) for one in limits for name in ("ge", "gt", "le") if hasattr(one, name)}
    lower = f" above {found['gt']}" if "gt" in found else f" from {found['ge']}" if "ge" in found else ""
    lower += " that is not empty" if any(hasattr(one, "min_length") for one in limits) else ""
    return lower + (f" up to {found['le']}" if found.get("le", FAR) != FAR else "")


KEYS: dict[str, Key] = {key.name: key for key in _keys(Settings(), "")}


def table() -> str:
    """Every setting, as a table in Markdown."""
    rows = ["| key | default | allowed | what it does |", "|---|---|---|---|"]
    for key in KEYS.values():
        default = "" if key.default in (None, "", ()) else f"`{_written(key.default)}`"
        rows.append(f"| `{key.name}` | {default} | {key.allowed} | {key.about} |")
    return "\n".join(rows) + "\n"


def show(settings: Settings, source: Callable[[str], str]) -> str:
    """The settings in force, as a TOML file with the source of each as a comment, and no secret."""
    lines: list[str] = []
    section = ""
    for key in KEYS.values():
        folder, _, name = key.name.rpartition(".")
        if folder != section:
            section = folder
            lines += ["", f"[{section}]"]
        value: Any = settings
        for part in key.name.split("."):
            value = getattr(value, part)
        where = source(key.name)
        if value is None:
            lines.append(f"# {name} is not set")
        else:
            lines.append(f"{name} = {HIDDEN!r}" if key.is_secret else f"{name} = {_written(value)}")
            lines[-1] += "" if where == "default" else f"  # {where}"
    return "\n".join(lines[1:]) + "\n"


def _written(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) or value >= 1e15 else f"{int(value)}.0"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_written(one) for one in value)}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = (f"{one.name} = {_written(getattr(value, one.name))}" for one in dataclasses.fields(value))
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
