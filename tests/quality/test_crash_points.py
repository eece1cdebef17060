"""The reference dies before every step that changes its disk, and in the middle of every write.

After each of these points another process opens the same folder. What was acknowledged is there byte for
byte, what was refused is not, what was under way is done or not done; to do it again succeeds; and a
collection keeps all that is reachable, and leaves nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reference_impl.drivers.filesystem import FilesystemDriver
from reference_impl.registry import layout
from reference_impl.registry.store import Registry

from .crash.after import complaints
from .crash.client import Client
from .crash.facts import Facts, settle
from .crash.mortal import Died, Mortal, Point
from .crash.scenes import SCENES, Scene


def _open(root: Path, posix: Mortal | None = None) -> Registry:
    full = f"{root}/{layout.ROOT}"
    return Registry(FilesystemDriver(full, scratch=layout.SCRATCH, fsync=False, posix=posix))


def _run(root: Path, scene: Scene, point: Point | None) -> tuple[Facts, Mortal]:
    """Do what is done in a scene, until the point."""
    facts = Facts()
    scene.prepare(Client(_open(root), facts))
    mortal = Mortal(point)
    try:
        scene.run(Client(_open(root, mortal), facts))
    except Died:
        assert mortal.dead
    return facts, mortal


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_killed_at_every_step(
    scene: Scene, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    facts, mortal = _run(tmp_path / "undisturbed", scene, None)
    assert settle(_open(tmp_path / "undisturbed"), facts) == []
    points = mortal.points()
    record_property("points", len(points))
    assert points
    for point in points:
        root = tmp_path / str(point)
        facts, mortal = _run(root, scene, point)
        assert mortal.dead
        assert complaints(_open(root), facts, scene) == [], f"killed at {point}: {mortal.taken}"
