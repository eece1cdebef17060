"""Weather on the wire over proxies that only write down what they were told; a real Toxiproxy is a peer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.faults import network as weather
from harness.faults.network import Network
from harness.faults.toxiproxy import Toxic, available
from harness.run.kit import Kit
from harness.run.options import Options
from harness.targets.base import TargetError
from harness.targets.load import find_description
from harness.targets.service import Service, ServiceCommand


class Told:
    """Implements `Proxies`."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[int, int, tuple[Toxic, ...], bool]] = {}
        self.used: set[str] = set()
        self.made: list[str] = []
        self.closed = False
        self.broken = False
        self.busy = False

    def add(self, name: str, port: int, upstream: int, toxics: tuple[Toxic, ...], *, open: bool) -> None:
        if self.broken:
            raise TargetError("broken")
        assert all(other[0] != port for other in self.there.values()), "two proxies on one port"
        self.there[name] = (port, upstream, toxics, open)
        self.made.append(name)
        if self.busy:
            self.used.add(name)

    def remove(self, name: str) -> None:
        self.there.pop(name, None)

    def seen(self, name: str) -> bool:
        return name in self.used

    def check(self) -> None:
        if self.broken:
            raise TargetError("broken")

    def close(self) -> None:
        self.closed = True

    def now(self) -> tuple[int, int, tuple[Toxic, ...], bool]:
        (found,) = self.there.values()
        return found


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def network(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    monkeypatch.setattr(weather, "COUNT_LIMIT_S", 0.0)
    made = Network(start=lambda url: told)
    yield made
    made.close()


def test_clients_go_past_the_proxy_unless_there_is_weather(network: Network, told: Told) -> None:
    assert network.client(4000) == 4000
    assert told.there == {}
    network.lead(True)
    door = network.client(4000)
    assert door != 4000
    assert told.now() == (door, 4000, (), True)
    assert network.client(4000) == door
    assert len(told.made) == 1
    network.lead(False)
    assert network.client(4000) == 4000


def test_a_server_that_is_gone_ends_the_run_before_it_begins(network: Network, told: Told) -> None:
    told.broken = True
    network.lead(False)
    with pytest.raises(TargetError, match="broken"):
        network.lead(True)


def test_a_toxic_has_a_proxy_of_its_own_on_the_same_port(network: Network, told: Told) -> None:
    door = network.backend(4000)
    network.begin("limit_data", "backend", 7, "up")
    assert told.now() == (door, 4000, (Toxic("limit_data", {"bytes": 7}, "upstream"),), True)
    network.heal()
    assert told.now() == (door, 4000, (), True)
    assert len(set(told.made)) == 3


def test_down_listens_no_longer_until_it_is_healed(network: Network, told: Told) -> None:
    door = network.backend(4000)
    down = network.begin("down", "backend")
    assert told.now() == (door, 4000, (), False)
    network.heal()
    assert told.now() == (door, 4000, (), True)
    assert down.felt is None


def test_only_what_went_through_while_it_lasted_counts(network: Network, told: Told) -> None:
    network.backend(4000)
    told.used.add(told.made[-1])
    first = network.begin("latency", "backend")
    told.used.add(told.made[-1])
    second = network.begin("slicer", "backend")
    assert [toxic.type for toxic in told.now()[2]] == ["latency", "slicer"]
    network.heal()
    told.used.add(told.made[-1])
    third = network.begin("latency", "backend")
    network.heal()
    assert (first.felt, second.felt, third.felt) == (True, False, False)


def test_a_connection_right_after_the_healing_does_not_count(network: Network, told: Told) -> None:
    network.backend(4000)
    early = network.begin("latency", "backend")
    told.busy = True
    network.heal()
    assert early.felt is False


def test_what_could_not_be_healed_is_healed_later(network: Network, told: Told) -> None:
    network.backend(4000)
    network.begin("latency", "backend")
    told.broken = True
    with pytest.raises(TargetError):
        network.heal()
    told.broken = False
    network.heal()
    assert told.now()[2] == ()


def test_a_side_without_a_proxy_is_said(network: Network) -> None:
    with pytest.raises(TargetError, match=r"^no proxy stands on the way to the backend$"):
        network.begin("latency", "backend")


def test_it_leaves_nothing(network: Network, told: Told) -> None:
    network.lead(True)
    network.client(4000)
    network.backend(4001)
    network.close()
    assert told.there == {}
    assert told.closed


def test_a_service_is_found_at_the_tap(network: Network, told: Told, tmp_path: Path) -> None:
    service = Service("x", ServiceCommand(("true",)), tmp_path / "log", network)
    own = service.port
    with pytest.raises(TargetError):
        service.start(["/no/such/program"], {}, tmp_path, lambda *_: (_ for _ in ()).throw(OSError(2, "no")))
    assert (service.port, told.there) == (own, {})
    service.close()


# --- where it can be had -----------------------------------------------------------------------------------


def test_without_a_server_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    why = available()
    assert why is not None
    assert why.startswith("there is no toxiproxy-server; install toxiproxy-server")
    assert "--toxiproxy URL" in why
    assert "\n" not in why
    kit = Kit.choose(frozenset({"network"}), find_description("reference"))
    assert kit.missing == {"network": why}
    assert kit.network is None
    assert Kit.at("http://127.0.0.1:5000", frozenset({"network"})).missing == {"network": why}


@pytest.mark.parametrize("url", ["https://127.0.0.1:5000", "http://registry.example", "nonsense"])
def test_there_is_no_weather_on_the_way_to_other_machines(url: str) -> None:
    kit = Kit.at(url, frozenset({"network", "storage"}))
    assert kit.network is None
    assert set(kit.missing) == {"network", "storage"}
    assert kit.controls == set()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://10.0.0.1:8474", "write http://127.0.0.1:8474: a server on this machine"),
        ("http://example.org", "write http://127.0.0.1:8474: a server on this machine"),
        ("127.0.0.1:8474", "write http://127.0.0.1:8474: a server on this machine"),
        ("http://127.0.0.1:no", "write http://127.0.0.1:8474: a server on this machine"),
        ("http://127.0.0.1:9", "no Toxiproxy answers at http://127.0.0.1:9; start one there"),
    ],
)
def test_a_server_that_was_asked_for_and_is_not_there_is_one_line(url: str, why: str) -> None:
    options = Options(target_file="reference", toxiproxy=url)
    with pytest.raises(TargetError) as raised:
        Kit.choose(options.tiers & {"network"}, find_description("reference"), toxiproxy=options.toxiproxy)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
