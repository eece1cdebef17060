"""Settings: what overrules what, and errors that say which key, from where, what is wrong, what may be."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from reference_impl import auth
from reference_impl.auth.settings import AuthSettings, BadSettings, Rule
from reference_impl.configuration import BadConfiguration, Configuration, Given, load
from reference_impl.setting_keys import HIDDEN, KEYS, show, table
from reference_impl.settings import Settings

from .conftest import PROJECT

SECRET = "never shown"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.upper().startswith("REFERENCE_"):
            monkeypatch.delenv(name)


def loaded(tmp_path: Path, text: str, **options: str) -> Configuration:
    file = tmp_path / "r.toml"
    file.write_text(text)
    given = {key.replace("__", "."): Given(value, f"option --{key}") for key, value in options.items()}
    return load(str(file), given)


def test_nothing_given() -> None:
    found = load()
    assert found.settings == Settings()
    assert {found.source(key) for key in KEYS} == {"default"}


def test_what_overrules_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERENCE_HTTP__PORT", "2")
    monkeypatch.setenv("reference_http__host", "h2")
    monkeypatch.setenv("REFERENCE_STORAGE__S3__BUCKET", "b2")
    monkeypatch.setenv("REFERENCE_LOG__ACCESS", "")  # as if it were not there
    text = "[http]\nport = 1\nhost = 'h1'\nstop_grace_s = 1\n[storage.s3]\nbucket = 'b1'\nregion = 'r1'\n"
    found = loaded(tmp_path, text, http__host="h3")
    http, s3 = found.settings.http, found.settings.storage.s3
    assert (http.stop_grace_s, http.port, http.host) == (1, 2, "h3")
    assert (s3.region, s3.bucket) == ("r1", "b2")
    file = str(tmp_path / "r.toml")
    assert {key: found.source(f"http.{key}") for key in ("stop_grace_s", "port", "host", "tls_key")} == {
        "stop_grace_s": f"{file}, line 4",
        "port": "environment variable REFERENCE_HTTP__PORT",
        "host": "option --http__host",
        "tls_key": "default",
    }
    assert found.source("storage.s3.region") == f"{file}, line 7"


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[[auth.rules]]\naccount = 'bob'\nactions = ['pull', 'push']\n[[auth.rules]]\naccount = 'eve'\n"
    assert loaded(tmp_path, text).settings.auth.rules == (Rule("bob", actions=("pull", "push")), Rule("eve"))
    monkeypatch.setenv("REFERENCE_AUTH__RULES", '[{"account": "carol"}]')
    assert loaded(tmp_path, text).settings.auth.rules == (Rule("carol"),)


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("[http]\n\nport = 70000", {}, "http.port: 70000 is not allowed; allowed: a whole number from 0 up to"
         " 65535 (r.toml, line 3)"),
        ("http.port = 'x'", {}, 'http.port: "x" is not allowed; allowed: a whole number from 0 up to 65535'
         " (r.toml, line 1)"),
        ("[http]\nhost = ''", {}, 'http.host: "" is not allowed; allowed: text that is not empty'
         " (r.toml, line 2)"),
        ("[storage]\ndriver = 'gcs'", {}, 'storage.driver: "gcs" is not allowed; allowed: "filesystem",'
         ' "memory" or "s3" (r.toml, line 2)'),
        ("[storage]\nfsync = 'perhaps'", {}, 'storage.fsync: "perhaps" is not allowed; allowed: true or false'
         " (r.toml, line 2)"),
        ("[sessions]\nmax_age_s = 0", {}, "sessions.max_age_s: 0 is not allowed; allowed: a number above 0"
         " (r.toml, line 2)"),
        ("[http]\nstop_grace_s = nan", {}, "http.stop_grace_s: NaN is not allowed; allowed: a number from 0"
         " (r.toml, line 2)"),
        ("[http]\nstop_grace_s = inf", {}, "http.stop_grace_s: Infinity is not allowed; allowed: a number"
         " from 0 (r.toml, line 2)"),
        ("[http]\nprot = 1", {}, "http.prot: no such setting; perhaps http.port (r.toml, line 2)"),
        ("[htpp]\nport = 1", {}, "htpp: no such setting; perhaps http (r.toml, line 1)"),
        ("[metrics]\nx = 1", {}, "metrics.x: no such setting; there are: metrics.listen, metrics.host,"
         " metrics.port (r.toml, line 2)"),
        ("[http]\nroot = 1", {}, "http.root: no such setting; perhaps storage.root (r.toml, line 2)"),
        ("http = 1", {}, "http: not a table of settings (r.toml, line 1)"),
        ("storage = { s3 = { take_over = 7 } }", {}, "storage.s3.take_over: 7 is not allowed; allowed: true"
         " or false (r.toml, line 1)"),
        ("[auth]\nkind = 'ldap'", {}, 'auth.kind: "ldap" is not allowed; allowed: "none", "basic" or "bearer"'
         " (r.toml, line 2)"),
        ("[[auth.rules]]\naccount = 'a'\nacions = []", {}, "auth.rules.0.acions: no such setting; auth.rules"
         " has tables of account, repository and actions (pull, push, delete, catalog); without any every"
         " account may do everything (r.toml, line 1)"),
        ("[storage.s3]\nsecret_access_key = 77", {}, "storage.s3.secret_access_key: input should be a valid"
         " string; allowed: text (r.toml, line 2)"),
        ("[http\nport = 1", {}, "r.toml: not TOML: Expected ']' at the end of a table declaration (at line 1,"
         " column 6)"),
        ("", {"REFERENCE_HTTP__PORT": "no"}, 'http.port: "no" is not allowed; allowed: a whole number from 0'
         " up to 65535 (environment variable REFERENCE_HTTP__PORT)"),
        ("", {"REFERENCE_HTPP__PORT": "1"}, "environment variable REFERENCE_HTPP__PORT: there is no section"
         " htpp; there are: http, storage, auth, collect, sessions, limits, log, metrics"),
        ("", {"REFERENCE_HTTP__PROT": "1"}, "http.prot: no such setting; perhaps http.port (environment"
         " variable REFERENCE_HTTP__PROT)"),
        ("", {"REFERENCE_AUTH__RULES": "bob"}, "auth.rules: not JSON; allowed: a list (environment variable"
         " REFERENCE_AUTH__RULES)"),
    ],
)  # fmt: skip
def test_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    variables: dict[str, str],
    expected: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadConfiguration) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).replace(f"{tmp_path}/", "") == expected


def test_every_error_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as caught:
        loaded(tmp_path, "[http]\nport = -1\nx = 1\n[limits]\npage_size = 0\n", log__level="loud")
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "http.port",
        "http.x",
        "limits.page_size",
        "log.level",
    ]
    assert lines[-1].endswith("(option --log__level)")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "No such file or directory"), (b"\xff", "not TOML: it is not UTF-8")],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "r.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadConfiguration) as caught:
        load(str(file))
    assert str(caught.value) == f"{file}: {expected}"


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERENCE_MANUAL", "/usr/share/doc")
    assert load().settings == Settings()


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    text = (
        "[http]\nport = 1\nhost = 'qu\"ote\\\\ ü'\n[limits]\nbody_grace_s = 0.25\nrequest_timeout_s = 1e8\n"
        f"[storage.s3]\nsecret_access_key = '{SECRET}'\n[auth]\nanonymous_pull = true\n"
        "[[auth.rules]]\naccount = '*'\nactions = ['pull']\n"
    )
    found = loaded(tmp_path, text)
    shown = show(found.settings, found.source)
    assert SECRET not in shown
    assert SECRET not in repr(found.settings)
    assert f"port = 1  # {tmp_path}/r.toml, line 2" in shown.splitlines()
    assert "# tls_key is not set" in shown.splitlines()
    again = loaded(tmp_path, shown.replace(HIDDEN, SECRET))
    assert again.settings == found.settings
    assert tomllib.loads(show(Settings(), load().source))["limits"]["page_size"] == 1000


def test_every_setting_is_documented() -> None:
    assert [key.name for key in KEYS.values() if not key.about] == []
    assert (PROJECT / "reference_impl/SETTINGS.md").read_text().endswith(table())


def test_a_clock_skew_that_would_let_everything_pass() -> None:
    for skew_s in (float("nan"), float("inf"), -1.0):
        with pytest.raises(BadSettings, match=r"auth\.clock_skew_s"):
            auth.build(AuthSettings(clock_skew_s=skew_s))
