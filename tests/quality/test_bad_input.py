"""Bad input gets one clear line and a non-zero exit."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_run(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *args, "-q", "-p", "no:cacheprovider"],
        cwd=cwd, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def seatrial(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *args], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def said(ran: subprocess.CompletedProcess[str]) -> str:
    return ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--target", "http://127.0.0.1:1"], "127.0.0.1:1"),
        (["--target", "http://no.such.host.invalid"], "no.such.host.invalid"),
        (["--target", "ftp://127.0.0.1"], "ftp"),
        (["--target-file", "no-such-registry"], "no-such-registry"),
        (["--target-file", "no/such/file.toml"], "no/such/file.toml"),
        (["--profile", "fast"], "quick, default, soak"),
        (["--budget", "soon"], "60s, 10m or 1h"),
        (["--seed", "x"], "--seed"),
        (["--spec", "2.0"], "1.0, 1.1, dev"),
        (["--promise", "colection=online"], "colection"),
        (["--promise", "collection=always"], "online, offline, none"),
        (["--tiers", "magic"], "magic"),
        (["--namespace", "UPPER"], "UPPER"),
        (["--known", "no-such.json"], "no-such.json"),
    ],
)
def test_a_run_that_cannot_start_says_why(args: list[str], words: str) -> None:
    ran = pytest_run("harness/test_content.py", *args)
    assert ran.returncode == 4, said(ran)
    assert words in said(ran)
    assert "Traceback" not in said(ran)


def test_something_that_is_no_registry_is_named(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        ran = pytest_run("harness/test_content.py", "--target", f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()
    assert ran.returncode == 4
    assert "registry" in said(ran)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seatrial = 1\ntitle = [", ":2"),
        (
            'seatrial = 1\ntitle = "x"\n[ops]\na = { lane = 1, do = "blob.pusj", repo = "r", blob = "b" }\n',
            ":4",
        ),
        ('seatrial = 1\ntitle = "x"\n[ops]\na = { lane = 1, do = "blob.push", repo = "r" }\n', ":4"),
    ],
)
def test_a_malformed_scenario_is_named_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    ran = seatrial("show", str(path))
    assert ran.returncode == 4
    assert f"x.toml{words}" in said(ran)
    assert len(said(ran).strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seatrial = 1\n[serve]\ncommand = [x]\n", ":3"),
        ('seatrial = 1\n[serve]\ncomand = ["x"]\n', "command"),
        ('seatrial = 1\n[serve]\ncommand = ["no-such-program-here"]\n', "no-such-program-here"),
    ],
)
def test_a_bad_target_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "target.toml"
    path.write_text(text)
    ran = pytest_run("harness/test_content.py", "--target-file", str(path))
    assert ran.returncode == 4, said(ran)
    assert words in said(ran)
    assert "Traceback" not in said(ran)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "reference_impl", "serve", "--root", str(tmp_path), "--port", port],
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert ran.returncode != 0
    assert port in said(ran)
    assert "Traceback" not in said(ran)
