"""The journal: a history while it is being written, a JSON line for each record, each line one write.

Whatever ends the harness, the lines that were written are a history that can be judged (`read`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.history import Abilities, Body, Control, Exchange, History, Promises
from harness.plan.content import Symbols
from harness.plan.operation import Lane
from harness.plan.plan import Plan, plain, symbols, unplain
from harness.report.transcript import HIDDEN, SECRET_HEADERS
from harness.wire import Answer

FORMAT = 1


class JournalError(ValueError):
    """A file that is no history. Its text is one line."""


class Journal:
    """Thread-safe. ``path`` `None` keeps the records in memory only."""

    def __init__(
        self,
        plan: Plan,
        names: Symbols,
        promises: Promises,
        abilities: Abilities,
        *,
        seed: int = 0,
        target: str = "",
        path: Path | None = None,
    ) -> None:
        self.path = path
        self._head = (plan, names, promises, abilities, seed, target)
        self._lock = threading.Lock()
        self._start_ns = time.monotonic_ns()
        self._exchanges: list[Exchange] = []
        self._controls: list[Control] = []
        self._fd = -1
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._write(_begin(plan, names, promises, abilities, seed, target))

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._start_ns

    def invoke(
        self,
        op: str,
        lane: Lane,
        call: str,
        about: Mapping[str, Any],
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        size_bytes: int,
    ) -> int:
        """Write that a request is about to be sent; the index of its exchange."""
        with self._lock:
            index = len(self._exchanges)
            exchange = Exchange(
                index, op, lane, call, dict(about), method, target, redact(headers), size_bytes, self.now_ns()
            )
            self._exchanges.append(exchange)
            self._write({"kind": "invoke", **_sparse(asdict(exchange))})
        return index

    def complete(self, index: int, answer: Answer, cut: str | None = None) -> Exchange:
        """Write what came of it."""
        body = None
        if answer.status is not None:
            text = None
            if answer.text is not None:
                try:
                    text = answer.text.decode()
                except UnicodeDecodeError:
                    text = None
            body = Body(answer.size_bytes, answer.sha256, answer.sha512, text)
        with self._lock:
            exchange = replace(
                self._exchanges[index],
                completed_ns=self.now_ns(),
                sent_bytes=answer.sent_bytes,
                status=answer.status,
                headers=redact(answer.headers),
                body=body,
                error=answer.error,
                detail=answer.detail,
                cut=cut,
                redirects=answer.redirects,
            )
            self._exchanges[index] = exchange
            self._write({"kind": "complete", **_sparse(_completion(exchange))})
        return exchange

    def control(self, what: str, op: str = "", lane: Lane = 0, **data: Any) -> None:
        with self._lock:
            control = Control(what, self.now_ns(), op, lane, data)
            self._controls.append(control)
            self._write({"kind": "control", **_sparse(asdict(control))})

    def snapshot(self) -> tuple[tuple[Exchange, ...], tuple[Control, ...]]:
        with self._lock:
            return tuple(self._exchanges), tuple(self._controls)

    def history(self, *, complete: bool = True) -> History:
        exchanges, controls = self.snapshot()
        plan, names, promises, abilities, seed, target = self._head
        return History(
            plan,
            names,
            promises,
            abilities,
            exchanges,
            controls,
            seed,
            complete,
            target,
            {"file": str(self.path)} if self.path else {},
        )

    def close(self, *, keep: bool = True) -> None:
        with self._lock:
            if self._fd >= 0:
                self._write({"kind": "end"})
                os.close(self._fd)
                self._fd = -1
        if not keep and self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._fd >= 0:
            os.write(self._fd, (json.dumps(record, default=str) + "\n").encode())


def redact(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """No secret is ever written down."""
    return tuple((k, HIDDEN if k.lower() in SECRET_HEADERS else v) for k, v in headers)


def _begin(
    plan: Plan, names: Symbols, promises: Promises, abilities: Abilities, seed: int, target: str
) -> dict[str, Any]:
    return {
        "kind": "begin",
        "seatrial": FORMAT,
        "target": target,
        "seed": seed,
        "salt": names.salt,
        "prefix": names.prefix,
        "plan": plain(plan),
        "promises": asdict(promises),
        "supports": sorted(abilities.supports),
        "controls": sorted(abilities.controls),
    }


_DONE = (
    "index",
    "completed_ns",
    "sent_bytes",
    "status",
    "headers",
    "body",
    "error",
    "detail",
    "cut",
    "redirects",
)


def _completion(exchange: Exchange) -> dict[str, Any]:
    fields = asdict(exchange)
    return {name: fields[name] for name in _DONE}


def _sparse(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v not in (None, "", (), {})}


def read(path: Path) -> History:
    """A history from its file, also one that was cut off. Raises `JournalError`."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise JournalError(f"{path}: cannot be read: {error}") from None
    head: dict[str, Any] | None = None
    exchanges: dict[int, Exchange] = {}
    controls: list[Control] = []
    ended = False
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            kind = record.pop("kind")
            if kind == "begin":
                head = record
            elif kind == "invoke":
                exchange = _exchange(record)
                exchanges[exchange.index] = exchange
            elif kind == "complete":
                index = record["index"]
                exchanges[index] = replace(exchanges[index], **_answer_fields(record))
            elif kind == "control":
                controls.append(Control(**record))
            elif kind == "end":
                ended = True
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # the harness died while it wrote this line
            raise JournalError(f"{path}:{number}: no record of a history ({error})") from None
    if head is None or head.get("seatrial") != FORMAT:
        raise JournalError(f"{path}: no history: its first line is not a `begin` record of format {FORMAT}")
    try:
        plan = unplain(head["plan"])
        return History(
            plan,
            symbols(plan, head["salt"], head["prefix"]),
            Promises(**head["promises"]),
            Abilities(frozenset(head["supports"]), frozenset(head["controls"])),
            tuple(exchanges[i] for i in sorted(exchanges)),
            tuple(controls),
            head["seed"],
            ended,
            head["target"],
            {"file": str(path)},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{path}:1: no `begin` record that this version understands ({error})") from None


def _exchange(record: Mapping[str, Any]) -> Exchange:
    defaults: dict[str, Any] = {"about": {}, "request_headers": ()}
    fields = {**defaults, **record, "request_headers": _pairs(record.get("request_headers", ()))}
    return Exchange(**{**fields, **_answer_fields(fields)})


def _answer_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: record[name] for name in _DONE if name in record and name != "index"}
    if "headers" in fields:
        fields["headers"] = _pairs(fields["headers"])
    if "redirects" in fields:
        fields["redirects"] = tuple(fields["redirects"])
    if isinstance(fields.get("body"), Mapping):
        fields["body"] = Body(**fields["body"])
    return fields


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(k), str(v)) for k, v in value)
