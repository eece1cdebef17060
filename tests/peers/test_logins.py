"""Other people's clients log in to the reference registry, by password or token, and keep to their rights."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..unit.reference.accounts import PASSWORDS, htpasswd
from . import programs
from .engine import Engine
from .layouts import Layout, archive
from .registries import Reference

SETTINGS = """
[auth]
kind = "{kind}"
realm = "http://{place}/token"
service = "reference"
htpasswd = "{htpasswd}"
rules = [
    {{ account = "alice", repository = "team/**", actions = ["pull", "push", "delete"] }},
    {{ account = "bob", repository = "team/**", actions = ["pull"] }},
]
[auth.token]
enabled = {tokens}
signing_key = "{key}"
[log]
access = true
level = "debug"
"""


@dataclass(frozen=True)
class Commands:
    """What to run, one command a line; a password comes on standard input."""

    login: str
    push: str
    pull: str


CLIENTS = {
    "skopeo": Commands(
        login="skopeo login --tls-verify=false --username {name} --password-stdin {registry}",
        push="skopeo --insecure-policy copy --dest-tls-verify=false oci:{layout}:t docker://{place}",
        pull="skopeo --insecure-policy copy --src-tls-verify=false docker://{place} oci:{out}:t",
    ),
    "crane": Commands(
        login="crane auth login --username {name} --password-stdin {registry}",
        push="crane push {layout} {place}",
        pull="crane pull --format oci {place} {out}",
    ),
    "oras": Commands(
        login="oras login --plain-http --username {name} --password-stdin {registry}",
        push="oras cp --from-oci-layout --to-plain-http {layout}:t {place}",
        pull="oras cp --from-plain-http --to-oci-layout {place} {out}:t",
    ),
    "docker": Commands(
        login="docker login --username {name} --password-stdin {registry}",
        push="docker tag image {place}\ndocker push {place}",
        pull="docker rmi {place}\ndocker pull {place}",
    ),
}


PROGRAMS = {name: (name,) for name in CLIENTS} | {"docker": ("docker", "dockerd", "unshare")}
REFUSALS = ("unauthorized", "denied", "credential", "forbidden", "invalid username")


class Person:
    """Someone at a client, with passwords in a folder of its own."""

    def __init__(self, commands: Commands, folder: Path, env: dict[str, str], **values: str) -> None:
        folder.mkdir()
        places = {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(folder / "config.json")}
        self._commands, self._env = commands, env | places
        self._values = values | {"out": str(folder / "out")}

    def login(self, name: str, password: str) -> None:
        self._run(self._commands.login, stdin=password.encode(), name=name)

    def push(self, repository: str) -> None:
        self._run(self._commands.push, place=f"{self._values['registry']}/{repository}:t")

    def pull(self, repository: str) -> None:
        self._run(self._commands.pull, place=f"{self._values['registry']}/{repository}:t")

    def _run(self, commands: str, stdin: bytes = b"", **values: str) -> None:
        for command in commands.splitlines():
            words = [word.format(**self._values, **values) for word in command.split()]
            programs.run(*words, env=self._env, stdin=stdin)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as started:
        yield started


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    made = Layout(tmp_path_factory.mktemp("layout") / "image")
    made.name("t", made.image({"etc/one": b"1" * 1000}, {"etc/two": b"2" * 1000}))
    return made


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest, work: Path) -> Iterator[Reference]:
    """A reference with accounts: alice may do everything in a team's repositories, bob may pull there."""
    settings = work / "settings.toml"
    served = Reference(work / "store", work / "log", "--config", str(settings))
    tokens = str(request.param == "bearer").lower()
    settings.write_text(
        SETTINGS.format(
            kind=request.param, place=served.place, htpasswd=htpasswd(work), tokens=tokens, key=work / "key"
        )
    )
    with served:
        yield served


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.peer(*needs)) for name, needs in PROGRAMS.items()]
)
def person(
    request: pytest.FixtureRequest, guarded: Reference, layout: Layout, tmp_path: Path
) -> Callable[[str], Person]:
    env = {}
    if request.param == "docker":
        engine: Engine = request.getfixturevalue("engine")
        engine.docker("import", "-", "image", stdin=archive({"etc/one": b"1", "etc/two": b"2"}))
        env = engine.environment
    values = {"layout": str(layout.folder), "registry": guarded.place}
    return lambda name: Person(CLIENTS[request.param], tmp_path / name, env, **values)


def is_refused(step: Callable[[], None]) -> bool:
    """Whether a client gives up because it may not."""
    with pytest.raises(AssertionError) as complaint:
        step()
    text = str(complaint.value).lower()
    assert any(word in text for word in REFUSALS), text
    return True


def test_who_is_nobody_or_somebody_else_is_refused(person: Callable[[str], Person]) -> None:
    assert is_refused(lambda: person("nobody").push("team/image"))
    impostor = person("impostor")

    def push() -> None:
        impostor.login("alice", PASSWORDS["bob"])
        impostor.push("team/image")

    assert is_refused(push)


def test_everyone_keeps_to_their_rights(guarded: Reference, person: Callable[[str], Person]) -> None:
    alice, bob = person("alice"), person("bob")
    for name, one in (("alice", alice), ("bob", bob)):
        one.login(name, PASSWORDS[name])
    alice.push("team/image")
    alice.push("team/more/image")  # offers what the first has for a mount
    assert is_refused(lambda: alice.push("elsewhere/image"))
    assert is_refused(lambda: bob.push("team/bobs"))
    bob.pull("team/image")
    bob.pull("team/more/image")
    secrets = [*PASSWORDS.values()]
    secrets += [base64.b64encode(f"{name}:{word}".encode()).decode() for name, word in PASSWORDS.items()]
    log = guarded.log.read_text()
    assert "/v2/team/more/image/manifests/t" in log
    assert [secret for secret in secrets if secret in log] == []


@pytest.mark.peer("docker", "dockerd", "unshare")
def test_docker_gives_up_at_once(guarded: Reference, engine: Engine) -> None:
    """It takes some refusals for a passing fault, and tries five times."""
    place = f"{guarded.place}/team/nobodys:t"
    engine.docker("import", "-", place, stdin=archive({"etc/one": b"1"}))
    before = engine.log()
    engine.refused("push", place)
    assert "retrying" not in engine.log().removeprefix(before)
