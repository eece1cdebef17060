"""A registry and a collector in a loop, two processes, under clients: nothing acknowledged is ever lost.

``python -m tests.bench.soak_collect --minutes 10 [--kill-collector] [--driver s3] [--clients 8] [--seed 0]``

Ends with 0, or with 1 and a precise report of what was lost.  Clients push in all three ways, mount, move
tags, attach, delete, and verify what they or others were promised.  A push may be refused, as something it
refers to is gone again; an acknowledged one is whole until its client deletes it.  At the end everything is
verified, once more after a restart, and a check finds neither errors nor garbage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ..unit.reference import buckets
from .soak_clients import Client, Ledger, verify

PROJECT = Path(__file__).parents[2]
_START_LIMIT_S = 60.0
_RUN_LIMIT_S = 600.0
_JOIN_LIMIT_S = 300.0
_COUNT_LIMIT_S = 300.0
"""How long a soak may take that is bounded by counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """For how long: ``minutes``, or until there were so many ``manifests`` and ``collections``."""

    minutes: float | None = None
    manifests: int = 0
    collections: int = 0
    clients: int = 8
    repositories: int = 5
    kill_collector: bool = False
    driver: str = "filesystem"
    seed: int = 0
    fsync: bool = True


class Server:
    """The registry, in a process of its own."""

    def __init__(self, options: list[str]) -> None:
        self._command = [sys.executable, "-m", "reference_impl", "serve", "--port", "0", *options]
        self.url = ""

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        watchdog = threading.Timer(_START_LIMIT_S, self._process.kill)
        watchdog.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line.startswith("listening on "):
            raise SystemExit(f"the registry does not start: {line}")
        self.url = line.split()[-1]

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_START_LIMIT_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=_START_LIMIT_S)


@dataclass
class Collector(threading.Thread):
    """Collects again and again, each time in a process of its own; kills some at a step drawn by chance."""

    plan: Plan
    options: list[str]
    done: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="collector")
        self._drawn = random.Random(f"{self.plan.seed}-collector")
        self._steps = 100

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.done.is_set() and not self.failures:
            kill_at = None
            if self.plan.kill_collector and self._drawn.random() < 0.7:
                kill_at = self._drawn.randrange(1, self._steps)
            self.collect(untagged=self._drawn.random() < 0.5, kill_at=kill_at)

    def collect(self, *, untagged: bool, kill_at: int | None = None) -> None:
        """Collect once; it is killed when it has told so many of its steps."""
        command = [sys.executable, "-m", "reference_impl", "collect", "--grace", "0", "--json-lines"]
        command += [*self.options, *(["--delete-untagged"] if untagged else [])]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT
        )
        watchdog = threading.Timer(_RUN_LIMIT_S, process.kill)
        watchdog.start()
        assert process.stdout is not None
        seen: list[dict[str, object]] = []
        killed = False
        for number, line in enumerate(process.stdout, 1):
            if not line.endswith("\n"):
                break
            seen.append(json.loads(line))
            if number == kill_at:
                process.kill()
                killed = True
        errors = process.communicate()[1]
        watchdog.cancel()
        self._note(seen)
        self.counts["collections" if not killed else "kills of the collector"] += 1
        if not killed:
            self._steps = max(len(seen), 20)
            if process.returncode != 0:
                said = [one for one in seen if one.get("step") == "problem" or "summary" in one]
                self.failures.append(f"the collector ended with {process.returncode}: {errors} {said}")

    def _note(self, seen: list[dict[str, object]]) -> None:
        for one in seen:
            step = one.get("step")
            if step == "purged":
                self.counts["blobs reclaimed"] += 1
                self.counts["bytes reclaimed"] += int(str(one.get("size_bytes", 0)))
            elif step in ("restored", "recovered"):
                self.counts["restored"] += 1
            elif step == "spared":
                self.counts["spared"] += 1
            elif step == "forgotten":
                self.counts["manifests removed"] += 1


