"""The Docker engine: where it is, and what it says when something is wrong, in one line."""

from __future__ import annotations

import contextlib
import os
import re
import urllib.parse
from collections.abc import Iterator

import docker
import docker.errors
import requests

from harness.targets.base import TargetError

DEFAULT = "unix:///var/run/docker.sock"
CALL_LIMIT_S = 60
"""For each call: an engine that has to copy an image on a slow disk takes its time."""
LOOK_LIMIT_S = 5

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_WIRE_ERRORS = (docker.errors.DockerException, requests.RequestException, OSError)


def address() -> str:
    """DOCKER_HOST, or the default socket. Raises `TargetError` for an engine that is not on this machine:
    its containers' ports would not be here."""
    text = os.environ.get("DOCKER_HOST") or DEFAULT
    url = urllib.parse.urlsplit(text)
    if url.scheme == "unix" and url.path:
        return text
    if url.scheme == "tcp" and url.hostname in _LOCAL and not os.environ.get("DOCKER_TLS_VERIFY"):
        return text
    raise TargetError(
        f"DOCKER_HOST={text!r} cannot be used: give unix:///path or tcp://127.0.0.1:PORT without TLS,"
        " an engine on this machine"
    )


def connect(limit_s: int = CALL_LIMIT_S) -> docker.DockerClient:
    """Raises `TargetError` where no engine answers."""
    where = address()
    try:
        return docker.DockerClient(base_url=where, version="auto", timeout=limit_s)
    except _WIRE_ERRORS as error:
        raise TargetError(
            f"no Docker engine answers at {where} ({said(error)}); start one (dockerd, as root), or set"
            " DOCKER_HOST to the one that runs"
        ) from None


def available() -> str | None:
    """``None`` when registries can run in containers here, else why not and how to get it, in a line."""
    try:
        connect(LOOK_LIMIT_S).close()
    except TargetError as error:
        return str(error)
    return None


def version() -> str:
    """The engine's version. Raises `TargetError`."""
    client = connect(LOOK_LIMIT_S)
    try:
        with told("docker engine"):
            return str(client.version().get("Version", "?"))
    finally:
        client.close()


@contextlib.contextmanager
def told(who: str, doing: str = "") -> Iterator[None]:
    """Turns whatever the engine says, or does not say in time, into a `TargetError` of one line."""
    try:
        yield
    except _WIRE_ERRORS as error:
        raise TargetError(f"{who}: {doing and doing + ': '}{said(error)}") from None


def said(error: Exception) -> str:
    """The engine's own words, in one line."""
    if isinstance(error, docker.errors.APIError):
        text = error.explanation or str(error)
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    elif isinstance(error, requests.Timeout):
        text = "the engine did not answer in time"
    elif found := re.search(
        r"\b(No such file or directory|Connection refused|Permission denied)\b", str(error)
    ):
        text = found[1]
    else:
        text = str(error)
    return " ".join(text.split())[:400]
