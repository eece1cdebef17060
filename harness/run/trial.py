"""A trial: one registry, opened, probed, and ready to have plans run against it."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.checkers import judge
from harness.checkers.finding import Finding, Report
from harness.history import Abilities, History, Promises
from harness.plan.plan import Plan
from harness.run import interrupt
from harness.run.executor import Executor
from harness.run.kit import Kit
from harness.run.options import OptionError, Options, promised
from harness.targets import UrlTarget, find_description, load_target
from harness.targets.base import Target, TargetError
from harness.targets.command import CommandTarget
from harness.targets.probe import probe
from harness.wire import (
    Authenticator,
    BadCredentials,
    BadUrl,
    Client,
    Credentials,
    Limits,
    Tls,
    load_credentials,
    parse_base,
)

FRESH_EVERY = 20
"""An owned target gets an empty storage folder after so many plans, so that none disturbs another."""


@dataclass
class Trial:
    """Runs plans against one target and judges what happened. Not thread-safe."""

    target: Target
    options: Options
    promises: Promises
    abilities: Abilities
    reasons: Mapping[str, str]
    clients: Callable[[int], Client]
    kit: Kit = field(default_factory=Kit)
    executions: int = 0
    _nonce: str = field(default_factory=lambda: os.urandom(6).hex())
    _since_fresh: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, plan: Plan, *, path: Path | None = None) -> History:
        """One execution, in a namespace and with bytes of its own. Raises `TargetError`, and
        `KeyboardInterrupt` where one was lost before (see `harness.run.interrupt`)."""
        interrupt.check()
        self._freshen(plan)
        self.executions += 1
        if self.kit.network is not None:
            # Only plans with weather go through a proxy: it would blur where others cut their connections.
            weather = (op for op in plan if op.do == "net")
            self.kit.network.lead(any(op.get("side", "client") == "client" for op in weather))
        executor = Executor(
            self.target,
            self.abilities,
            self.clients,
            namespace=self.options.namespace,
            promises=self.promises,
            kit=self.kit,
        )
        history = executor.run(plan.check(), self._salt(plan), seed=self.options.seed, path=path)
        self._since_fresh += 1
        if _wedged(history):
            self._since_fresh = FRESH_EVERY
        return history

    def judge(self, history: History) -> dict[str, Report]:
        return judge(history)

    def found(self, history: History) -> list[Finding]:
        """All findings in a history, of every property."""
        return [finding for report in self.judge(history).values() for finding in report.findings]

    def findings(self, plan: Plan) -> list[Finding]:
        """Run and judge once."""
        return self.found(self.run(plan))

    def close(self) -> None:
        self.target.close()

    def _freshen(self, plan: Plan) -> None:
        """A collector judges the whole store, so a plan that runs one gets a store of its own."""
        limit = 1 if any(op.do == "collect" for op in plan) else FRESH_EVERY
        if self.target.owned and self._since_fresh >= limit:
            self.target.fresh()
            self._since_fresh = 0
        elif self.target.owned and not self.target.running():
            self.target.start()

    def _salt(self, plan: Plan) -> str:
        text = f"{self._nonce}/{self.options.seed}/{plan.digest}/{next(self._numbers)}"
        return "x" + hashlib.sha256(text.encode()).hexdigest()[:10]


def _wedged(history: History) -> bool:
    """Whether the store should not be used again: a collection failed, or the target did not come back."""
    return any(control.data.get("code") not in (0, None) for control in history.what("collect.end")) or any(
        True for _ in history.what("trouble", "limit")
    )


def open_trial(options: Options) -> Trial:
    """Open the target, find out what it can do. Raises `TargetError` (or `OptionError`), one line each."""
    options.check()
    if options.target is not None:
        kit = Kit.at(options.target, options.tiers, toxiproxy=options.toxiproxy)
    else:
        description = find_description(options.target_file or "reference")
        kit = Kit.choose(options.tiers, description, toxiproxy=options.toxiproxy)
    try:
        target = _target(options, kit)
    except BaseException:
        if kit.network is not None:
            kit.network.close()
        raise
    try:
        target.open()
        if isinstance(target, CommandTarget):
            kit.opened(target)
        promises = promised(target.promises, options.promises)
        if options.spec is not None:
            promises = replace(promises, spec=options.spec)
        clients = _clients(options, target)
        probed = probe(target.url, lambda: clients(PROBE_BODY_BYTES), options.namespace)
        abilities = Abilities(probed.supports, target.controls | kit.controls)
        if promises.collection == "none" and "collect" in target.controls:
            promises = replace(promises, collection="offline")
        return Trial(target, options, promises, abilities, probed.reasons, clients, kit)
    except BaseException:
        target.close()
        raise


def _target(options: Options, kit: Kit) -> Target:
    if options.target is not None:
        return UrlTarget(
            options.target,
            kill_command=options.kill_cmd,
            restart_command=options.restart_cmd,
            gc_command=options.gc_cmd,
            credentials=_credentials(options),
            tls=_tls(options),
            tap=kit.network,
        )
    gateway = kit.make_gate if kit.has("syscall") else None
    return load_target(options.target_file or "reference", disk=kit.volume, gateway=gateway, tap=kit.network)


def _credentials(options: Options) -> Credentials | None:
    if options.target is None:
        return None
    try:
        return load_credentials(parse_base(options.target), options.username, options.password)
    except (BadCredentials, BadUrl) as error:
        raise OptionError(str(error)) from None


def _tls(options: Options) -> Tls:
    return Tls(ca_file=options.ca, insecure=options.insecure)


WIRE_LIMITS = Limits(connect_s=5.0, answer_s=10.0, exchange_s=60.0)
"""A registry that is silent for ten seconds hangs, as far as a client is concerned."""


PROBE_BODY_BYTES = 8 << 20


def _clients(options: Options, target: Target) -> Callable[[int], Client]:
    credentials, tls = _credentials(options), _tls(options)
    authenticator = Authenticator(credentials) if credentials else None

    def make(body_bytes_max: int) -> Client:
        limits = replace(WIRE_LIMITS, body_bytes=body_bytes_max)
        return Client(
            target.url, credentials=credentials, tls=tls, authenticator=authenticator, limits=limits
        )

    return make


__all__ = ["TargetError", "Trial", "open_trial"]
