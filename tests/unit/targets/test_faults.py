"""Process faults, their healing, and the doctor's rows."""

from __future__ import annotations

import shutil

import pytest

from harness.faults.process import FAULTS, heal_all
from harness.history import ABILITIES
from harness.targets import doctor
from harness.targets.base import TargetError
from harness.targets.controls import CONTROLS
from harness.targets.load import names
from harness.targets.probe import Probed
from harness.targets.url import UrlTarget

from .conftest import Make, Serve, body


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_delivered_and_healed(make: Make, name: str) -> None:
    target, fault = make(), FAULTS[name]
    target.open()
    assert fault.available(target) is None
    fault.heal(target)
    before = body(target.url)
    fault.deliver(target)
    fault.heal(target)
    assert (body(target.url) == before) == (name == "pause")


@pytest.mark.parametrize("faults", [(), ("kill",), ("pause",), ("pause", "kill"), ("pause", "restart")])
def test_heal_all_heals_whatever_happened(make: Make, faults: tuple[str, ...]) -> None:
    target = make()
    target.open()
    for name in faults:
        FAULTS[name].deliver(target)
    assert heal_all(target) == []
    assert body(target.url)


def test_heal_all_reports_what_it_could_not_heal(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make()
    target.open()
    target.kill()

    def broken() -> None:
        raise TargetError("it will not start")

    monkeypatch.setattr(target, "start", broken)
    assert heal_all(target) == ["it will not start"]


def test_without_a_control_the_option_is_named(serve: Serve) -> None:
    target = UrlTarget(serve(lambda _: (200, {}, b"")))
    for fault in FAULTS.values():
        assert "--target-file" in (fault.available(target) or "")
    assert heal_all(target) == []


def test_doctor_tells_about_the_machine() -> None:
    rows = {row.what: row for row in doctor.machine()}
    assert rows["python"].available
    for program in ("docker-registry", "skopeo", "strace"):
        assert rows[program].available == (shutil.which(program) is not None)
    assert all(row.note and "\n" not in row.note for row in rows.values())


def test_doctor_tells_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    rows = {row.what: row for row in [*doctor.machine(), *doctor.catalogue()]}
    assert not rows["docker-registry"].available
    assert "apt-get install docker-registry" in rows["docker-registry"].note
    assert not rows["docker engine"].available
    assert rows["reference"].available
    assert not rows["distribution-2.8"].available
    assert "install it: apt-get" in rows["distribution-2.8"].note
    assert set(names()) <= rows.keys()


def test_doctor_tells_about_a_target(make: Make) -> None:
    target = make()
    rows = {row.what: row for row in doctor.target(target, Probed(frozenset({"push"}), {"range": "why not"}))}
    assert rows.keys() == CONTROLS.keys() | ABILITIES.keys()
    assert rows["kill"].available
    assert rows["push"].available
    assert not rows["range"].available
    assert "why not" in rows["range"].note
    assert "--gc-cmd" in rows["collect"].note
