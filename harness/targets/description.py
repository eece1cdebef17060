"""Target descriptions: what a TOML file says about a registry that the harness starts itself."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.history import Promises
from harness.targets.base import TargetError
from harness.targets.service import ServiceCommand

VERSION = 1
COLLECTION = ("online", "offline", "none")
COLLECTS_ITSELF = ("no", "blobs", "untagged")
SPECS = ("1.0", "1.1", "dev")


@dataclass(frozen=True, slots=True)
class CollectorCommand:
    """How garbage is collected.

    ``command`` and, for a run that also removes untagged manifests, ``untagged`` are argument vectors.
    ``removed``: regular expressions for lines of its standard output that say what it removes: a line adds
    the sum of its groups that matched, or one where the expression has no groups. Empty: it does not say.
    """

    command: tuple[str, ...]
    untagged: tuple[str, ...] = ()
    removed: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    limit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """A registry in a container of a local image, see `harness.targets.docker`.

    ``port``: where it listens inside. ``volume``: the folder inside that is a volume (empty: none, it stores
    in the container). ``network``: ``bridge``, ``host`` or, empty, the first of them that the engine has.
    """

    image: str
    port: int
    volume: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """A registry that the harness can start, kill and collect.

    Arguments, files and environment values may hold ``{host}``, ``{port}``, ``{storage}`` (its storage
    folder), ``{work}`` (the folder around it), ``{config}`` (the first of ``files``), ``{python}`` (this
    interpreter), ``{packages}`` (the folder that seatrial's packages are in), ``{service_port}`` (the free
    port of ``service``) and ``{round}`` (how often the store was emptied: a prefix for each round in a store
    that is no folder). ``files`` are written into the work folder, ``folders`` made in the storage folder,
    before the start; that folder is on a ``disk`` when asked for, else in memory where there is room.
    ``inherit`` names environment variables to pass on. ``preload``: modules of a Python server started as
    ``{python} -m …``, see `harness.targets.nursery`.

    With a ``container`` the commands run in it, an empty ``command`` is that of its image, ``{storage}`` is
    its volume, ``{work}`` the folder inside with the files, and ``{port}`` where it must listen: with the
    host's network a free port of this machine.
    """

    name: str
    command: tuple[str, ...]
    title: str = ""
    docs: str = ""
    install: str = ""
    notes: tuple[str, ...] = ()
    health: str = "/v2/"
    env: Mapping[str, str] = field(default_factory=dict)
    inherit: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    limit_s: float = 20.0
    stop_limit_s: float = 10.0
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    disk: bool = False
    collector: CollectorCommand | None = None
    service: ServiceCommand | None = None
    container: ContainerImage | None = None
    promises: Promises = field(default_factory=Promises)


_STRINGS = "a list of strings"
_TABLE = "a table of strings"
_LINE = "a string"
_SECONDS = "a number of seconds"
_SWITCH = "true or false"
_PORT = "a port between 1 and 65535"
_LIFE = {"env": _TABLE, "health": _LINE, "limit_s": _SECONDS, "stop_limit_s": _SECONDS}

_KEYS: dict[str, dict[str, str]] = {
    "": {"seatrial": "1", "title": _LINE, "docs": _LINE, "install": _LINE, "notes": _STRINGS},
    "serve": {"command": _STRINGS, "inherit": _STRINGS, "preload": _STRINGS, **_LIFE},
    "container": {
        "image": _LINE,
        "port": _PORT,
        "command": _STRINGS,
        "volume": _LINE,
        "network": '"bridge" or "host"',
        **_LIFE,
    },
    "service": {"command": _STRINGS, "health": _LINE, "env": _TABLE, "limit_s": _SECONDS},
    "storage": {"folders": _STRINGS, "disk": _SWITCH},
    "collect": {"command": _STRINGS, "untagged": _STRINGS, "removed": _TABLE, "limit_s": _SECONDS},
    "promises": {
        "durable": _SWITCH,
        "resume": _SWITCH,
        "sessions_survive_restart": _SWITCH,
        "collection": " or ".join(f'"{word}"' for word in COLLECTION),
        "collects_itself": " or ".join(f'"{word}"' for word in COLLECTS_ITSELF),
        "grace_s": _SECONDS,
        "untagged_collected": _SWITCH,
        "spec": " or ".join(f'"{word}"' for word in SPECS),
    },
}
assert _KEYS["promises"].keys() == {each.name for each in fields(Promises)}


def load_description(path: Path, name: str | None = None) -> Description:
    """Read a target description. Raises `TargetError`: one line with the file and, where known, the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_description(text, name or path.stem, str(path))


