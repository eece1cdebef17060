"""What has to hold when a registry is opened again after a crash."""

from __future__ import annotations

import time

from reference_impl.collect.check import Check
from reference_impl.collect.kinds import KINDS
from reference_impl.registry.errors import Refusal
from reference_impl.registry.store import Registry

from .client import Client
from .facts import Facts, Key, settle, stray, torn
from .scenes import Scene


def complaints(registry: Registry, facts: Facts, scene: Scene, *, power: bool = False) -> list[str]:
    """What is wrong with a store after a crash in the middle of a scene; empty if nothing is."""
    acknowledged = {
        key: min(size for size in facts.of(key) if isinstance(size, int)) for key in facts.present("session")
    }
    wrong = torn(registry.driver, dangling=scene.collects)
    if not facts.in_trash:
        wrong += _checked(registry)
    wrong += settle(registry, facts, power=power)
    client = Client(registry, facts)
    wrong += _finish_uploads(client, acknowledged if power else None)
    scene.run(client)
    wrong += [f"after doing it again: {one}" for one in settle(registry, facts)]
    client.collect(session_age_s=0)
    wrong += [f"after a collection: {one}" for one in settle(registry, facts)]
    wrong += _checked(registry)
    registry.driver.clear_leftovers(time.time_ns() + 10**9)
    wrong += [f"left over: {one}" for one in stray(registry.driver, facts)]
    return wrong


def _checked(registry: Registry) -> list[str]:
    """The errors that a check of the whole store finds."""
    report = Check(registry.driver, threads=1).run()
    return [f"check: {one}" for one in report.findings if KINDS[one.kind].severity == "error"]


def _finish_uploads(client: Client, acknowledged: dict[Key, int] | None) -> list[str]:
    """Go on with every upload from where it says it is.

    After a power cut, bytes that were not ``acknowledged`` may be others: then they are found out.
    """
    wrong = []
    for session in client.facts.present("session"):
        (size,) = client.facts.of(session)
        try:
            client.finish(session)
        except Refusal as refusal:
            expected = acknowledged is not None and size != acknowledged.get(session)
            if refusal.reason != "DIGEST_INVALID" or not expected:
                wrong.append(f"{session}: cannot be finished: {refusal}")
    return wrong