class Soak:
    """One soak, from an empty store to the last check."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._stack = contextlib.ExitStack()
        self._options = self._store(folder)
        self.ledger = Ledger(plan.seed, plan.repositories)
        self.server = Server(self._options)
        self.collector = Collector(plan, self._options)
        self._begun_s = time.monotonic()

    def _store(self, folder: Path) -> list[str]:
        if self.plan.driver == "filesystem":
            return ["--root", str(folder), *([] if self.plan.fsync else ["--unsafe-no-fsync"])]
        moto = buckets.Moto()
        self._stack.callback(moto.stop)
        return buckets.server_options(moto.bucket, str(folder), "soak/")

    def run(self) -> list[str]:
        """Soak; returns what was lost or went wrong."""
        with self._stack:
            self.server.start()
            try:
                return self._run()
            finally:
                self.collector.done.set()
                self.server.kill()

    def _run(self) -> list[str]:
        clients = [
            Client(self.ledger, self.server.url, number, self._is_over) for number in range(self.plan.clients)
        ]
        for thread in (*clients, self.collector):
            thread.start()
        for client in clients:
            client.join()
        self.collector.done.set()
        self.collector.join(_JOIN_LIMIT_S)
        wrong = [f"{client.name}: {client.error!r}" for client in clients if client.error is not None]
        wrong += self.collector.failures
        self._verify_all("at the end")
        if not wrong and not self.ledger.lost:
            for _ in range(2):
                self.collector.collect(untagged=True)
            self._verify_all("after a last collection")
            self.server.stop()
            self.server.start()
            self._verify_all("after a restart")
            wrong += self._check()
        return wrong + self.collector.failures + self.ledger.losses

    def _is_over(self) -> bool:
        if self.collector.failures:
            return True
        took_s = time.monotonic() - self._begun_s
        if self.plan.minutes is not None:
            return took_s > self.plan.minutes * 60
        if took_s > _COUNT_LIMIT_S:
            self.collector.failures.append(f"only {self.counts()} after {_COUNT_LIMIT_S:.0f} s")
            return True
        ran = self.collector.counts["collections"] + self.collector.counts["kills of the collector"]
        return ran >= self.plan.collections and self.ledger.counts["manifests"] >= self.plan.manifests

    def _verify_all(self, when: str) -> None:
        with httpx.Client(base_url=self.server.url, timeout=_START_LIMIT_S) as http:
            for image in self.ledger.promised():
                image.tell(f"verified {when}")
                verify(http, self.ledger, image)

    def _check(self) -> list[str]:
        """A check of the whole store: no error, nothing left to collect."""
        command = [sys.executable, "-m", "reference_impl", "check", "--json", *self._options]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
        if ran.returncode != 0:
            return [f"the check ended with {ran.returncode}: {ran.stdout[-3000:]} {ran.stderr}"]
        left = [one for one in json.loads(ran.stdout)["findings"] if one["kind"] in ("blob.orphan", "trash")]
        return [f"left after two collections: {one['kind']} {one['where']}" for one in left]

    def counts(self) -> dict[str, int]:
        promised = {"images promised at the end": len(self.ledger.promised())}
        return {**self.ledger.counts, **self.collector.counts, **promised}


def main() -> int:
    usual = Plan()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=usual.clients)
    parser.add_argument("--repositories", type=int, default=usual.repositories)
    parser.add_argument("--kill-collector", action="store_true")
    parser.add_argument("--driver", choices=["filesystem", "s3"], default=usual.driver)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--folder", type=Path, help="where to store; a temporary folder if not given")
    options = parser.parse_args()
    plan = Plan(
        minutes=options.minutes,
        clients=options.clients,
        repositories=options.repositories,
        kill_collector=options.kill_collector,
        driver=options.driver,
        seed=options.seed,
    )
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        soak = Soak(plan, options.folder or Path(temporary))
        wrong = soak.run()
        for name, number in sorted(soak.counts().items()):
            print(f"{number:>12} {name}")
    for one in wrong:
        print(one)
    print(f"seed {plan.seed}: {len(wrong)} losses or errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
