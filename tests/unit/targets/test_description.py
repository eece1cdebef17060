"""Target files: what is read, and what their errors teach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.history import Promises
from harness.targets.base import TargetError
from harness.targets.description import CollectorCommand, Description, parse_description
from harness.targets.load import find_description, load_target, names
from harness.targets.service import ServiceCommand

FULL = """
seatrial = 1
title = "T"
docs = "D"
install = "I"
notes = ["n"]
[serve]
command = ["reg", "{config}"]
health = "/health"
env = { A = "b" }
inherit = ["C"]
preload = ["m"]
limit_s = 3
stop_limit_s = 0.5
[files]
"config.yml" = "x"
[storage]
folders = ["f"]
[collect]
command = ["gc"]
untagged = ["gc", "-m"]
limit_s = 7
removed.blob = "^gone"
[promises]
durable = false
resume = false
sessions_survive_restart = true
collection = "offline"
grace_s = 1.5
untagged_collected = true
spec = "1.0"
collects_itself = "blobs"
[service]
command = ["store", "{service_port}"]
health = "/up"
env = { D = "e" }
limit_s = 2
"""


def test_every_key_arrives() -> None:
    assert parse_description(FULL, "n", "f.toml") == Description(
        name="n",
        command=("reg", "{config}"),
        title="T",
        docs="D",
        install="I",
        notes=("n",),
        health="/health",
        env={"A": "b"},
        inherit=("C",),
        preload=("m",),
        limit_s=3.0,
        stop_limit_s=0.5,
        files={"config.yml": "x"},
        folders=("f",),
        collector=CollectorCommand(("gc",), ("gc", "-m"), {"blob": re.compile("^gone")}, 7.0),
        service=ServiceCommand(("store", "{service_port}"), "/up", {"D": "e"}, 2.0),
        promises=Promises(False, False, True, "offline", "blobs", 1.5, True, "1.0"),
    )


def test_little_is_needed() -> None:
    read = parse_description('[serve]\ncommand = ["reg"]', "n", "f.toml")
    assert read == Description(name="n", command=("reg",), title="n")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (('notes = ["n"]', 'notes = ["n"'), r"f\.toml:\d+: not valid TOML: "),
        (("seatrial = 1", "seatrial = = 1"), "f.toml:2: not valid TOML: Invalid value"),
        (("seatrial = 1", "seatrial = 2"), "f.toml:2: this seatrial reads version 1 of target files"),
        (("health", "helth"), r"f.toml:9: unknown key `helth` in \[serve\]; did you mean `health`\?"),
        (("[promises]", "[promise]"), r"f.toml:24: unknown key `promise`; did you mean `promises`\?"),
        (("docs", "zzz"), "f.toml:4: unknown key `zzz`; known: seatrial, title"),
        (("limit_s = 3", 'limit_s = "3"'), "f.toml:13: `limit_s` must be a number of seconds, not '3'"),
        (("limit_s = 7", "limit_s = true"), "f.toml:22: `limit_s` must be a number of seconds, not True"),
        (("limit_s = 3", "limit_s = -3"), "f.toml:13: `limit_s` must be a number of seconds, not -3"),
        (("durable = false", "durable = 0"), "f.toml:25: `durable` must be true or false, not 0"),
        (('"offline"', '"sometimes"'), 'must be "online" or "offline" or "none", not .sometimes'),
        (('"1.0"', '"2.0"'), 'must be "1.0" or "1.1" or "dev", not .2.0'),
        (('command = ["reg", "{config}"]', ""), r"f.toml: \[serve\] needs `command`"),
        (('command = ["store", "{service_port}"]', ""), r"f.toml:33: \[service\] needs `command`"),
        (('"blobs"', '"all"'), 'must be "no" or "blobs" or "untagged", not .all'),
        (('command = ["gc"]', ""), r"f.toml:19: \[collect\] needs `command`"),
        (('"^gone"', '"("'), "f.toml:23: `blob` is not a regular expression: missing"),
        (('env = { A = "b" }', "env = { A = 1 }"), "f.toml:10: `env` must be a table of strings"),
        (('"config.yml"', '"../config.yml"'), "a plain file name"),
        (('"config.yml" = "x"', '"config.yml" = 1'), r"f.toml:15: \[files\] is a table"),
    ],
)
def test_errors_are_one_line_that_says_where(change: tuple[str, str], error: str) -> None:
    assert change[0] in FULL
    with pytest.raises(TargetError, match=error) as caught:
        parse_description(FULL.replace(*change, 1), "n", "f.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["serve = 1", "[[serve]]", "files = 3\n[serve]\ncommand = ['a']", "promises = 'x'"]
)
def test_a_table_has_to_be_a_table(text: str) -> None:
    with pytest.raises(TargetError, match=r"f\.toml:1: .*table"):
        parse_description(text, "n", "f.toml")


def test_the_catalogue_is_readable() -> None:
    assert {"reference", "reference-memory", "distribution-2.8", "distribution-2.8-nocache"} <= set(names())
    for name in names():
        description = find_description(name)
        assert description.name == name
        assert description.title
        assert description.docs.startswith("https://")
        assert description.install


def test_the_two_distributions_differ_in_the_cache_only() -> None:
    with_cache = find_description("distribution-2.8").files["config.yml"]
    without = find_description("distribution-2.8-nocache").files["config.yml"]
    assert "blobdescriptor: inmemory" in with_cache
    assert with_cache.replace("  cache:\n    blobdescriptor: inmemory\n", "") == without


def test_promises_can_be_replaced() -> None:
    assert load_target("distribution-2.8", Promises(collection="online")).promises.collection == "online"
    assert load_target("distribution-2.8").promises.collection == "offline"


def test_a_file_is_a_target(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FULL)
    assert load_target(str(tmp_path / "mine.toml")).name == "mine"
    assert load_target(tmp_path / "mine.toml").controls == {"kill", "restart", "pause", "collect", "hold"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "distribution-28",
            r"no target 'distribution-28' in the catalogue.*did you mean 'distribution-2.8'\?",
        ),
        ("nothing", "give the path of a target file"),
        ("no/such.toml", "no/such.toml: cannot be read: No such file"),
        ("gone.toml", "gone.toml: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_found(name: str, error: str) -> None:
    with pytest.raises(TargetError, match=error):
        load_target(name)
