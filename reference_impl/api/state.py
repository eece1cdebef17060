"""What server, handlers and observers tell each other about a request: keys of its ``scope["state"]``."""

from __future__ import annotations

import math
import uuid
from typing import Any

from starlette.types import Scope

UNREAD = "unread_body"
"""From the server: a function that hands over what came in before a disconnect."""
ABORT = "abort"
"""From the server: a function that breaks the connection off."""
DEADLINE = "deadline"
"""When the request has to be over, by the event loop's clock."""
ACCOUNT = "account"
"""The name of who asks, once that is known."""
STORAGE_FAULT = "storage_fault"
"""What the storage failed with: ``unavailable``, ``full`` or ``error``."""
REQUEST_ID = "request_id"
"""What tells this request from all others, in logs and in ``X-Request-Id``."""


def state(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = scope.setdefault("state", {})
    return found


def deadline(scope: Scope) -> float:
    found: float = state(scope).get(DEADLINE, math.inf)
    return found


def request_id(scope: Scope) -> str:
    found: str = state(scope).setdefault(REQUEST_ID, uuid.uuid4().hex)
    return found
