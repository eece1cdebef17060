"""What Go builds for the tests is found by the name that the tests, and the harness, look for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import GO_PROGRAMS, why_missing


@pytest.mark.peer("go")
@pytest.mark.parametrize("program", GO_PROGRAMS)
def test_what_was_built_is_found(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    go = shutil.which("go")
    assert go is not None
    monkeypatch.setenv("PATH", str(Path(go).parent))
    assert shutil.which(program) is None
    assert why_missing(program) is None
    assert shutil.which(program) is not None
