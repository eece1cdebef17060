"""Logs: a line on standard error for each record, as JSON or for people.

Records are those of the standard library; what belongs to one goes along as ``extra={"fields": {…}}``.
Text may come from anyone: no control character of it gets out as such.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from typing import Any

ROOT = "reference_impl"
ACCESS = f"{ROOT}.access"

_VALUE_MAX_CHARS = 500
_PLAIN_WORD = re.compile(r"[\w.,:;/{}()@+%~*-]+", re.ASCII)

# ASCII only: what a terminal or a log shipper makes of other characters is not ours to know.
_encode = json.JSONEncoder(default=str).encode


def configure(level: str, form: str) -> None:
    """Log from ``level`` on, as ``json`` or ``human``; of the libraries only what they warn of."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else HumanFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(ROOT).setLevel(level.upper())


class JsonFormatter(logging.Formatter):
    """One object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        for name, value in told.items():
            if isinstance(value, str) and len(value) > _VALUE_MAX_CHARS:
                told[name] = _short(value)
        if lines := _traceback(record):
            told["traceback"] = "\n".join(lines)
        return _encode(told)


class HumanFormatter(logging.Formatter):
    """Time, level, message, fields; below them the traceback, indented."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), record.levelname.lower(), _plain(_short(record.getMessage()))]
        parts += [f"{name}={_word(value)}" for name, value in _fields(record).items()]
        return "\n    ".join([" ".join(parts), *(_plain(line) for line in _traceback(record))])


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What is to be told; what is not known is left out."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return {name: value for name, value in fields.items() if value is not None}


def _traceback(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[1] is None:
        return []
    return "".join(traceback.format_exception(record.exc_info[1])).splitlines()


def _short(text: str) -> str:
    return text if len(text) <= _VALUE_MAX_CHARS else f"{text[:_VALUE_MAX_CHARS]}…"


def _plain(text: str) -> str:
    """The text with all that is not printable escaped."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def _word(value: Any) -> str:
    """A value, in quotes unless it is one plain word."""
    text = _short(str(value))
    return text if _PLAIN_WORD.fullmatch(text) else _plain(json.dumps(text, ensure_ascii=False))
