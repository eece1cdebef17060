"""Deviations are put in at seams: alone or together, and never without saying so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reference_impl import deviations
from reference_impl.defects import DEFECTS
from reference_impl.deviations import BUILD_APP, OPEN_DRIVER, PACKAGE, SEAMS, At, Deviation, extended, put_in
from reference_impl.registry.content import Content
from reference_impl.variants import VARIANTS

EVERY = {**DEFECTS, **VARIANTS}


def looked_up(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)


def test_a_seam_is_where_the_reference_looks_a_class_up() -> None:
    for one, places in SEAMS.items():
        assert {looked_up(place) for place in places} == {one}
    assert all(callable(looked_up(place)) for place in (*OPEN_DRIVER, *BUILD_APP))


@pytest.mark.parametrize("name", EVERY)
def test_every_deviation_fits_a_seam(name: str) -> None:
    for wrap in EVERY[name].wraps:
        for place in wrap.places if isinstance(wrap, At) else deviations.seam(wrap):
            assert callable(looked_up(place))


def test_a_class_that_extends_none_of_them_is_refused() -> None:
    with pytest.raises(TypeError, match="extends no class of SEAMS"):
        deviations.seam(int)


def test_two_extensions_of_one_class_make_one() -> None:
    class Twice(Content):
        def resolve(self, *args: Any) -> Any:
            return (super().resolve(*args), "twice")

    class Thrice(Content):
        def resolve(self, *args: Any) -> Any:
            return (super().resolve(*args), "thrice")

    class Bottom(Content):
        def resolve(self, *args: Any) -> Any:
            return "found"

    made: Any = extended(extended(extended(Content, Bottom), Twice), Thrice)
    assert made(None).resolve("r", None) == (("found", "twice"), "thrice")


def test_what_is_put_in_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Content):
        pass

    place = SEAMS[Content][0]
    module, _, attribute = place.partition(":")
    monkeypatch.setattr(f"{PACKAGE}.{module}.{attribute}", Content)  # put back afterwards
    put_in([Deviation("other", "another content", (Other,))])
    assert looked_up(place) is Other


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reference_impl", *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_defective_registry_says_so(tmp_path: Path) -> None:
    ran = run("collect", "--root", str(tmp_path), "--defect", "gc-removes-nothing")
    assert ran.returncode == 0
    assert "DEFECTIVE on purpose: gc-removes-nothing" in ran.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--defect", "gc-removes-nothin"), "did you mean gc-removes-nothing?"),
        (("--variant", "xyz"), "see reference_impl variants"),
    ],
)
def test_an_unknown_name_is_one_line(tmp_path: Path, option: tuple[str, str], words: str) -> None:
    ran = run("serve", "--root", str(tmp_path), *option)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_without_deviations_nothing_of_them_is_loaded() -> None:
    code = "import sys, reference_impl.commands, reference_impl.service; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"reference_impl.deviations", "reference_impl.defects"} & set(ran.stdout.split())
