"""The command line: what it refuses in one line, what it shows, and passwords for the htpasswd file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import bcrypt
import pytest

from .conftest import PROJECT, Server
from .images import push_image, sha


def run(*arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reference_impl", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=PROJECT,
        env=os.environ | variables,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "expected"),
    [
        ((), {}, 2, "Missing command."),
        (("serv",), {}, 2, "No such command 'serv'"),
        (("serve", "--prot", "1"), {}, 2, "No such option '--prot'"),
        (("serve", "extra"), {}, 2, "extra argument"),
        (("serve", "--port"), {}, 2, "requires an argument"),
        (("serve", "--port", "x"), {}, 2, 'http.port: "x" is not allowed'),
        (("serve", "--port", ""), {}, 2, 'http.port: "" is not allowed'),
        (("serve", "--page-size", "0"), {}, 2, "(option --page-size)"),
        (("serve", "--set", "http.port"), {}, 2, "not of the form KEY=VALUE"),
        (("serve", "--set", "http.prot=1"), {}, 2, "(option --set http.prot)"),
        (("serve", "--port", "0"), {}, 2, "storage.root: missing"),
        (("serve", "--config", "/nowhere.toml"), {}, 2, "/nowhere.toml: No such file"),
        (("serve",), {"REFERENCE_CONFIG": "/nowhere.toml"}, 2, "/nowhere.toml: No such file"),
        (("serve",), {"REFERENCE_HTTP__PORT": "x"}, 2, "(environment variable REFERENCE_HTTP__PORT)"),
        (("serve", "--root", "/x", "--set", "auth.kind=basic"), {}, 2, "auth.htpasswd: missing"),
        (("serve", "--driver", "memory", "--host", "192.0.2.1", "--port", "0"), {}, 1, "cannot listen on"),
        (("serve", "--root", "/proc/x", "--port", "0"), {}, 1, "cannot write to /proc/x"),
        (("collect",), {}, 2, "storage.root: missing"),
        (
            ("collect", "--driver", "memory"),
            {},
            2,
            "storage.driver: collect cannot see the memory of another",
        ),
        (("collect", "--root", "/x", "--grace=-1"), {}, 2, "collect.grace_s"),
        (("collect", "--root", "/x", "--port", "1"), {}, 2, "No such option '--port'"),
        (("hash-password", "a:b"), {}, 2, "'a:b' cannot be the name of an account"),
    ],
)
def test_refusals(arguments: tuple[str, ...], variables: dict[str, str], code: int, expected: str) -> None:
    done = run(*arguments, **variables)
    assert (done.returncode, done.stdout) == (code, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("reference_impl: ")
    assert expected in line


def test_a_port_for_metrics_that_is_taken() -> None:
    server = Server("--driver", "memory")
    done = run(
        *("serve", "--driver", "memory", "--port", "0", "--metrics", "separate"),
        *("--metrics-port", str(server.port)),
    )
    assert server.stop() == 0
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"reference_impl: cannot listen on 127.0.0.1:{server.port} for metrics: Address already in use\n"
    )


def test_settings_in_force(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("[storage.s3]\nsecret_access_key = 'hidden'\n[http]\nport = 1\n")
    done = run(
        *("config", "--config", str(file), "--host", "::1", "--read-only", "--unsafe-no-fsync"),
        *("--set", "limits.page_size=7"),
        REFERENCE_LOG__FORMAT="json",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "hidden" not in done.stdout
    for line in (
        f"port = 1  # {file}, line 4",
        'host = "::1"  # option --host',
        "read_only = true  # option --read-only",
        "fsync = false  # option --unsafe-no-fsync",
        "page_size = 7  # option --set limits.page_size",
        'format = "json"  # environment variable REFERENCE_LOG__FORMAT',
    ):
        assert line in done.stdout.splitlines()
    assert tomllib.loads(done.stdout)["http"]["port"] == 1


def test_a_server_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(f"[http]\nport = 1\n[storage]\nroot = '{tmp_path}/store'\n[limits]\npage_size = 2\n")
    server = Server("--config", str(file))  # and the option --port 0 of all of these tests
    for name in "abc":
        server.client.post(
            f"/v2/{name}/blobs/uploads/?digest=sha256:"
            + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    assert server.client.get("/v2/_catalog").json()["repositories"] == ["a", "b"]
    assert server.stop() == 0
    assert (tmp_path / "store/docker/registry/v2/repositories").is_dir()


def test_hashing_a_password() -> None:
    done = run("hash-password", "alice", "--cost", "4", given="s3cret ü\n")
    assert (done.returncode, done.stderr) == (0, "")
    name, _, stored = done.stdout.rstrip("\n").partition(":")
    assert name == "alice"
    assert bcrypt.checkpw("s3cret ü".encode(), stored.encode())
    for password in ("", "x" * 73):
        assert run("hash-password", "alice", given=password).returncode == 2


def test_help() -> None:
    for command in ("serve", "collect", "check", "config", "hash-password"):
        done = run(command, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: reference_impl {command} ")


def test_checking_a_store_changes_nothing_in_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run("check", "--root", str(store)).stderr == (
        f"reference_impl: cannot read {store}: No such file or directory\n"
    )
    server = Server("--root", str(store), "--unsafe-no-fsync")
    body = push_image(server.client, "a", "t")
    assert server.stop() == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    clean = run("check", "--root", str(store))
    assert (clean.returncode, clean.stderr) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    name = sha(body).removeprefix("sha256:")
    (store / f"docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data").write_bytes(b"{}")
    broken = run("check", "--root", str(store), "--json", "--no-progress")
    assert broken.returncode == 1
    assert "blob.wrong_bytes" in json.loads(broken.stdout)["kinds"]


def test_a_collector_loads_nothing_of_a_server(tmp_path: Path) -> None:
    """It may be started very often."""
    code = (
        "import sys; from reference_impl.__main__ import main;"
        f"code = main(['collect', '--root', {str(tmp_path)!r}]);"
        "print(code, sorted({name.split('.')[0] for name in sys.modules} &"
        " {'starlette', 'uvicorn', 'httptools', 'boto3', 'prometheus_client', 'jwt', 'bcrypt'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=PROJECT
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_warning_where_everybody_may_push(tmp_path: Path) -> None:
    server = Server("--driver", "memory", "--host", "0.0.0.0", log=tmp_path / "log")
    assert server.stop() == 0
    [line] = server.logged().splitlines()
    assert "warning auth.kind is none" in line
