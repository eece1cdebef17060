"""Accidents of the machine that last until they are healed, and power cuts: what the operator's lane does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from harness.faults import storage
from harness.faults.limits import Limits
from harness.faults.network import Weather
from harness.faults.syscall import Rule
from harness.faults.volume import Volume
from harness.plan.content import Symbols
from harness.plan.operation import Operation
from harness.run.journal import Journal
from harness.run.kit import Kit
from harness.targets.base import Target, TargetError, Unpluggable
from harness.targets.controls import CONTROLS


class Accidents:
    """The accidents of one execution. Every method raises `TargetError`; what raised was not delivered."""

    def __init__(self, kit: Kit, target: Target, journal: Journal, names: Symbols) -> None:
        self._kit, self._target, self._journal, self._names = kit, target, journal, names
        self._heals: dict[str, Callable[[], None]] = {}
        self._weathers: list[tuple[Operation, Weather, int]] = []
        self._lock, self._wire = threading.Lock(), threading.Lock()
        self.doers: Mapping[str, Callable[[Operation], None]] = {
            "power": self._power,
            "disk.full": self._full,
            "disk.readonly": self._read_only,
            "disk.slow": self._slow,
            "disk.flip": self._flip,
            "disk.cut": self._cut,
            "limit": self._limit,
            "net": self._net,
            "net.unplug": self._unplug,
        }

    def do(self, op: Operation) -> bool:
        """Let it happen, and write down that it did."""
        try:
            self.doers[op.do](op)
        except TargetError as error:
            self._journal.control("fault.missed", op.id, op.lane, fault=op.do, why=str(error))
            return False
        if op.do == "net":
            return True  # whether anybody met it is known at its end
        self._journal.control("fault.delivered", op.id, op.lane, fault=op.do, **self._about(op))
        return True

    def heal(self) -> list[str]:
        """End all that lasts. Returns why some of it did not end."""
        with self._lock:
            heals, self._heals = self._heals, {}
        trouble = []
        for heal in heals.values():
            try:
                heal()
            except TargetError as error:
                trouble.append(str(error))
        if heals:
            self._journal.control("fault.healed")
        return trouble

    # --- one by one

    def _power(self, op: Operation) -> None:
        volume = self._volume()
        self._journal.control("power", op.id, op.lane)
        volume.cut_power()
        self._target.kill()
        self._journal.control("killed", op.id, op.lane)

    def _full(self, op: Operation) -> None:
        volume = self._volume()
        self._heals["full"] = volume.free
        volume.fill(int(op.get("free", 0)))

    def _read_only(self, op: Operation) -> None:
        volume = self._volume()
        self._heals["readonly"] = lambda: volume.read_only(False)
        volume.read_only(True)

    def _slow(self, op: Operation) -> None:
        gate = self._kit.gate
        if gate is None:
            raise TargetError("there is no system-call gate")
        rule = Rule("slow", sticky=True, limit_s=int(op["ms"]) / 1000)
        self._heals["slow"] = gate.arm(rule).disarm

    def _limit(self, op: Operation) -> None:
        pid = None if self._kit.target is None else self._kit.target.process_id()
        if pid is None:
            raise TargetError("the registry does not run")
        limits = Limits(pid)
        self._heals[f"limit {op['what']}"] = limits.heal
        (limits.files if op["what"] == "files" else limits.memory)(int(op["value"]))

    def _net(self, op: Operation) -> None:
        network = self._kit.network
        if network is None:
            raise TargetError("no Toxiproxy stands on the wire; see `seatrial doctor`")
        since_ns = self._journal.now_ns()
        side, stream = str(op.get("side", "client")), str(op.get("stream", "down"))
        with self._wire:  # a healing step beside it ends all of it, or nothing
            self._heals["net"] = self._calm
            weather = network.begin(op["toxic"], side, op.get("value"), stream)
            self._weathers.append((op, weather, since_ns))

    def _unplug(self, op: Operation) -> None:
        if "unplug" not in self._target.controls:
            raise TargetError(f"{self._target.name}: {CONTROLS['unplug'].how}")
        target = cast(Unpluggable, self._target)
        self._heals["unplug"] = target.plug_in
        target.unplug()

    def _calm(self) -> None:
        """End the weather, and write down which of it was met."""
        assert self._kit.network is not None
        with self._wire:
            weathers, self._weathers = self._weathers, []
            try:
                self._kit.network.heal()
            finally:
                for op, weather, since_ns in weathers:
                    met = self._failed_since(since_ns) if weather.felt is None else weather.felt
                    if met:
                        self._journal.control("fault.delivered", op.id, op.lane, fault=op.do)
                    else:
                        why = f"nobody met {op['toxic']} on the way to the {op.get('side', 'client')}"
                        self._journal.control("fault.missed", op.id, op.lane, fault=op.do, why=why)

    def _failed_since(self, since_ns: int) -> bool:
        """Whether a request failed: a connection that is refused leaves no trace at a proxy that is down."""
        return any(
            each.completed_ns >= since_ns and (each.error is not None or (each.status or 0) >= 500)
            for each in self._journal.snapshot()[0]
        )

    def _flip(self, op: Operation) -> None:
        path = self._stored(op)
        storage.flip(path, min(int(op.get("at", 0)), path.stat().st_size - 1))

    def _cut(self, op: Operation) -> None:
        storage.truncate(self._stored(op), int(op.get("size", 0)))

    # --- what they are about

    def _volume(self) -> Volume:
        if self._kit.volume is None:
            raise TargetError("the storage is not on a volume of its own")
        return self._kit.volume

    def _about(self, op: Operation) -> dict[str, str]:
        """The digest of what was damaged."""
        if op.do not in ("disk.flip", "disk.cut"):
            return {}
        if "tag" in op.args:
            return {"repo": op["repo"], "tag": op["tag"]}
        return {"digest": self._digest(op)}

    def _digest(self, op: Operation) -> str:
        if "manifest" in op.args:
            return self._names.manifest_digest(op["manifest"])
        return self._names.blob_digest(op["blob"])

    def _stored(self, op: Operation) -> Path:
        if self._kit.target is None:
            raise TargetError("the harness does not know where this target stores")
        folder = self._kit.target.storage
        if "tag" in op.args:
            return storage.find(folder, "tag", repo=self._names.repo(op["repo"]), tag=op["tag"])
        repo = self._names.repo(op["repo"]) if "repo" in op.args else ""
        return storage.find(folder, "content", digest=self._digest(op), repo=repo)
