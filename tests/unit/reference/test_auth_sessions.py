"""Upload sessions: whose they are, how long they last, how many there may be, and those of Distribution."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reference_impl.auth.settings import AuthSettings
from reference_impl.drivers.base import Driver, NotFound
from reference_impl.drivers.memory import MemoryDriver
from reference_impl.registry import layout, sessions
from reference_impl.registry.digests import digest_of
from reference_impl.registry.errors import OutOfOrder, Refusal
from reference_impl.registry.store import Registry, filesystem_driver

from .accounts import Client, Clock, htpasswd
from .images import error_codes, sha

HOUR_S = 3600.0


def open_client(folder: Path, registry: Registry, **more: Any) -> Client:
    return Client(AuthSettings(kind="basic", htpasswd=htpasswd(folder), **more), registry)


@pytest.fixture
def client(tmp_path: Path, registry: Registry) -> Iterator[Client]:
    opened = open_client(tmp_path, registry)
    yield opened
    opened.close()


@pytest.fixture
def location(client: Client) -> str:
    """A session of alice's, with three bytes."""
    answer = client("POST", "/v2/a/blobs/uploads/", "alice")
    assert client("PATCH", answer.headers["location"], "alice", content=b"abc").status_code == 202
    return str(answer.headers["location"])


def refusals(client: Client, location: str, who: str) -> list[tuple[int, list[str]]]:
    answers = [
        client("GET", location, who),
        client("PATCH", location, who, content=b"evil"),
        client("PATCH", location, who, content=b"evil", headers={"Content-Range": "3-6"}),
        client("PUT", location, who, params={"digest": sha(b"abc")}),
        client("PUT", location, who, params={"digest": sha(b"abcevil")}, content=b"evil"),
        client("DELETE", location, who),
    ]
    return [(answer.status_code, error_codes(answer)) for answer in answers]


