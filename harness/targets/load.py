"""Finding targets by name: the catalogue of known registries, and target files."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

from harness.history import Promises
from harness.targets.base import TargetError
from harness.targets.command import CommandTarget
from harness.targets.description import Description, load_description
from harness.targets.docker import DockerTarget
from harness.targets.seams import Disk, MakeGateway, Tap

CATALOGUE = Path(__file__).parent / "catalogue"


def names() -> tuple[str, ...]:
    """The names in the catalogue, in order."""
    return tuple(sorted(path.name.removesuffix(".toml") for path in CATALOGUE.glob("*.toml")))


def find_description(name_or_path: str | Path) -> Description:
    """A description from the catalogue, or from a file (anything with a slash, or that ends in ``.toml``);
    ``reference+NAME`` is the reference with a defect. Raises `TargetError`: one line."""
    text = str(name_or_path)
    if text in names():
        return load_description(CATALOGUE / f"{text}.toml", text)
    if (found := _DEVIATING.fullmatch(text)) is not None:
        return deviating(find_description(found["name"]), text, found["deviations"])
    path = Path(text)
    if isinstance(name_or_path, Path) or path.suffix == ".toml" or len(path.parts) > 1:
        return load_description(path)
    near = difflib.get_close_matches(text, names(), 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else "or give the path of a target file (.toml)"
    raise TargetError(f"there is no target {text!r} in the catalogue ({', '.join(names())}); {hint}")


_DEVIATING = re.compile(r"(?P<name>reference[a-z0-9-]*)(?P<deviations>(?:[+~][^+~/]+)+)")
_OPTION = {"+": "--defect", "~": "--variant"}


def deviating(description: Description, name: str, deviations: str) -> Description:
    """The reference with defects, ``+NAME``, or with lawful differences, ``~NAME``, put in on purpose.

    Whether there are any of these names is for the reference to say, when it starts.
    """
    options: list[str] = []
    for mark, one in re.findall(r"([+~])([^+~]+)", deviations):
        options += [_OPTION[mark], one]
    collector = description.collector
    if collector is not None:
        untagged = (*collector.untagged, *options) if collector.untagged else ()
        collector = replace(collector, command=(*collector.command, *options), untagged=untagged)
    return replace(description, name=name, command=(*description.command, *options), collector=collector)


def load_target(
    name_or_path: str | Path,
    promises: Promises | None = None,
    *,
    disk: Disk | None = None,
    gateway: MakeGateway | None = None,
    tap: Tap | None = None,
) -> CommandTarget | DockerTarget:
    """A target from the catalogue or from a file, not opened yet. `promises` replace what the file says;
    `disk`, `gateway` and `tap` are as of `CommandTarget`; a container takes none of them. Raises
    `TargetError`: one line that says which file, which line and what to do."""
    description = find_description(name_or_path)
    if description.container is not None:
        return DockerTarget(description, promises)
    return CommandTarget(description, promises, disk=disk, gateway=gateway, tap=tap)
