"""The kit of a trial: what stands between a registry and its machine so that accidents can be had.

Which tiers are wanted is an option; which of them can be had here, and why the others cannot, is found out
once. A tier that cannot be had is left out, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.faults import limits, network, storage, syscall, volume
from harness.faults.network import Network
from harness.faults.syscall import Gate
from harness.faults.volume import Volume
from harness.targets.base import TargetError
from harness.targets.command import CommandTarget
from harness.targets.description import Description
from harness.targets.url import tappable


@dataclass(frozen=True, slots=True)
class Tier:
    """``controls``: what it opens. ``available``: ``None`` where this machine has it, else why not.
    ``storage``: whether it is about the storage folder."""

    use: str
    controls: frozenset[str]
    available: Callable[[], str | None]
    storage: bool = True


TIERS: Mapping[str, Tier] = {
    "syscall": Tier(
        "counts, kills at, fails and holds the system calls that change the storage folder",
        frozenset({"syscall"}),
        syscall.available,
    ),
    "storage": Tier(
        "disks that are full, read-only or lose their power: a file system on a loop device",
        frozenset({"disk", "power"}),
        volume.available,
    ),
    "limits": Tier("few open files, little memory", frozenset({"limit"}), limits.available, False),
    "network": Tier(
        "toxics between clients and registry, and between a registry and its service: a Toxiproxy",
        frozenset({"net"}),
        network.available,
        False,
    ),
    "damage": Tier("bits that rot, files that are cut short", frozenset({"files"}), lambda: None),
}
"""The tiers that need something beside the target, for targets that the harness starts itself."""


@dataclass
class Kit:
    """``missing``: tiers that were wanted and cannot be had, and why."""

    wanted: frozenset[str] = frozenset()
    missing: dict[str, str] = field(default_factory=dict)
    gate: Gate | None = None
    volume: Volume | None = None
    network: Network | None = None
    target: CommandTarget | None = None

    @classmethod
    def choose(cls, wanted: frozenset[str], description: Description, *, toxiproxy: str | None = None) -> Kit:
        """What of it can be had here, for a target. ``toxiproxy``: the URL of a server that was asked for;
        raises `TargetError` where it cannot be used."""
        kit = cls(wanted & TIERS.keys())
        elsewhere = description.service is not None
        for name in sorted(kit.wanted):
            given = toxiproxy is not None and name == "network"
            if description.container is not None:
                kit.missing[name] = "the registry runs in a container"
            elif not given and (why := TIERS[name].available()) is not None:
                kit.missing[name] = why
            elif elsewhere and TIERS[name].storage:
                kit.missing[name] = "what it stores is with its service, not in its storage folder"
        if kit.has("storage"):
            kit.volume = Volume()
        if kit.has("network"):
            try:
                kit.network = Network(toxiproxy)
            except TargetError as error:
                if toxiproxy is not None:
                    raise
                kit.missing["network"] = str(error)
        return kit

    @classmethod
    def at(cls, url: str, wanted: frozenset[str], *, toxiproxy: str | None = None) -> Kit:
        """What of it can be had for a registry that runs already: weather between clients and registry."""
        kit = cls(wanted & TIERS.keys())
        kit.missing = dict.fromkeys(kit.wanted, "only for a registry that the harness starts: --target-file")
        if "network" in kit.wanted:
            why = None if toxiproxy is not None else TIERS["network"].available()
            if tappable(url) is None:
                why = "only for a registry at http:// on the loopback interface"
            if why is None:
                kit.network = Network(toxiproxy)
                del kit.missing["network"]
            else:
                kit.missing["network"] = why
        return kit

    def has(self, tier: str) -> bool:
        return tier in self.wanted and tier not in self.missing

    def make_gate(self, folder: Path) -> Gate:
        """For `CommandTarget`: its gateway."""
        self.gate = Gate(folder, power=None if self.volume is None else self.volume.cut_power)
        return self.gate

    def opened(self, target: CommandTarget) -> None:
        """Look at the target once it is open: only a known layout can be damaged."""
        self.target = target
        # An empty store may have no folder yet: registries make it when they first need it.
        used = any(target.storage.iterdir())
        if self.has("damage") and used and (why := storage.available(target.storage)) is not None:
            self.missing["damage"] = why

    @property
    def controls(self) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        for name, tier in TIERS.items():
            if self.has(name) and (self.target is not None or name == "network"):
                found |= tier.controls
        if "net" in found and self.target is not None and self.target.description.service is not None:
            found |= {"net.backend"}
        return found