UNKNOWN = (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_another_account_does_not_see_it(client: Client, location: str) -> None:
    assert refusals(client, location, "bob") == [UNKNOWN] * 6
    status = client("GET", location, "alice")
    assert (status.status_code, status.headers["range"]) == (204, "0-2")
    done = client("PUT", location, "alice", params={"digest": sha(b"abcd")}, content=b"d")
    assert done.status_code == 201
    assert client("GET", f"/v2/a/blobs/{sha(b'abcd')}", "bob").content == b"abcd"


def test_its_owner_can_cancel_it(client: Client, location: str) -> None:
    assert client("DELETE", location, "alice").status_code == 204
    assert refusals(client, location, "alice") == [UNKNOWN] * 6


def test_a_busy_session_does_not_show_itself_to_others(
    client: Client, registry: Registry, location: str
) -> None:
    session = location.rsplit("/", 1)[1]
    upload = registry.sessions.resume("a", session, "alice")
    assert client("PATCH", location, "alice", content=b"x").status_code == 416
    assert client("PATCH", location, "bob", content=b"x").status_code == 404
    upload.undo()


def test_the_owner_survives_a_restart(tmp_path: Path) -> None:
    def start() -> Client:
        return open_client(tmp_path, Registry(filesystem_driver(str(tmp_path), fsync=False)))

    before = start()
    location = before("POST", "/v2/a/blobs/uploads/", "alice").headers["location"]
    before("PATCH", location, "alice", content=b"abc")
    before.close()
    after = start()
    assert refusals(after, location, "bob") == [UNKNOWN] * 6
    assert after("PUT", location, "alice", params={"digest": sha(b"abcd")}, content=b"d").status_code == 201
    after.close()


class Recorder(MemoryDriver):
    """Remembers what was stored whenever something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[str]] = []

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        assert durable or path.endswith("/startedat")
        super().write(path, data)
        self.steps.append([path.rsplit("/", 1)[1] for path, _ in self.walk(layout.uploads("a"))])


def test_the_owner_is_durable_before_the_session_can_be_used() -> None:
    driver = Recorder()
    Registry(driver).sessions.create("a", "alice")
    assert driver.steps == [["data", "owner"], ["data", "owner", "startedat"]]


def test_without_a_name_there_is_no_owner(registry: Registry) -> None:
    session = registry.sessions.create("a")
    assert registry.driver.list(layout.session_folder("a", session)) == ["data", "startedat"]
    assert registry.sessions.size("a", session, "alice") == 0
    assert registry.sessions.size("a", session) == 0


def test_a_named_session_is_closed_to_nobody_in_particular(registry: Registry) -> None:
    session = registry.sessions.create("a", "alice")
    for other in (None, "", "alic", "alice\n", "Alice"):
        with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
            registry.sessions.size("a", session, other)
    registry.driver.write(layout.session_owner("a", session), b"")  # torn: nobody's
    for other in (None, "", "alice"):
        with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
            registry.sessions.resume("a", session, other)


# -- expiry ------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def aging(driver: Driver, clock: Clock) -> Registry:
    return Registry(driver, clock, session_max_age_s=HOUR_S)


def test_an_untouched_session_is_gone(aging: Registry, clock: Clock) -> None:
    session = aging.sessions.create("a")
    clock.now_s += HOUR_S - 60
    assert aging.sessions.size("a", session) == 0
    clock.now_s += 120
    for use in (aging.sessions.size, aging.sessions.resume, aging.sessions.cancel):
        with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
            use("a", session)
    assert sessions.forget_idle(aging.driver, "a", session, clock() - int(HOUR_S * 1e9))
    assert sessions.traces(aging.driver, "a", session) == sessions.Traces(False, False, 0, 0)


def test_bytes_keep_a_session_alive(aging: Registry, clock: Clock) -> None:
    session = aging.sessions.create("a")
    started = aging.driver.stat(layout.session_started_at("a", session)).mtime_ns
    upload = aging.sessions.resume("a", session)
    upload.write(b"abc")
    upload.keep()
    aging.driver.touch(layout.session_data("a", session), started + int(HOUR_S * 1e9))
    clock.now_s += 2 * HOUR_S - 60
    assert aging.sessions.size("a", session) == 3
    assert not sessions.forget_idle(aging.driver, "a", session, clock() - int(HOUR_S * 1e9))
    clock.now_s += 120
    with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
        aging.sessions.size("a", session)


def test_a_session_that_is_written_to_is_not_forgotten(aging: Registry, clock: Clock) -> None:
    session = aging.sessions.create("a")
    upload = aging.sessions.resume("a", session)
    clock.now_s += 10 * HOUR_S
    assert not sessions.forget_idle(aging.driver, "a", session, clock())
    upload.write(b"abc")
    assert upload.keep() == 3
    assert sessions.forget_idle(aging.driver, "a", session, clock())


def test_the_time_of_the_start_is_the_clocks(driver: Driver) -> None:
    session = Registry(driver, Clock(1_800_000_000)).sessions.create("a")
    assert driver.read(layout.session_started_at("a", session)) == b"2027-01-15T08:00:00Z"


# -- how many ----------------------------------------------------------------------------------


def test_open_sessions_are_bounded(driver: Driver, clock: Clock, tmp_path: Path) -> None:
    registry = Registry(driver, clock, session_max_age_s=HOUR_S, open_sessions_max=3)
    client = open_client(tmp_path, registry)

    def begin(repository: str = "a") -> int:
        return client("POST", f"/v2/{repository}/blobs/uploads/", "alice").status_code

    assert [begin() for _ in range(4)] == [202, 202, 202, 429]
    answer = client("POST", "/v2/a/blobs/uploads/", "alice")
    assert (answer.status_code, error_codes(answer)) == (429, ["TOOMANYREQUESTS"])
    assert begin("b") == 202
    at_once = client("POST", "/v2/a/blobs/uploads/", "alice", params={"digest": sha(b"x")}, content=b"x")
    assert at_once.status_code == 201  # needs no session
    one = registry.driver.list(layout.uploads("a"))[0]
    assert client("DELETE", f"/v2/a/blobs/uploads/{one}", "alice").status_code == 204
    assert [begin(), begin()] == [202, 429]
    clock.now_s += HOUR_S + 60  # those that ran out make room
    assert [begin() for _ in range(4)] == [202, 202, 202, 429]
    assert len(registry.driver.list(layout.uploads("a"))) == 3
    client.close()


# -- Distribution's ----------------------------------------------------------------------------


@pytest.fixture
def adopted(registry: Registry) -> str:
    """What docker-registry leaves in the folder of a session that has received nothing yet."""
    session = "0198c5a4-7b1e-7cc3-98c4-dc0c0c07398f"
    registry.driver.write(layout.session_started_at("a", session), b"2026-11-23T18:33:22Z")
    registry.driver.write(f"{layout.session_hash_states('a', session)}/sha256/0", b"sha\x03" + bytes(104))
    return session


@pytest.mark.parametrize("data", [None, b"", b"abc"])
def test_a_session_of_distributions_goes_on(
    client: Client, registry: Registry, adopted: str, data: bytes | None
) -> None:
    if data is not None:
        registry.driver.write(layout.session_data("a", adopted), data)
    location = f"/v2/a/blobs/uploads/{adopted}"
    shown = f"0-{len(data) - 1}" if data else None
    assert client("GET", location, "bob").headers.get("range") == shown
    whole = (data or b"") + b"def"
    sent = client("PATCH", f"{location}?_state=x", "alice", content=b"def")
    assert (sent.status_code, sent.headers["range"]) == (202, f"0-{len(whole) - 1}")
    assert client("PUT", location, "alice", params={"digest": sha(whole)}).status_code == 201
    assert client("GET", f"/v2/a/blobs/{sha(whole)}", "alice").content == whole
    assert client("GET", location, "alice").status_code == 404
    with pytest.raises(NotFound):
        registry.driver.stat(layout.session_folder("a", adopted))


def test_an_empty_session_of_distributions_can_be_finished_or_cancelled(client: Client, adopted: str) -> None:
    location = f"/v2/a/blobs/uploads/{adopted}"
    assert client("PUT", location, "alice", params={"digest": sha(b"x")}).status_code == 400
    assert client("PUT", location, "alice", params={"digest": sha(b"")}).status_code == 201
    assert client("DELETE", location, "alice").status_code == 404


def test_ours_without_data_is_being_committed(registry: Registry) -> None:
    session = registry.sessions.create("a")
    registry.driver.delete(layout.session_data("a", session))
    with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
        registry.sessions.resume("a", session)


def test_a_folder_without_a_start_is_no_session(registry: Registry, adopted: str) -> None:
    registry.driver.delete(layout.session_started_at("a", adopted))
    registry.driver.write(layout.session_data("a", adopted), b"abc")
    with pytest.raises(Refusal, match="BLOB_UPLOAD_UNKNOWN"):
        registry.sessions.size("a", adopted)


def test_only_one_adopts(registry: Registry, adopted: str) -> None:
    first = registry.sessions.resume("a", adopted)
    with pytest.raises(OutOfOrder, match="UPLOAD_BUSY"):
        registry.sessions.resume("a", adopted)
    first.write(b"abc")
    assert first.commit(digest_of(b"abc")).size_bytes == 3
