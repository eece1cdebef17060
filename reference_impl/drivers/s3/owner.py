"""Who may write below a prefix: the processes that share one coordination folder, and nobody else.

Locks and leases are local, so two hosts that serve the same bucket would collect each other's content.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from ..base import DriverError, NotFound
from .bucket import Bucket
from .coordination import Coordination

_MACHINE_ID = "/etc/machine-id"
_IDENTITY = ("folder_id", "machine")


def claim(bucket: Bucket, key: str, coordination: Coordination, *, take_over: bool) -> None:
    """Store that this host's coordination folder is the owner, unless another one is.

    Nobody can be asked whether the other one is still at work, so a take-over is for a human to decide.
    """
    ours = _description(coordination)
    body = json.dumps(ours, indent=1).encode()
    theirs = _read(bucket, key)
    if theirs is None and not take_over:
        if bucket.put(key, body, new=True) is not None:
            return
        theirs = _read(bucket, key)
    if theirs is not None and all(theirs.get(name) == ours[name] for name in _IDENTITY):
        return
    if not take_over:
        host, folder, since = ((theirs or {}).get(name, "unknown") for name in ("host", "folder", "since"))
        raise DriverError(
            f"bucket {bucket.name} belongs to the registry on host {host} with the coordination folder"
            f" {folder}, since {since}: share that folder, or stop that registry for good and start once with"
            " take_over"
        )
    bucket.put(key, body)


def _description(coordination: Coordination) -> dict[str, str]:
    return {
        "folder_id": coordination.id,
        "machine": _machine(),
        "host": socket.gethostname(),
        "folder": coordination.folder,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _machine() -> str:
    """Tells hosts apart that mount the same folder; containers often have no such file."""
    try:
        with open(_MACHINE_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _read(bucket: Bucket, key: str) -> dict[str, Any] | None:
    try:
        _, body = bucket.get(key)
    except NotFound:
        return None
    try:
        found = json.loads(body.read())
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
