"""What a person asked for: the options of `pytest harness`, `seatrial replay` and the rest, as one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.history import Promises


class OptionError(ValueError):
    """An option that cannot be used. Its text is one line: which, why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """``budget_s``: time for exploring, all families together; ``shrink``: executions for each finding;
    ``confirm``: replays that measure a shrunk finding's rate."""

    budget_s: float
    shrink: int
    confirm: int


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(20.0, 40, 5),
    "default": Profile(40.0, 60, 10),
    "soak": Profile(600.0, 120, 20),
}
SPECS = ("1.0", "1.1", "dev")
TIERS: tuple[str, ...] = ("wire", "process", "hazard", "syscall", "storage", "limits", "damage", "network")


@dataclass(frozen=True, slots=True)
class Options:
    """Every option of a run. ``target`` is a URL, ``target_file`` a file or a name of the catalogue; neither
    means the bundled reference."""

    target: str | None = None
    target_file: str | None = None
    profile: str = "default"
    seed: int = 0
    budget_s: float | None = None
    spec: str | None = None
    namespace: str = "seatrial"
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    insecure: bool = False
    kill_cmd: str | None = None
    restart_cmd: str | None = None
    gc_cmd: str | None = None
    toxiproxy: str | None = None
    promises: tuple[str, ...] = ()
    tiers: frozenset[str] = field(default_factory=lambda: frozenset(TIERS))
    known: str | None = None
    strict: bool = False
    out: Path = Path("seatrial-out")

    def check(self) -> Options:
        """Itself, when it can be used; raises `OptionError`."""
        if self.target is not None and self.target_file is not None:
            raise OptionError("--target and --target-file were both given; choose one")
        choose("--profile", self.profile, tuple(PROFILES))
        if self.spec is not None:
            choose("--spec", self.spec, SPECS)
        for tier in sorted(self.tiers):
            choose("--tiers", tier, TIERS)
        if not re.fullmatch(
            r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*",
            self.namespace,
        ):
            raise OptionError(
                f"--namespace {self.namespace!r} is no repository name;"
                " use lower-case letters and digits, such as `seatrial` or `team/trials`"
            )
        promised(Promises(), self.promises)
        return self

    @property
    def limits(self) -> Profile:
        profile = PROFILES[self.profile]
        return profile if self.budget_s is None else replace(profile, budget_s=self.budget_s)


def choose(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, when it is one of those allowed; raises `OptionError`."""
    if value not in allowed:
        raise OptionError(f"{option} {value!r} is unknown; it is one of: {', '.join(allowed)}")
    return value


_PERIOD = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def period_s(text: str, option: str = "--budget") -> float:
    """``"60s"``, ``"10m"``, ``"1h"`` or plain seconds; raises `OptionError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or float(match[1]) <= 0:
        raise OptionError(f"{option} {text!r} is no length of time; write 60s, 10m or 1h")
    return float(match[1]) * _PERIOD[match[2]]


def promised(promises: Promises, changes: tuple[str, ...]) -> Promises:
    """Promises with ``name=value`` changes from the command line; raises `OptionError`."""
    known = {field.name: getattr(promises, field.name) for field in fields(promises)}
    made: dict[str, Any] = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in known:
            raise OptionError(
                f"--promise {change!r}: there is no promise {name!r}; there are: {', '.join(known)}"
            )
        old = known[name]
        if isinstance(old, bool):
            choose(f"--promise {name}", value, ("yes", "no"))
            made[name] = value == "yes"
        elif isinstance(old, float):
            made[name] = period_s(value, f"--promise {name}") if value != "0" else 0.0
        elif name == "collection":
            made[name] = choose("--promise collection", value, ("online", "offline", "none"))
        elif name == "collects_itself":
            made[name] = choose("--promise collects_itself", value, ("no", "blobs", "untagged"))
        elif name == "spec":
            made[name] = choose("--promise spec", value, SPECS)
        else:
            made[name] = value
    return replace(promises, **made)
