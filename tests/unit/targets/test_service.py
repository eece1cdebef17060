"""A service beside a registry: there before it, gone after it, and a store of its own for each round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.history import Promises
from harness.targets.base import TargetError
from harness.targets.host import LOOPBACK, status_of
from harness.targets.service import ServiceCommand

from .conftest import FAKE, Make, alive, body

COMMAND = ("{python}", "-I", "-S", FAKE, "{service_port}")
SERVICE = ServiceCommand(COMMAND, env={"GREETING": "the service, round {round}"})


def test_it_outlives_the_registry_and_ends_with_the_target(make: Make) -> None:
    target = make(service=SERVICE, files={"place": "{service_port}"})
    target.open()
    port = int((target.storage.parent / "place").read_text())
    service = int(body(f"http://{LOOPBACK}:{port}"))
    assert service != target.process_id()
    target.kill()
    assert status_of(LOOPBACK, port, "/") == 200
    target.start()
    target.fresh()
    assert alive(service)
    target.close()
    assert not alive(service)


def test_each_round_has_a_number_of_its_own(make: Make) -> None:
    target = make(files={"round": "{round}"})
    target.open()
    seen = [(target.storage.parent / "round").read_text()]
    target.restart()
    seen.append((target.storage.parent / "round").read_text())
    target.fresh()
    seen.append((target.storage.parent / "round").read_text())
    assert seen == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("service", "error"),
    [
        (replace(SERVICE, command=("no-such-store",)), "there is no command 'no-such-store'"),
        (replace(SERVICE, command=(*COMMAND, "--die", "full")), "ended with 3; it said: .*full"),
        (
            replace(SERVICE, command=(*COMMAND, "--mute"), limit_s=0.3),
            "does not answer in 0.3 s; it said: hello",
        ),
    ],
)
def test_a_service_that_does_not_start_is_said_in_one_line(
    make: Make, service: ServiceCommand, error: str
) -> None:
    target = make(service=service)
    with pytest.raises(TargetError, match=error) as raised:
        target.open()
    assert len(str(raised.value).splitlines()) == 1
    assert not target.running()


def test_a_registry_that_collects_by_itself_needs_no_collector(make: Make) -> None:
    target = make(promises=Promises(collection="online", collects_itself="blobs"))
    assert target.promises.collection == "online"
    assert "collect" not in target.controls