def parse_description(text: str, name: str, source: str) -> Description:
    """A description from TOML text; `source` names it in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f"{source}:{line[1]}" if line else f"{source}:{text.count(chr(10)) + 1}"
        raise TargetError(f"{where}: not valid TOML: {message}") from None
    reader = _Reader(text, source)
    if data.get("seatrial", VERSION) != VERSION:
        raise reader.wrong("seatrial", f"this seatrial reads version {VERSION} of target files")
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    reader.keys("", {key: value for key, value in data.items() if key not in _KEYS and key != "files"})
    reader.check("", {key: value for key, value in data.items() if key in _KEYS[""]})
    for section in _KEYS:
        if section and section in data:
            if section not in tables:
                raise reader.wrong(section, f"`{section}` is a table")
            reader.keys(section, tables[section])
            reader.check(section, tables[section])
    serve, collect = tables.get("container", tables.get("serve", {})), tables.get("collect")
    container = reader.container(tables) if "container" in tables else None
    if container is None and not serve.get("command"):
        raise TargetError(
            f'{source}: [serve] needs `command`, such as ["docker-registry", "serve", "{{config}}"]'
        )
    files = data.get("files", {})
    if not reader.fits(files, _TABLE):
        raise reader.wrong("files", "[files] is a table of file names and contents")
    if bad := next((file for file in files if "/" in file or file in ("storage", "")), None):
        raise reader.wrong(bad, f"[files] {bad!r}: a plain file name other than `storage`")
    return Description(
        name=name,
        command=tuple(serve.get("command", ())),
        title=data.get("title", name),
        docs=data.get("docs", ""),
        install=data.get("install", ""),
        notes=tuple(data.get("notes", ())),
        health=serve.get("health", "/v2/"),
        env=serve.get("env", {}),
        inherit=tuple(serve.get("inherit", ())),
        preload=tuple(serve.get("preload", ())),
        limit_s=float(serve.get("limit_s", 20.0)),
        stop_limit_s=float(serve.get("stop_limit_s", 10.0)),
        files=files,
        folders=tuple(tables.get("storage", {}).get("folders", ())),
        disk=bool(tables.get("storage", {}).get("disk", False)),
        collector=None if collect is None else reader.collector(collect),
        service=reader.service(tables["service"]) if "service" in tables else None,
        container=container,
        promises=Promises(**tables.get("promises", {})),
    )


class _Reader:
    """Checks against `_KEYS`, and errors that tell the line."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source

    def wrong(self, key: str, why: str, section: str = "") -> TargetError:
        """An error at the first line that sets `key`, or has a table of that name, in a section."""
        header = re.search(rf"^\s*\[{section}[\].]", self.text, re.MULTILINE) if section else None
        name = rf"""^[ \t]*(?:\[\[?)?(?:[\w-]+\.)*["']?({re.escape(key)})["']?[ \t]*[\]=.]"""
        found = re.compile(name, re.MULTILINE).search(self.text, header.start() if header else 0)
        line = f":{self.text.count(chr(10), 0, found.start(1)) + 1}" if found else ""
        return TargetError(f"{self.source}{line}: {why}")

    def keys(self, section: str, table: Mapping[str, Any]) -> None:
        known = [*_KEYS[section], *([] if section else [*filter(None, _KEYS), "files"])]
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1, 0.5)
                hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
                raise self.wrong(
                    key, f"unknown key `{key}`{f' in [{section}]' if section else ''}; {hint}", section
                )

    def check(self, section: str, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if not self.fits(value, _KEYS[section][key]):
                raise self.wrong(key, f"`{key}` must be {_KEYS[section][key]}, not {value!r}", section)

    @staticmethod
    def fits(value: Any, type_: str) -> bool:
        if type_ == _STRINGS:
            return isinstance(value, list) and all(isinstance(each, str) for each in value)
        if type_ == _TABLE:
            return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
        if type_ == _SECONDS:
            return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if type_ == _PORT:
            return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
        if type_ == _SWITCH:
            return isinstance(value, bool)
        if type_ == _LINE:
            return isinstance(value, str)
        return f'"{value}"' in type_.split(" or ") or str(value) == type_

    def collector(self, table: Mapping[str, Any]) -> CollectorCommand:
        if not table.get("command"):
            raise self.wrong("collect", "[collect] needs `command`")
        removed = {}
        for key, pattern in table.get("removed", {}).items():
            try:
                removed[key] = re.compile(pattern)
            except re.error as error:
                raise self.wrong(key, f"`{key}` is not a regular expression: {error}", "collect") from None
        return CollectorCommand(
            command=tuple(table["command"]),
            untagged=tuple(table.get("untagged", ())),
            removed=removed,
            limit_s=float(table.get("limit_s", 60.0)),
        )

    def container(self, tables: Mapping[str, Any]) -> ContainerImage:
        table = tables["container"]
        for other in ("serve", "service", "storage"):
            if other in tables:
                why = "is for a registry that runs on this machine; with [container] leave it out"
                raise self.wrong(other, f"[{other}] {why}")
        if not table.get("image"):
            raise self.wrong("container", '[container] needs `image`, such as "registry:2"')
        if "port" not in table:
            raise self.wrong("container", "[container] needs `port`: where the registry listens inside it")
        volume = table.get("volume", "")
        if volume and (not volume.startswith("/") or volume.strip("/") == ""):
            raise self.wrong("volume", f"`volume` is an absolute folder inside, not {volume!r}", "container")
        return ContainerImage(table["image"], table["port"], volume, table.get("network", ""))

    def service(self, table: Mapping[str, Any]) -> ServiceCommand:
        if not table.get("command"):
            raise self.wrong("service", "[service] needs `command`")
        return ServiceCommand(
            command=tuple(table["command"]),
            health=table.get("health", "/"),
            env=table.get("env", {}),
            limit_s=float(table.get("limit_s", 30.0)),
        )
