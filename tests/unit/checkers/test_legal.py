"""Random histories of a registry that does everything right: no checker may find anything.

The registry here is a few dictionaries; every request takes effect at one instant of its interval, in the
order of the instants. Lanes overlap, clients vanish with and without effect, the registry is killed,
restarted and collected.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.checkers import judge
from harness.checkers.finding import Finding
from harness.history import Control, Promises
from harness.plan.content import BlobSpec, ManifestSpec
from tests.unit.checkers.tell import ALL, Tale

BLOBS = {"b1": BlobSpec(50), "b2": BlobSpec(60, "sha512"), "b3": BlobSpec(0), "b4": BlobSpec(of="m1")}
MANIFESTS = {
    "m1": ManifestSpec(layers=("b1",)),
    "m2": ManifestSpec(layers=("b1", "b2")),
    "m3": ManifestSpec(kind="artifact", layers=("b2",), subject="m1", type="application/x", annotations=1),
    "i1": ManifestSpec(kind="index", children=("m1", "m2")),
    "i2": ManifestSpec(kind="index", children=("i1",), subject="m1"),
}
REPOS, TAGS = ("r", "q"), ("t", "t-1", "T")
CHANGES = ("push", "push", "mount", "drop", "put", "put", "put", "erase", "untag")
READS = ("pull", "head", "fetch", "fetch", "resolve", "resolve", "tags", "referrers")


@dataclass
class Right:
    """A registry that does everything right: sets of (repository, name), and a table of tags."""

    blobs: set[tuple[str, str]] = field(default_factory=set)
    manifests: set[tuple[str, str]] = field(default_factory=set)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)

    def apply(self, what: str, repo: str, name: str, tag: str | None, source: str) -> int:
        """The status of a change, after it was made."""
        there = (repo, name) in (self.manifests if what == "erase" else self.blobs)
        if what == "push":
            self.blobs.add((repo, name))
            return 201
        if what == "mount":
            if (source, name) not in self.blobs:
                return 202
            self.blobs.add((repo, name))
            return 201
        if what == "put":
            if not all((repo, blob) in self.blobs for blob in MANIFESTS[name].blobs):
                return 404
            self.manifests.add((repo, name))
            if tag is not None:
                self.tags[repo, tag] = name
            return 201
        if what == "untag":
            assert tag is not None
            return 202 if self.tags.pop((repo, tag), None) is not None else 404
        if not there:
            return 404
        if what == "drop":
            self.blobs.remove((repo, name))
            return 202
        self.manifests.remove((repo, name))
        self.tags = {key: value for key, value in self.tags.items() if (key[0], value) != (repo, name)}
        return 202

    def collect(self, untagged: bool) -> None:
        if untagged:
            live = {(repo, name) for (repo, _), name in self.tags.items()}
            while True:
                more = {
                    (repo, child) for repo, name in live for child in MANIFESTS[name].children
                } & self.manifests - live
                more |= {
                    (repo, name)
                    for repo, name in self.manifests - live
                    if (repo, MANIFESTS[name].subject) in live
                }
                if not more:
                    break
                live |= more
            self.manifests &= live
        used = {(repo, blob) for repo, name in self.manifests for blob in MANIFESTS[name].blobs}
        self.blobs &= used


def random_tale(seed: int) -> Tale:
    rng = random.Random(seed)
    checks = rng.random() < 0.5
    promises = Promises(
        collection=rng.choice(["offline", "online"]),
        durable=rng.random() < 0.8,
        untagged_collected=True,
        spec=rng.choice(["1.1", "dev"]),
    )
    t = Tale(BLOBS, MANIFESTS, promises, ALL | ({"missing-blobs-refused"} if checks else set()))
    right, start = Right(), 0
    for _ in range(rng.randint(1, 4)):
        start = phase(rng, t, right, start) + 100
        t.now = start
        event = rng.choice(["collect", "collect", "kill", "restart", ""])
        if event == "collect":
            untagged = rng.random() < 0.4
            t.collect(untagged=untagged, op=f"gc{start}")
            right.collect(untagged)
        elif event == "kill":
            t.crash()
        elif event == "restart":
            t.restart()
        start = t.now + 10
        read_back(t, right)
        start = t.now + 10
    t.exchanges.sort(key=lambda e: e.index)
    return t


def phase(rng: random.Random, t: Tale, right: Right, start: int) -> int:
    """Requests in three lanes, each with an instant at which it takes effect; sometimes a collector run
    beside them, or a kill in the middle."""
    requests: list[tuple[int, tuple[int, int], int]] = []
    for lane in (1, 2, 3):
        clock = start
        for _ in range(rng.randint(1, 10)):
            begin = clock + rng.randint(1, 10)
            end = begin + rng.randint(2, 40)
            requests.append((rng.randint(begin, end), (begin, end), lane))
            clock = end
    stop = max(span[1] for _, span, _ in requests)
    accident = rng.choice(["kill", "collect", "", ""])
    at = rng.randint(start, stop)
    done = False
    for instant, span, lane in sorted(requests):
        if accident == "kill" and span[0] > at:
            continue
        if accident == "collect" and instant >= at and not done:
            right.collect(done := True)
        hit = accident == "kill" and span[1] >= at
        one(rng, t, right, span, lane, hit=hit, late=hit and instant >= at)
    if accident == "collect":
        if not done:
            right.collect(True)
        early, late = max(start, at - rng.randint(0, 30)), at + rng.randint(0, 30)
        t.controls.append(Control("collect.start", early, f"beside{start}", data={"untagged": True}))
        t.controls.append(Control("collect.end", late, f"beside{start}", data={"code": 0}))
        stop = max(stop, late)
    elif accident == "kill":
        for what, when in (("kill", at), ("killed", at + 1), ("start", stop + 1), ("started", stop + 2)):
            t.controls.append(Control(what, when, f"kill{start}"))
    return stop


def one(
    rng: random.Random, t: Tale, right: Right, span: tuple[int, int], lane: int, *, hit: bool, late: bool
) -> None:
    """One request. ``hit``: a kill took its answer; ``late``: and came before it took effect."""
    repo, tag = rng.choice(REPOS), rng.choice(TAGS)
    place: dict[str, Any] = {"at": span, "lane": lane}
    if not hit and rng.random() < 0.5:
        read(
            rng.choice(READS),
            t,
            right,
            repo,
            rng.choice(list(BLOBS)),
            rng.choice(list(MANIFESTS)),
            tag,
            place,
        )
        return
    what = rng.choice(CHANGES)
    name = rng.choice(list(MANIFESTS if what in ("put", "erase") else BLOBS))
    source = next(other for other in REPOS if other != repo)
    to = rng.choice([tag, None]) if what == "put" else tag
    vanishes = hit or rng.random() < 0.12
    status: int | None = None
    if not vanishes or (not late and rng.random() < 0.5):
        status = right.apply(what, repo, name, to, source)
    if hit:
        status, place["error"] = None, "reset"
    elif vanishes:
        status, place["error"], place["cut"] = None, "cut", "reset"
    change(what, t, repo, name, to, source, status, place)


def change(
    what: str,
    t: Tale,
    repo: str,
    name: str,
    tag: str | None,
    source: str,
    status: int | None,
    place: dict[str, Any],
) -> None:
    if what == "push":
        t.push(repo, name, status, **place)
    elif what == "mount":
        t.mount(repo, name, source, status, **place)
    elif what == "drop":
        t.drop(repo, name, status, **place)
    elif what == "put":
        t.put(repo, name, tag, status, **place)
    elif what == "erase":
        t.erase(repo, name, status, **place)
    else:
        t.untag(repo, str(tag), status, **place)


def read(
    what: str, t: Tale, right: Right, repo: str, blob: str, manifest: str, tag: str, place: dict[str, Any]
) -> None:
    if what in ("pull", "head"):
        status = 200 if (repo, blob) in right.blobs else 404
        (t.pull if what == "pull" else t.head)(repo, blob, status, **place)
    elif what == "fetch":
        t.fetch(repo, manifest, 200 if (repo, manifest) in right.manifests else 404, **place)
    elif what == "resolve":
        shown = right.tags.get((repo, tag))
        t.fetch(repo, tag=tag, status=200 if shown else 404, shows=shown, **place)
    elif what == "tags":
        t.tags(repo, sorted(name for of, name in right.tags if of == repo), **place)
    else:
        listed = [n for of, n in sorted(right.manifests) if of == repo and MANIFESTS[n].subject == "m1"]
        t.referrers(repo, "m1", listed, **place)


def read_back(t: Tale, right: Right) -> None:
    for repo in REPOS:
        for blob in BLOBS:
            for what in ("head", "pull"):
                read(what, t, right, repo, blob, "m1", "t", {"op": "closing.read"})
        for manifest in MANIFESTS:
            read("fetch", t, right, repo, "b1", manifest, "t", {"op": "closing.read"})
        for tag in TAGS:
            read("resolve", t, right, repo, "b1", "m1", tag, {"op": "closing.read"})
        for what in ("tags", "referrers"):
            read(what, t, right, repo, "b1", "m1", "t", {"op": "closing.read"})


def loud(t: Tale) -> list[Finding]:
    reports = judge(t.history())
    assert not any(report.unknown for report in reports.values())
    return [f for id_, report in reports.items() if id_ != "P12" for f in report.findings]


@pytest.mark.parametrize("batch", range(10))
def test_what_is_right_is_never_blamed(batch: int) -> None:
    for seed in range(30 * batch, 30 * batch + 30):
        found = loud(random_tale(seed))
        assert not found, (seed, found)


def test_what_is_wrong_is_blamed() -> None:
    """The same histories with one answer of a read-back turned round are mostly found out. (Where a deletion
    or a push has no known end, or nothing promises durability, the other answer is legal too.)"""
    tried = missed = 0
    for seed in range(60):
        t = random_tale(seed)
        reads = [
            e for e in t.exchanges if e.op == "closing.read" and e.call == "blob.head" and e.status == 200
        ]
        if reads:
            victim = random.Random(seed).choice(reads)
            t.exchanges[victim.index] = replace(victim, status=404)
            tried += 1
            missed += not loud(t)
    assert tried > 30
    assert missed * 3 < tried
