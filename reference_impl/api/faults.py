"""Faults of ours: what a client is told of them, and what goes into the log."""

from __future__ import annotations

import errno
import logging

from starlette.responses import Response
from starlette.types import Scope

from ..drivers.base import DriverError, Unavailable
from ..registry.errors import Refusal
from .errors import refused
from .state import STORAGE_FAULT, request_id, state

STORAGE_FAULTS = {"unavailable": "STORAGE_UNAVAILABLE", "full": "STORAGE_FULL", "error": "UNKNOWN"}
"""Kinds of faults of the storage, and as what a client hears of them."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_log = logging.getLogger(__name__)


def note(scope: Scope, error: Exception) -> str | None:
    """Log what went wrong; returns the kind of fault if the storage is at fault."""
    fault = _fault(error)
    if fault is not None:
        state(scope)[STORAGE_FAULT] = fault
    fields = {"request_id": request_id(scope), "method": scope["method"], "path": scope["path"]}
    if fault == "unavailable":  # where it failed is no secret, and there may be very many
        _log.warning("the storage does not answer: %s", error, extra={"fields": fields})
    else:
        _log.error("a request failed: %s", error, exc_info=error, extra={"fields": fields})
    return fault


def answer(scope: Scope, error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return refused([Refusal("NAME_TOO_LONG")])
    fault = note(scope, error)
    reason = STORAGE_FAULTS.get(fault or "", "UNKNOWN")
    return refused([Refusal(reason)], {"X-Request-Id": request_id(scope)})


def _fault(error: Exception) -> str | None:
    if isinstance(error, Unavailable):
        return "unavailable"
    if isinstance(error, OSError) and error.errno in _FULL:
        return "full"
    return "error" if isinstance(error, OSError | DriverError) else None
