"""The power is cut after every step that the reference takes, and what it has not synced may be lost.

What holds after a kill (see test_crash_points.py) holds after that, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reference_impl.drivers.filesystem import FilesystemDriver
from reference_impl.drivers.posix import Posix
from reference_impl.registry import layout
from reference_impl.registry.store import Registry

from .crash.after import complaints
from .crash.client import Client
from .crash.facts import Facts, settle
from .crash.mortal import Died, Mortal, Point
from .crash.power import Recorder, remains
from .crash.scenes import SCENES, Scene


def _open(root: Path, posix: Posix | None = None) -> Registry:
    full = f"{root}/{layout.ROOT}"
    return Registry(FilesystemDriver(full, scratch=layout.SCRATCH, fsync=False, posix=posix))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_power_cut_at_every_step(
    scene: Scene, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    root, facts = tmp_path / "root", Facts()
    root.mkdir()
    scene.prepare(Client(_open(root), facts))
    recorder = Recorder(root)
    history = [(0, facts.copy())]
    facts.noted = lambda: history.append((len(recorder.log), facts.copy()))
    scene.run(Client(_open(root, recorder), facts))
    seen, states = set(), 0
    for end in range(len(recorder.log) + 1):
        known = max(number for number, (position, _) in enumerate(history) if position <= end)
        for what, tree in remains(recorder, end):
            signature = (known, tree.signature())
            if signature in seen:
                continue
            seen.add(signature)
            states += 1
            tree.put(tmp_path / "after")
            wrong = complaints(_open(tmp_path / "after"), history[known][1].copy(), scene, power=True)
            assert wrong == [], f"cut after {recorder.taken_until(end)}; left is what was synced and {what}"
            shutil.rmtree(tmp_path / "after")
    record_property("points", len(recorder.steps))
    record_property("states", states)
    assert states > 1


def _killed(root: Path, scene: Scene) -> Iterator[tuple[Point, Facts, Recorder]]:
    """What a process leaves that was killed at each point of a scene; then others may use the recorder. The
    folder is removed again."""
    (root / "whole").mkdir()
    facts, whole = Facts(), Mortal()
    scene.prepare(Client(_open(root / "whole"), facts))
    scene.run(Client(_open(root / "whole", whole), facts))
    for point in whole.points():
        here, facts = root / str(point), Facts()
        here.mkdir()
        scene.prepare(Client(_open(here), facts))
        recorder = Recorder(here, point)
        with pytest.raises(Died):
            scene.run(Client(_open(here, recorder), facts))
        recorder.revive()
        yield point, facts, recorder
        shutil.rmtree(here)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_power_cut_after_a_kill(scene: Scene, tmp_path: Path) -> None:
    """What a killed process has done and not synced is not taken for durable by one that does it again."""
    for point, facts, recorder in _killed(tmp_path, scene):
        scene.run(Client(_open(recorder.root, recorder), facts))
        _, tree = next(remains(recorder, len(recorder.log)))
        tree.put(tmp_path / "after")
        wrong = complaints(_open(tmp_path / "after"), facts, scene, power=True)
        assert wrong == [], f"killed at {point}, then done again: {recorder.taken_until(len(recorder.log))}"
        shutil.rmtree(tmp_path / "after")


@pytest.mark.parametrize(
    "scene", [scene for scene in SCENES if "delete" in scene.name], ids=lambda scene: scene.name
)
def test_power_cut_after_a_kill_and_a_collection(scene: Scene, tmp_path: Path) -> None:
    """What a killed process has removed and not synced is not taken for gone by a collector: it could come
    back, and what it leads to would not."""
    for point, facts, recorder in _killed(tmp_path, scene):
        killed_at, known = len(recorder.log), facts.copy()
        assert settle(_open(recorder.root), known) == []
        Client(_open(recorder.root, recorder), known).collect(delete_untagged=True)
        facts.purged |= known.purged
        facts.allow({key: facts.of(key) | known.of(key) for key in known.allowed})
        seen = set()
        for end in range(killed_at, len(recorder.log) + 1):
            for what, tree in remains(recorder, end):
                if tree.signature() in seen:
                    continue
                seen.add(tree.signature())
                tree.put(tmp_path / "after")
                then = replace(scene, collects=True)
                wrong = complaints(_open(tmp_path / "after"), facts.copy(), then, power=True)
                steps = recorder.taken_until(end)
                assert wrong == [], (
                    f"killed at {point}, cut after {steps}; left is what was synced and {what}"
                )
                shutil.rmtree(tmp_path / "after")
